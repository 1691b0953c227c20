"""The server's half of SCRAM-SHA-256, against the verifier that PostgreSQL stores.

PostgreSQL cannot ask one client on its socket for a password and trust the next, whose certificate
a gateway has verified; so the first node asks. As in CockroachDB there is no channel binding.

Source: RFC 5802 and RFC 7677; pkg/sql/pgwire/auth_methods.go (scramAuthenticator).
"""

import asyncio
import base64
import hashlib
import hmac
import os
import struct

from sandbox.cockroach import pgwire

SASL, SASL_CONTINUE, SASL_FINAL = 10, 11, 12
MECHANISM = "SCRAM-SHA-256"


def _request(kind: int, data: bytes) -> bytes:
    return pgwire.message(b"R", struct.pack("!i", kind) + data)


def unknown_verifier() -> str:
    """Make a verifier that no password fits, for a user who has none."""
    salt, stored, server = (base64.b64encode(os.urandom(size)).decode() for size in (16, 32, 32))
    return f"{MECHANISM}$4096:{salt}${stored}:{server}"


async def authenticate(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, verifier: str) -> bool:
    """Hold the exchange with a client, and tell whether it knew the password."""
    try:
        return await _exchange(reader, writer, verifier)
    except (KeyError, ValueError):
        return False  # a malformed message is a failed attempt


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, verifier: str) -> bool:
    _, parameters, keys = verifier.split("$")
    iterations, salt = parameters.split(":")
    stored_key, server_key = (base64.b64decode(key) for key in keys.split(":"))

    writer.write(_request(SASL, pgwire.cstring(MECHANISM) + b"\0"))
    mechanism, _, rest = (await _response(reader)).partition(b"\0")
    binding, _, first = rest[4:].decode().partition(",,")
    if mechanism.decode() != MECHANISM or binding not in ("n", "y"):
        return False
    nonce = _attributes(first)["r"] + base64.b64encode(os.urandom(18)).decode()
    challenge = f"r={nonce},s={salt},i={iterations}"
    writer.write(_request(SASL_CONTINUE, challenge.encode()))

    final = (await _response(reader)).decode()
    unproven, _, proof = final.rpartition(",p=")
    echoed = _attributes(unproven)
    bound = base64.b64encode(f"{binding},,".encode()).decode()
    exchange = f"{first},{challenge},{unproven}".encode()
    signature = hmac.digest(stored_key, exchange, "sha256")
    client_key = bytes(a ^ b for a, b in zip(base64.b64decode(proof), signature, strict=False))
    knows = hmac.compare_digest(hashlib.sha256(client_key).digest(), stored_key)
    if not knows or echoed.get("r") != nonce or echoed.get("c") != bound:
        return False
    server_signature = base64.b64encode(hmac.digest(server_key, exchange, "sha256"))
    writer.write(_request(SASL_FINAL, b"v=" + server_signature))
    return True


async def _response(reader: asyncio.StreamReader) -> bytes:
    kind, payload = await pgwire.read_message(reader)
    if kind != b"p":
        raise EOFError("the client gave no password")
    return payload


def _attributes(text: str) -> dict[str, str]:
    return {part[:1]: part[2:] for part in text.split(",")}
