"""The certificates of one cluster: an authority of its own, split node certificates, short-lived clients.

`node.crt` may only serve and `client.node.crt` may only dial, both signed by `ca.crt`. CockroachDB's
loader checks neither chain nor use nor names before it serves, so `faults` does, before anything is shipped.
Source: "Create Security Certificates", split node certificates, CockroachDB documentation.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from ipaddress import IPv4Address

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from roachmesh import names

AUTHORITY_LIFETIME = timedelta(days=3650)
NODE_LIFETIME = timedelta(days=1825)
RENEW_BEFORE = timedelta(days=30)
# Nothing renews an authority: whoever has one must deploy anew, and move the data.
SUCCEED_BEFORE = timedelta(days=180)
# A machine's clock may lag behind ours before it is synchronised.
BACKDATED = timedelta(days=1)


class Use(Enum):
    """What a certificate may be used for, and nothing else."""

    SERVER = ExtendedKeyUsageOID.SERVER_AUTH
    CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH


@dataclass(frozen=True)
class KeyPair:
    """A certificate and its private key, both PEM; the key shows in no log."""

    certificate: str
    key: str = field(repr=False)


@dataclass(frozen=True)
class Purpose:
    """What a certificate is for: whose name it carries, at which names and addresses, in which use."""

    common_name: str
    use: Use
    names: tuple[str, ...] = ()


def node_purpose(address: IPv4Address, *host_names: str) -> Purpose:
    """Describe the `node.crt` of a machine, for every name it is dialled by."""
    return Purpose("node", Use.SERVER, (str(address), *host_names, "localhost", "127.0.0.1"))


def pods_purpose(region: str) -> Purpose:
    """Describe the `node.crt` that all database pods of a region share, for every name they are dialled by.

    Their addresses change: they never stand in it.
    """
    namespace, public = names.namespace(region), names.PUBLIC_SERVICE
    return Purpose(
        "node",
        Use.SERVER,
        (
            f"*.{names.pod_domain(region)}",
            f"*.{names.STATEFUL_SET}.{namespace}",
            public,
            f"{public}.{namespace}",
            names.public_host(region),
            "localhost",
            "127.0.0.1",
        ),
    )


def pooler_purpose(nodes: Iterable[str], addresses: Iterable[IPv4Address], host: str = "") -> Purpose:
    """Describe the certificate of a region's poolers, for every name by which clients may know them.

    Args:
        nodes: Host names of the region's machines.
        addresses: Their addresses, private and public.
        host: In Kubernetes, what all of them together are named in DNS.
    """
    shorter = [host.rsplit(".", number)[0] for number in (0, 2, 3, 4)] if host else []  # svc.cluster.local
    every = (*nodes, *map(str, addresses), *shorter, "localhost", "127.0.0.1")
    return Purpose("pooler", Use.SERVER, every)


def client_purpose(user: str) -> Purpose:
    """Describe the client certificate of a SQL user; `node` is the nodes' own."""
    return Purpose(user, Use.CLIENT)


