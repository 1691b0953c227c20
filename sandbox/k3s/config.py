"""What a server or an agent is to be, from its flags.

Sources: the flags' defaults in pkg/cli/cmds of k3s-io/k3s; what is refused, in pkg/cli/server/server.go.
"""

import re
import secrets
import socket
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

from sandbox.k3s import paths
from sandbox.k3s.errors import Fatal, UsageError
from sandbox.k3s.flags import Options

API_PORT = 6443
LOCAL_API_PORT = 6444  # on every node, whoever the servers are
_NODE_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_PAUSE_IMAGE = "rancher/mirrored-pause:3.6"


@dataclass(frozen=True)
class NodeConfig:
    """What every node has, a server or an agent."""

    server_url: str
    token: str
    node_name: str
    node_ip: IPv4Address
    labels: tuple[str, ...]
    taints: tuple[str, ...]
    kubelet_arguments: tuple[str, ...]
    kube_proxy_arguments: tuple[str, ...]
    pause_image: str
    registries: Path
    resolv_conf: str


@dataclass(frozen=True)
class ServerConfig:
    """What a server has besides.

    Attributes:
        arguments: What the user adds to a component's command line, by the component's name.
    """

    node: NodeConfig
    cluster_init: bool
    agent_token: str
    advertise_address: IPv4Address
    tls_san: tuple[str, ...]
    cluster_cidr: IPv4Network
    service_cidr: IPv4Network
    cluster_dns: IPv4Address
    cluster_domain: str
    node_port_range: str
    disabled: frozenset[str]
    kube_proxy: bool
    scheduler: bool
    encrypt_secrets: bool
    kubeconfig: Path
    kubeconfig_mode: int
    arguments: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def critical(self) -> dict[str, Any]:
        """What all servers of a cluster must say alike, of what may differ here at all.

        Source: CriticalControlArgs in pkg/daemons/config/types.go of k3s-io/k3s.
        """
        return {
            "cluster-cidr": str(self.cluster_cidr),
            "cluster-dns": str(self.cluster_dns),
            "cluster-domain": self.cluster_domain,
            "disable-helm-controller": "helm-controller" in self.disabled,
            "secrets-encryption": self.encrypt_secrets,
            "service-cidr": str(self.service_cidr),
        }


def server_config(options: Options) -> ServerConfig:
    """Read a server's flags.

    Raises:
        Fatal: they contradict each other, or ask for what is not emulated.
    """
    if _one(options, "flannel-backend", "vxlan") != "none":
        raise UsageError(
            "the sandbox's stand-in has no flannel: flannel-backend must be none, and a CNI brought along"
        )
    if not _is_on(options, "disable-network-policy"):
        raise UsageError(
            "the sandbox's stand-in has no network policy controller: set disable-network-policy: true"
        )
    node = _node_config(options, token=_server_token(options))
    disabled = {name for value in options.get("disable", []) for name in value.split(",")}
    if not {"servicelb", "traefik", "metrics-server"} <= disabled:
        raise UsageError(
            "the sandbox's stand-in has no servicelb, traefik and metrics-server: disable all three"
        )
    if _is_on(options, "disable-helm-controller"):
        disabled.add("helm-controller")
    service_cidr = _network(options, "service-cidr", "10.43.0.0/16")
    dns = _one(options, "cluster-dns") or str(service_cidr[10])
    if _address("cluster-dns", dns) not in service_cidr:
        raise Fatal(f"cluster-dns: {dns} is not in service-cidr {service_cidr}")
    advertised = _one(options, "advertise-address") or str(node.node_ip)
    return ServerConfig(
        node=node,
        cluster_init=_is_on(options, "cluster-init"),
        agent_token=_secret(options, "agent-token"),
        advertise_address=_address("advertise-address", advertised),
        tls_san=tuple(name for value in options.get("tls-san", []) for name in value.split(",")),
        cluster_cidr=_network(options, "cluster-cidr", "10.42.0.0/16"),
        service_cidr=service_cidr,
        cluster_dns=IPv4Address(dns),
        cluster_domain=_one(options, "cluster-domain", "cluster.local"),
        node_port_range=_one(options, "service-node-port-range", "30000-32767"),
        disabled=frozenset(disabled),
        kube_proxy=not _is_on(options, "disable-kube-proxy"),
        scheduler=not _is_on(options, "disable-scheduler"),
        encrypt_secrets=_is_on(options, "secrets-encryption"),
        kubeconfig=Path(_one(options, "write-kubeconfig", str(paths.KUBECONFIG))),
        kubeconfig_mode=_mode(_one(options, "write-kubeconfig-mode", "600")),
        arguments={
            name: tuple(options.get(f"{name}-arg", ()))
            for name in ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
        },
    )


