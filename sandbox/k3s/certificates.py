"""The cluster's authorities, which all servers share, and what each server issues from them for itself.

Names, organisations and files are those of k3s. Source: pkg/daemons/control/deps/deps.go of k3s-io/k3s.
"""

import datetime
from collections.abc import Iterable
from ipaddress import ip_address
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sandbox.k3s import paths
from sandbox.k3s.config import ServerConfig

AUTHORITIES = {
    "server-ca": "k3s-server-ca",
    "client-ca": "k3s-client-ca",
    "request-header-ca": "k3s-request-header-ca",
    "etcd/server-ca": "etcd-server-ca",
    "etcd/peer-ca": "etcd-peer-ca",
}
SERVICE_ACCOUNT_KEY = "service.key"
_CA_DAYS = 3650
_LEAF_DAYS = 365
_SERVES, _DIALS = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH


class Leaf(NamedTuple):
    """A certificate that a server has of its own: file, authority, subject, uses, names."""

    file: str
    authority: str
    name: str
    organization: str = ""
    uses: tuple[x509.ObjectIdentifier, ...] = (_DIALS,)
    alternatives: tuple[str, ...] = ()


def make_authorities() -> dict[str, str]:
    """Make the authorities of a new cluster, and the key that signs service accounts' tokens.

    Returns:
        Their files below `tls/`, by name.
    """
    files = {}
    for file, name in AUTHORITIES.items():
        key = ec.generate_private_key(ec.SECP256R1())
        stamp = int(_now().timestamp())
        subject = _subject(f"{name}@{stamp}")
        certificate = (
            _builder(subject, subject, key.public_key(), _CA_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(_usage(signs=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        files[f"{file}.crt"] = certificate.public_bytes(Encoding.PEM).decode()
        files[f"{file}.key"] = _pem(key)
    files[SERVICE_ACCOUNT_KEY] = _pem(rsa.generate_private_key(65537, 2048))
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
        "serving-kube-apiserver", "server-ca", "kube-apiserver", uses=(_SERVES,), alternatives=_names(config)
    )
    yield Leaf(
        "etcd/server-client", "etcd/server-ca", "etcd-server", uses=(_SERVES, _DIALS), alternatives=local
    )
    yield Leaf(
        "etcd/peer-server-client", "etcd/peer-ca", "etcd-peer", uses=(_SERVES, _DIALS), alternatives=local
    )
    yield Leaf("etcd/client", "etcd/server-ca", "etcd-client")


def issue(config: ServerConfig, authorities: dict[str, str]) -> dict[str, str]:
    """Issue every certificate of a server's own; each file carries its authority as well.

    Returns:
        Files below `tls/`, by name.
    """
    files = {}
    for leaf in leaves(config):
        key = ec.generate_private_key(ec.SECP256R1())
        ca = authorities[f"{leaf.authority}.crt"]
        files[f"{leaf.file}.crt"] = _sign(leaf, key, ca, authorities[f"{leaf.authority}.key"]) + ca
        files[f"{leaf.file}.key"] = _pem(key)
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


def _sign(leaf: Leaf, key: ec.EllipticCurvePrivateKey, ca: str, ca_key: str) -> str:
    authority = x509.load_pem_x509_certificate(ca.encode())
    signer = load_pem_private_key(ca_key.encode(), password=None)
    if not isinstance(signer, ec.EllipticCurvePrivateKey):
        raise TypeError("the authorities of k3s have elliptic-curve keys")
    builder = (
        _builder(_subject(leaf.name, leaf.organization), authority.subject, key.public_key(), _LEAF_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(leaf.uses), critical=False)
    )
    if leaf.alternatives:
        names = x509.SubjectAlternativeName([_general(name) for name in leaf.alternatives])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(signer, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_now() - datetime.timedelta(minutes=5))  # clocks of nodes differ
        .not_valid_after(_now() + datetime.timedelta(days=days))
    )


def _subject(name: str, organization: str = "") -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, name)]
    if organization:
        attributes.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    return x509.Name(attributes)


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=not signs,
        data_encipherment=False, key_agreement=False, key_cert_sign=signs, crl_sign=signs,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    form = PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(Encoding.PEM, form, NoEncryption()).decode()


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
