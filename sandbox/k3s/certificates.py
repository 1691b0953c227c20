"""The cluster's authorities, which all servers share, and what each server issues from them for itself.

Names, organisations and files are those of k3s. Source: pkg/daemons/control/deps/deps.go of k3s-io/k3s.
"""

import datetime
import time
from collections.abc import Iterable
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import PrivateFormat

from sandbox import tls
from sandbox.k3s import paths
from sandbox.k3s.config import ServerConfig
from sandbox.tls import DIALS, SERVES, Authority, PrivateKey

AUTHORITIES = {
    "server-ca": "k3s-server-ca",
    "client-ca": "k3s-client-ca",
    "request-header-ca": "k3s-request-header-ca",
    "etcd/server-ca": "etcd-server-ca",
    "etcd/peer-ca": "etcd-peer-ca",
}
SERVICE_ACCOUNT_KEY = "service.key"
_CA_LIFETIME = datetime.timedelta(days=3650)


class Leaf(NamedTuple):
    """A certificate that a server has of its own: file, authority, subject, uses, names."""

    file: str
    authority: str
    name: str
    organization: str = ""
    uses: tuple[x509.ObjectIdentifier, ...] = (DIALS,)
    alternatives: tuple[str, ...] = ()


def make_authorities() -> dict[str, str]:
    """Make the authorities of a new cluster, and the key that signs service accounts' tokens.

    Returns:
        Their files below `tls/`, by name.
    """
    files = {}
    for file, name in AUTHORITIES.items():
        authority = tls.new_authority(f"{name}@{int(time.time())}", _CA_LIFETIME)
        files[f"{file}.crt"] = authority.pem
        files[f"{file}.key"] = _key_pem(authority.key)
    files[SERVICE_ACCOUNT_KEY] = _key_pem(rsa.generate_private_key(65537, 2048))
    return files


def leaves(config: ServerConfig) -> Iterable[Leaf]:
    """Yield what a server needs."""
    node_ip = str(config.node.node_ip)
    local = ("localhost", "127.0.0.1", node_ip, config.node.node_name)
    yield Leaf("client-admin", "client-ca", "system:admin", "system:masters")
    yield Leaf("client-controller", "client-ca", "system:kube-controller-manager")
    yield Leaf("client-scheduler", "client-ca", "system:kube-scheduler")
    yield Leaf("client-kube-apiserver", "client-ca", "system:apiserver", "system:masters")
    yield Leaf("client-kube-proxy", "client-ca", "system:kube-proxy")
    yield Leaf("client-kubelet", "client-ca", f"system:node:{config.node.node_name}", "system:nodes")
    yield Leaf("client-auth-proxy", "request-header-ca", "system:auth-proxy")
    yield Leaf(
        "serving-kube-apiserver", "server-ca", "kube-apiserver", uses=(SERVES,), alternatives=_names(config)
    )
    yield Leaf(
        "etcd/server-client", "etcd/server-ca", "etcd-server", uses=(SERVES, DIALS), alternatives=local
    )
    yield Leaf(
        "etcd/peer-server-client", "etcd/peer-ca", "etcd-peer", uses=(SERVES, DIALS), alternatives=local
    )
    yield Leaf("etcd/client", "etcd/server-ca", "etcd-client")


def issue(config: ServerConfig, authorities: dict[str, str]) -> dict[str, str]:
    """Issue every certificate of a server's own; each file carries its authority as well.

    Returns:
        Files below `tls/`, by name.
    """
    files = {}
    for leaf in leaves(config):
        ca = authorities[f"{leaf.authority}.crt"]
        authority = Authority.read(ca.encode(), authorities[f"{leaf.authority}.key"].encode())
        key, subject = tls.new_key(), tls.common_name(leaf.name, leaf.organization)
        certificate = authority.sign(subject, key.public_key(), names=leaf.alternatives, uses=leaf.uses)
        files[f"{leaf.file}.crt"] = tls.pem(certificate) + ca
        files[f"{leaf.file}.key"] = _key_pem(key)
    return files


def write(files: dict[str, str]) -> None:
    """Write files below `tls/`."""
    for name, content in files.items():
        paths.write_secret(paths.TLS / name, content)


def read_authorities() -> dict[str, str]:
    """Read back what a server wrote at its first start."""
    names = [f"{name}.{ending}" for name in AUTHORITIES for ending in ("crt", "key")]
    return {name: (paths.TLS / name).read_text() for name in (*names, SERVICE_ACCOUNT_KEY)}


def _names(config: ServerConfig) -> tuple[str, ...]:
    """Return every name under which clients may know the API server."""
    domain = config.cluster_domain
    own = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", f"kubernetes.default.svc.{domain}")
    addresses = (config.service_cidr[1], config.node.node_ip, config.advertise_address, "127.0.0.1")
    names = (*own, "localhost", config.node.node_name, *map(str, addresses), *config.tls_san)
    return tuple(dict.fromkeys(names))


def _key_pem(key: PrivateKey) -> str:
    return tls.key_pem(key, PrivateFormat.TraditionalOpenSSL)
