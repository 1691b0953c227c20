"""Authorities and the certificates that they sign: the sandbox's own, and those of k3s and Cilium in it."""

import datetime
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = datetime.timedelta(days=365)
SKEW = datetime.timedelta(hours=1)  # a machine's clock may be behind
SERVES, DIALS = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True)
class Authority:
    """A certificate authority."""

    certificate: x509.Certificate
    key: PrivateKey

    @classmethod
    def read(cls, certificate: bytes, key: bytes) -> "Authority":
        """Read both from PEM.

        Raises:
            ValueError: one of them is no such thing, or they do not belong together.
        """
        found = x509.load_pem_x509_certificate(certificate)
        private = serialization.load_pem_private_key(key, password=None)
        if not isinstance(private, PrivateKey):
            raise ValueError("the key is neither RSA nor of an elliptic curve")
        if found.public_key() != private.public_key():
            raise ValueError("the certificate is not of this key")
        return cls(found, private)

    @property
    def pem(self) -> str:
        """The certificate that clients trust."""
        return pem(self.certificate)

    def sign(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey,
        *,
        names: Sequence[str] = (),
        uses: Sequence[x509.ObjectIdentifier] = (SERVES,),
        lifetime: datetime.timedelta = LIFETIME,
    ) -> x509.Certificate:
        """Sign a certificate for host names and addresses, if there are any, and these uses."""
        builder = (
            _builder(subject, self.certificate.subject, key, lifetime)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False
            )
        )
        if names:
            alternatives = x509.SubjectAlternativeName([_general_name(name) for name in names])
            builder = builder.add_extension(alternatives, critical=False)
        return builder.sign(self.key, hashes.SHA256())


def new_authority(name: str, lifetime: datetime.timedelta = LIFETIME) -> Authority:
    """Make an authority of this common name; its key is written nowhere by this."""
    key = new_key()
    subject = common_name(name)
    certificate = (
        _builder(subject, subject, key.public_key(), lifetime)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return Authority(certificate, key)


def issue(authority: Authority, names: Sequence[str], directory: Path, stem: str) -> tuple[Path, Path]:
    """Write a server certificate for host names and addresses, and its key with mode 0600.

    Returns:
        The paths of the certificate and of the key.
    """
    key = new_key()
    certificate = authority.sign(common_name(names[0]), key.public_key(), names=names)
    certificate_path, key_path = directory / f"{stem}.crt", directory / f"{stem}.key"
    certificate_path.write_text(pem(certificate))
    key_path.touch(mode=0o600)
    key_path.write_text(key_pem(key))
    return certificate_path, key_path


def client_context(ca_pem: str) -> ssl.SSLContext:
    """A context that trusts this authority and no other."""
    return ssl.create_default_context(cadata=ca_pem)


def new_key() -> ec.EllipticCurvePrivateKey:
    """Make a key."""
    return ec.generate_private_key(ec.SECP256R1())


def common_name(name: str, organization: str = "") -> x509.Name:
    """Return a subject."""
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, name)]
    if organization:
        attributes.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    return x509.Name(attributes)


def pem(certificate: x509.Certificate) -> str:
    """Write a certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def key_pem(key: PrivateKey, form: serialization.PrivateFormat = serialization.PrivateFormat.PKCS8) -> str:
    """Write a key as PEM, unencrypted."""
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, lifetime: datetime.timedelta
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=not signs,
        data_encipherment=False, key_agreement=False, key_cert_sign=signs, crl_sign=signs,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)
