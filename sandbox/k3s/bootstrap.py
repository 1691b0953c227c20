"""What servers of a cluster share: its authorities and what all must say alike, encrypted with the token.

The real k3s keeps it in etcd and serves it from its supervisor. Here it is a Secret, which only who shows the
server's token may read through the API. Source: pkg/cluster/{bootstrap,encrypt}.go of k3s-io/k3s.
"""

import base64
import json
import os
from dataclasses import asdict, dataclass
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

from sandbox.k3s.errors import Fatal

NAMESPACE, NAME = "kube-system", "k3s-bootstrap"
PATH = f"/api/v1/namespaces/{NAMESPACE}/secrets/{NAME}"
_SALT_BYTES, _NONCE_BYTES, _ROUNDS = 8, 12, 4096


@dataclass(frozen=True)
class Bootstrap:
    """What a server needs to become one of a cluster.

    Attributes:
        files: Authorities, as files below `tls/`.
        encryption: The API server's encryption configuration; empty without secrets-encryption.
        agent_token: The agents' password.
        critical: `ServerConfig.critical` of the first server.
    """

    files: dict[str, str]
    encryption: str
    agent_token: str
    critical: dict[str, Any]

    def secret(self, password: str) -> dict[str, Any]:
        """Return the Secret that holds it."""
        sealed = base64.b64encode(seal(json.dumps(asdict(self)).encode(), password)).decode()
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": NAME, "namespace": NAMESPACE},
            "data": {"bootstrap": sealed},
        }

    @classmethod
    def of(cls, secret: dict[str, Any], password: str) -> "Bootstrap":
        """Read it from the Secret.

        Raises:
            Fatal: another token encrypted it.
        """
        return cls(**json.loads(unseal(base64.b64decode(secret["data"]["bootstrap"]), password)))


def differences(ours: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    """Say in which of the values that must be alike a server differs from the first."""
    return [f"{key}: {ours.get(key)} != {theirs[key]}" for key in theirs if ours.get(key) != theirs[key]]


def encryption_configuration() -> str:
    """Make a new cluster's key for Secrets at rest. Source: pkg/secretsencrypt of k3s-io/k3s."""
    key = {"name": "aescbckey", "secret": base64.b64encode(os.urandom(32)).decode()}
    providers = [{"aescbc": {"keys": [key]}}, {"identity": {}}]
    return json.dumps(
        {
            "kind": "EncryptionConfiguration",
            "apiVersion": "apiserver.config.k8s.io/v1",
            "resources": [{"resources": ["secrets"], "providers": providers}],
        }
    )


def seal(content: bytes, password: str) -> bytes:
    """Encrypt and authenticate."""
    salt, nonce = os.urandom(_SALT_BYTES), os.urandom(_NONCE_BYTES)
    return salt + nonce + AESGCM(_key(password, salt)).encrypt(nonce, content, None)


def unseal(sealed: bytes, password: str) -> bytes:
    """Decrypt.

    Raises:
        Fatal: another password was used, or the content was changed.
    """
    salt, rest = sealed[:_SALT_BYTES], sealed[_SALT_BYTES:]
    try:
        return AESGCM(_key(password, salt)).decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], None)
    except InvalidTag as error:
        raise Fatal("bootstrap data already found and encrypted with different token") from error


def _key(password: str, salt: bytes) -> bytes:
    return PBKDF2HMAC(hashes.SHA256(), 32, salt, _ROUNDS).derive(password.encode())
