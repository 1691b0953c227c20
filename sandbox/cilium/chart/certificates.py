"""Certificates that the chart makes of its authority, anew with every release (`method: helm`)."""

import base64
import datetime
from dataclasses import dataclass
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

SKEW = datetime.timedelta(hours=1)

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True)
class Authority:
    """The authority of all clusters of a mesh."""

    certificate: x509.Certificate
    key: PrivateKey

    @property
    def secret(self) -> dict[str, str]:
        """What the Secret cilium-ca holds."""
        return {"ca.crt": _pem(self.certificate), "ca.key": _key_pem(self.key)}

    def issue(self, name: str, days: int, names: tuple[str, ...] = ()) -> dict[str, str]:
        """Issue a certificate that serves `names` and dials, as the data of a Secret."""
        key = ec.generate_private_key(ec.SECP256R1())
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = _builder(name, self.certificate.subject, days).public_key(key.public_key())
        if names:
            alternatives = x509.SubjectAlternativeName([_general_name(one) for one in names])
            builder = builder.add_extension(alternatives, critical=False)
        certificate = (
            builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()),
                critical=False,
            )
            .sign(self.key, hashes.SHA256())
        )
        return {"ca.crt": _pem(self.certificate), "tls.crt": _pem(certificate), "tls.key": _key_pem(key)}


def given(certificate: str, key: str) -> Authority:
    """Read the authority of `tls.ca`; both in base64 of PEM.

    Raises:
        ValueError: one of them is no such thing, or they do not belong together.
    """
    found = x509.load_pem_x509_certificate(base64.b64decode(certificate))
    private = serialization.load_pem_private_key(base64.b64decode(key), password=None)
    if not isinstance(private, PrivateKey):
        raise ValueError("the key is neither RSA nor of an elliptic curve")
    if found.public_key() != private.public_key():
        raise ValueError("the certificate is not of this key")
    return Authority(found, private)


def _builder(name: str, issuer: x509.Name, days: int) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + datetime.timedelta(days=days))
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(certificate: x509.Certificate) -> str:
    return base64.b64encode(certificate.public_bytes(serialization.Encoding.PEM)).decode()


def _key_pem(key: PrivateKey) -> str:
    encoded = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return base64.b64encode(encoded).decode()
