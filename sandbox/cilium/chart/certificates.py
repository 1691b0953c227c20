"""Certificates that the chart makes of its authority, anew with every release (`method: helm`)."""

import base64
import datetime

from sandbox import tls
from sandbox.tls import DIALS, SERVES, Authority


def given(certificate: str, key: str) -> Authority:
    """Read the authority of `tls.ca`; both in base64 of PEM.

    Raises:
        ValueError: one of them is no such thing, or they do not belong together.
    """
    return Authority.read(base64.b64decode(certificate), base64.b64decode(key))


def secret(authority: Authority) -> dict[str, str]:
    """Return what the Secret cilium-ca holds."""
    return {"ca.crt": _coded(authority.pem), "ca.key": _coded(tls.key_pem(authority.key))}


def issue(authority: Authority, name: str, days: int, names: tuple[str, ...] = ()) -> dict[str, str]:
    """Issue a certificate that serves `names` and dials, as the data of a Secret."""
    key, lifetime = tls.new_key(), datetime.timedelta(days=days)
    certificate = authority.sign(
        tls.common_name(name), key.public_key(), names=names, uses=(SERVES, DIALS), lifetime=lifetime
    )
    return {
        "ca.crt": _coded(authority.pem),
        "tls.crt": _coded(tls.pem(certificate)),
        "tls.key": _coded(tls.key_pem(key)),
    }


def _coded(pem: str) -> str:
    return base64.b64encode(pem.encode()).decode()
