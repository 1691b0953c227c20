"""Tokens: `PASSWORD`, or `K10<SHA-256 of the cluster's CA>::<user>:<password>`.

Source: pkg/clientaccess/token.go of k3s-io/k3s.
"""

import re
from dataclasses import dataclass
from hashlib import sha256

from sandbox.k3s.errors import Fatal

_PREFIX = "K10"
_HASH_LENGTH = 64
_SENDABLE = re.compile(r"[!-~]+")  # what fits into an Authorization header and a line of a token file


@dataclass(frozen=True)
class Token:
    """A parsed token; `ca_hash` is empty for the short form."""

    password: str
    ca_hash: str = ""

    @classmethod
    def parse(cls, text: str) -> "Token":
        """Read either form.

        Raises:
            Fatal: it has neither.
        """
        if not text:
            raise Fatal("token must not be empty")
        if not _SENDABLE.fullmatch(text):
            raise Fatal("invalid token format: printable characters without spaces are wanted")
        if not text.startswith(_PREFIX):
            return cls(text)
        ca_hash, colons, credentials = text.removeprefix(_PREFIX).partition("::")
        if colons and ca_hash and len(ca_hash) != _HASH_LENGTH:
            raise Fatal("invalid token CA hash length")
        _, colon, password = credentials.partition(":")
        if not colon or not password:
            raise Fatal("invalid token format")
        return cls(password, ca_hash)

    def check(self, ca: str) -> None:
        """Compare the hash, if there is one, with that of the CA that a server showed.

        Raises:
            Fatal: they differ.
        """
        if self.ca_hash and self.ca_hash != hash_of(ca):
            raise Fatal(
                "token CA hash does not match the Cluster CA certificate hash: "
                f"{self.ca_hash} != {hash_of(ca)}"
            )


def hash_of(ca: str) -> str:
    """Hash a CA as tokens do: the bytes of its PEM file."""
    return sha256(ca.encode()).hexdigest()


def full(ca: str, user: str, password: str) -> str:
    """Return the long form."""
    return f"{_PREFIX}{hash_of(ca)}::{user}:{password}"