def agent_config(options: Options) -> NodeConfig:
    """Read an agent's flags.

    Raises:
        Fatal: it has no server or no token.
    """
    token = _secret(options, "token")
    if not token:
        raise Fatal("--token is required")
    config = _node_config(options, token)
    if not config.server_url:
        raise Fatal("--server is required")
    return config


def _node_config(options: Options, token: str) -> NodeConfig:
    name = (_one(options, "node-name") or socket.gethostname()).lower()
    if not _NODE_NAME.fullmatch(name):
        raise Fatal(f'invalid node name "{name}": a lowercase RFC 1123 subdomain is wanted')
    addresses = options.get("node-ip") or [_own_address()]
    if len(addresses) > 1 or "," in addresses[0]:
        raise UsageError("the sandbox's stand-in has IPv4 only: one node-ip")
    url = _one(options, "server").rstrip("/")
    if url and not url.startswith("https://"):
        raise Fatal(f"only https:// URLs are supported, invalid scheme: {url}")
    return NodeConfig(
        server_url=url,
        token=token,
        node_name=name,
        node_ip=_address("node-ip", addresses[0]),
        labels=tuple(options.get("node-label", ())),
        taints=tuple(options.get("node-taint", ())),
        kubelet_arguments=tuple(options.get("kubelet-arg", ())),
        kube_proxy_arguments=tuple(options.get("kube-proxy-arg", ())),
        pause_image=_one(options, "pause-image", _PAUSE_IMAGE),
        registries=Path(_one(options, "private-registry", str(paths.REGISTRIES))),
        resolv_conf=_one(options, "resolv-conf", ""),
    )


def _server_token(options: Options) -> str:
    """Return the token that is given, else the one of an earlier start, else a new one for a new cluster."""
    token = _secret(options, "token")
    if token or paths.TOKEN.exists():
        return token or paths.TOKEN.read_text().strip()
    if _one(options, "server"):
        raise Fatal("starting kubernetes: preparing server: --token is required to join a cluster")
    return secrets.token_hex(16)


def _secret(options: Options, name: str) -> str:
    file = _one(options, f"{name}-file")
    if not file or _one(options, name):
        return _one(options, name)
    try:
        return Path(file).read_text().strip()
    except OSError as error:
        raise Fatal(f"open {file}: {error.strerror}") from error


def _one(options: Options, flag: str, default: str = "") -> str:
    return options.get(flag, [default])[-1]


def _is_on(options: Options, flag: str) -> bool:
    return _one(options, flag) == "true"


def _network(options: Options, flag: str, default: str) -> IPv4Network:
    text = ",".join(options.get(flag, [default]))
    try:
        return IPv4Network(text)
    except ValueError as error:
        raise Fatal(f"invalid {flag} {text}: {error}") from error


def _address(flag: str, text: str) -> IPv4Address:
    try:
        return IPv4Address(text)
    except AddressValueError as error:
        raise Fatal(f"invalid {flag} {text}: {error}") from error


def _mode(text: str) -> int:
    try:
        return int(text, 8)
    except ValueError as error:
        raise Fatal(f"invalid write-kubeconfig-mode {text}: octal digits are wanted") from error


def _own_address() -> str:
    """Return the address that packets to elsewhere leave from; nothing is sent for it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError as error:
            raise Fatal(f"no default route, so no node-ip: {error}") from error
        return str(probe.getsockname()[0])