def make_authority(topology: str, now: datetime) -> KeyPair:
    """Make a new certificate authority that may sign leaf certificates only."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"Roachmesh {topology} CA")
    certificate = (
        _builder(name, name, key.public_key(), now, AUTHORITY_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return _pair(certificate, key)


def issue(
    authority: KeyPair, purpose: Purpose, now: datetime, lifetime: timedelta = NODE_LIFETIME
) -> KeyPair:
    """Issue a certificate with a new key, signed by `authority`."""
    issuer = x509.load_pem_x509_certificate(authority.certificate.encode())
    issuer_key = serialization.load_pem_private_key(authority.key.encode(), password=None)
    if not isinstance(issuer_key, ec.EllipticCurvePrivateKey):
        raise TypeError("the authority's key is not one that make_authority made")
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        _builder(_name(purpose.common_name), issuer.subject, key.public_key(), now, lifetime)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose.use.value]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False
        )
    )
    if purpose.names:
        builder = builder.add_extension(
            x509.SubjectAlternativeName(list(map(_general_name, purpose.names))), critical=False
        )
    return _pair(builder.sign(issuer_key, hashes.SHA256()), key)


def faults(certificate: str, authority: str, purpose: Purpose, now: datetime) -> list[str]:
    """Say why a certificate does not serve its purpose; an empty list means that it may stay.

    Args:
        certificate: PEM; whatever stands in the file on a machine.
        authority: PEM of the authority's certificate.
        purpose: What it must be good for.
        now: Aware; a certificate with less than 30 days left is at fault.
    """
    try:
        leaf = x509.load_pem_x509_certificate(certificate.encode())
    except ValueError:
        return ["it is no certificate"]
    return [
        *_chain_faults(leaf, x509.load_pem_x509_certificate(authority.encode())),
        *_purpose_faults(leaf, purpose),
        *_validity_faults(leaf, now),
    ]


def reasons_to_issue(
    authority: str, purpose: Purpose, certificate: str | None, public_key: str | None, *, now: datetime
) -> list[str]:
    """Say why a node needs another certificate than the one it has, if it does.

    Args:
        authority: PEM of the authority's certificate.
        purpose: What it must be good for.
        certificate: PEM of the one it has, if any.
        public_key: PEM of the public half of the private key that it has, if any.
        now: Aware.
    """
    if certificate is None or public_key is None:
        return ["it is missing"]
    reasons = faults(certificate, authority, purpose, now)
    if not is_for(certificate, public_key):
        reasons.append("its key is another one's")
    return reasons


def ends_soon(certificate: str, now: datetime, before: timedelta = RENEW_BEFORE) -> datetime | None:
    """Say when a certificate ends, if less than `before` is left of it; None also for what is none."""
    try:
        end = x509.load_pem_x509_certificate(certificate.encode()).not_valid_after_utc
    except ValueError:
        return None
    return end if now > end - before else None


def public_half(key: str) -> str | None:
    """Derive the public half of a private key, both PEM; None when it is no key."""
    try:
        private = serialization.load_pem_private_key(key.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return private.public_key().public_bytes(serialization.Encoding.PEM, form).decode()


def is_for(certificate: str, public_key: str) -> bool:
    """Tell whether a certificate was issued for a public key; both PEM."""
    try:
        leaf = x509.load_pem_x509_certificate(certificate.encode())
        key = serialization.load_pem_public_key(public_key.encode())
    except ValueError:
        return False
    return bool(leaf.public_key() == key)


def _chain_faults(leaf: x509.Certificate, authority: x509.Certificate) -> list[str]:
    try:
        leaf.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return ["another authority issued it"]
    return []


def _purpose_faults(leaf: x509.Certificate, purpose: Purpose) -> list[str]:
    found = []
    if _common_names(leaf) != [purpose.common_name]:
        found.append(f"its common name is not {purpose.common_name!r}")
    if _extension(leaf, x509.ExtendedKeyUsage) != x509.ExtendedKeyUsage([purpose.use.value]):
        found.append(f"its use is not {purpose.use.name.lower()} alone")
    names = _extension(leaf, x509.SubjectAlternativeName)
    if set(names or ()) != set(map(_general_name, purpose.names)):
        found.append(f"its names are not {', '.join(purpose.names) or 'empty'}")
    return found


def _validity_faults(leaf: x509.Certificate, now: datetime) -> list[str]:
    if now < leaf.not_valid_before_utc:
        return ["it is not valid yet"]
    if now > leaf.not_valid_after_utc - RENEW_BEFORE:
        return [f"it expires on {leaf.not_valid_after_utc:%Y-%m-%d}"]
    return []


def _extension(
    leaf: x509.Certificate, kind: type[x509.ExtendedKeyUsage] | type[x509.SubjectAlternativeName]
) -> x509.ExtendedKeyUsage | x509.SubjectAlternativeName | None:
    try:
        return leaf.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _common_names(leaf: x509.Certificate) -> Sequence[str]:
    return [str(attribute.value) for attribute in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(IPv4Address(name))
    except ValueError:
        return x509.DNSName(name)


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Cockroach"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, lifetime: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> KeyPair:
    return KeyPair(
        certificate.public_bytes(serialization.Encoding.PEM).decode(),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode(),
    )
