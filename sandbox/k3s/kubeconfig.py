"""Kubeconfig files: for people, and for the components."""

import base64
import json
from pathlib import Path

from sandbox.k3s import paths


def for_certificate(server: str, name: str) -> str:
    """Return one that holds a client certificate of `tls/`, inline, as k3s.yaml does."""
    user = {
        "client-certificate-data": _inline(paths.TLS / f"{name}.crt"),
        "client-key-data": _inline(paths.TLS / f"{name}.key"),
    }
    return _render(server, _inline(paths.TLS / "server-ca.crt"), user)


def for_token(server: str, ca: str, token: str) -> str:
    """Return one that holds a token."""
    return _render(server, base64.b64encode(ca.encode()).decode(), {"token": json.dumps(token)})


def _render(server: str, ca: str, user: dict[str, str]) -> str:
    """Write YAML by hand: its order is what people know from k3s.yaml."""
    fields = "".join(f"    {key}: {value}\n" for key, value in user.items())
    return (
        "apiVersion: v1\n"
        "clusters:\n"
        "- cluster:\n"
        f"    certificate-authority-data: {ca}\n"
        f"    server: {server}\n"
        "  name: default\n"
        "contexts:\n"
        "- context:\n"
        "    cluster: default\n"
        "    user: default\n"
        "  name: default\n"
        "current-context: default\n"
        "kind: Config\n"
        "users:\n"
        "- name: default\n"
        "  user:\n"
        f"{fields}"
    )


def _inline(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode()
