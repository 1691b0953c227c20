"""`registries.yaml`, as containerd reads it: a folder per registry with a hosts.toml.

Source: the page "Private Registry Configuration" of k3s's documentation; hosts.md of containerd.
"""

import json
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from sandbox.k3s.errors import Fatal

_KNOWN = {
    "": {"mirrors", "configs"},
    "mirror": {"endpoint", "rewrite"},
    "config": {"tls", "auth"},
    "tls": {"ca_file", "cert_file", "key_file", "insecure_skip_verify"},
}
_OFFICIAL = {"docker.io": "registry-1.docker.io"}
_ANY = "*"


def write_hosts(registries: Path, folder: Path) -> None:
    """Make the folders that containerd reads, anew.

    Raises:
        Fatal: the file cannot be read, or asks for what is not emulated.
    """
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    for host, text in hosts(registries.read_text() if registries.exists() else "").items():
        (folder / host).mkdir()
        (folder / host / "hosts.toml").write_text(text)


def hosts(text: str) -> dict[str, str]:
    """Return the hosts.toml of every registry, by its folder's name.

    Raises:
        Fatal: the text is no registries.yaml, or asks for what is not emulated.
    """
    try:
        content = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise Fatal(f"failed to read private registries: yaml: {error}") from error
    _check("registries.yaml", "", content)
    mirrors, configs = content.get("mirrors") or {}, content.get("configs") or {}
    for host, config in configs.items():
        _check(f"configs.{host}", "config", config)
        _check(f"configs.{host}.tls", "tls", config.get("tls") or {})
        if config.get("auth"):
            raise Fatal(f"registries.yaml: configs.{host}.auth is not emulated by the sandbox's stand-in")
    for host, mirror in mirrors.items():
        _check(f"mirrors.{host}", "mirror", mirror or {})
    names = dict.fromkeys([*mirrors, *(host for host in configs if host not in _endpoints(mirrors))])
    return {_folder(host): _hosts_toml(host, mirrors.get(host) or {}, configs) for host in names}


def _endpoints(mirrors: dict[str, Any]) -> set[str]:
    """Return the hosts that are only known as somebody's mirror."""
    return {urlsplit(url).netloc for mirror in mirrors.values() for url in (mirror or {}).get("endpoint", ())}


def _hosts_toml(host: str, mirror: dict[str, Any], configs: dict[str, Any]) -> str:
    """Name the mirrors in order; the registry itself is asked last, but not for `*`, which has none."""
    lines = [] if host == _ANY else [f'server = "https://{_OFFICIAL.get(host, host)}/v2"\n']
    for endpoint in mirror.get("endpoint", ()):
        parts = urlsplit(endpoint)
        path = parts.path.rstrip("/") or "/v2"
        lines.append(f'\n[host."{parts.scheme}://{parts.netloc}{path}"]\n')
        lines.append('  capabilities = ["pull", "resolve"]\n')
        if path != "/v2":
            lines.append("  override_path = true\n")
        lines += _tls(configs.get(parts.netloc) or {})
        if mirror.get("rewrite"):
            raise Fatal(f"registries.yaml: mirrors.{host}.rewrite is not emulated by the sandbox's stand-in")
    if own := _tls(configs.get(host) or {}):
        lines.append(f'\n[host."https://{_OFFICIAL.get(host, host)}/v2"]\n')
        lines += ['  capabilities = ["pull", "resolve"]\n', *own]
    return "".join(lines)


def _tls(config: dict[str, Any]) -> list[str]:
    tls = config.get("tls") or {}
    lines = [f"  ca = [{json.dumps(tls['ca_file'])}]\n"] if "ca_file" in tls else []
    if "cert_file" in tls:
        lines.append(
            f"  client = [[{json.dumps(tls['cert_file'])}, {json.dumps(tls.get('key_file', ''))}]]\n"
        )
    if tls.get("insecure_skip_verify"):
        lines.append("  skip_verify = true\n")
    return lines


def _folder(host: str) -> str:
    return "_default" if host == _ANY else host


def _check(where: str, kind: str, content: Any) -> None:
    if not isinstance(content, dict):
        raise Fatal(f"{where}: a mapping is wanted")
    if unknown := set(content) - _KNOWN[kind]:
        raise Fatal(f"{where}: unknown key {min(unknown)}; known are {', '.join(sorted(_KNOWN[kind]))}")
