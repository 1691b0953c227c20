"""SSH key pairs, in OpenSSH's formats."""

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
