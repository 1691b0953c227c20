"""SSH key pairs, in OpenSSH's formats."""

import base64
import hashlib
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519


@dataclass(frozen=True)
class SshKeyPair:
    """An Ed25519 key: `public` is one line (`ssh-ed25519 AAAA...`), `private` an OpenSSH PEM."""

    public: str
    private: str = field(repr=False)


def generate() -> SshKeyPair:
    """Make a new key pair."""
    key = ed25519.Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    return SshKeyPair(public.decode(), private.decode())


def fingerprint(public: str) -> str:
    """Name a public key as `ssh-keygen -l` does: `SHA256:...`.

    Raises:
        ValueError: it is no line of a public key.
    """
    kind, encoded = public.split()[:2]
    key = base64.b64decode(encoded, validate=True)
    if kind.encode() not in key:
        raise ValueError(f"it does not hold a key of the kind {kind}")
    return f"SHA256:{base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip('=')}"
