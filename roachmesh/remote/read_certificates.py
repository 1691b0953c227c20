"""Say which certificates this machine has, and for which public key each private key is.

Request: {"pairs": [[certificate path, key path]]}.
Answer: {"pairs": [[certificate text or null, public key text or null]]}; private keys are not sent.
"""

import subprocess
from pathlib import Path
from typing import Any


def certificate(path: str) -> str | None:
    """Read a certificate file."""
    return Path(path).read_text() if Path(path).is_file() else None


def public_key(path: str) -> str | None:
    """Derive the public half of a private key."""
    if not Path(path).is_file():
        return None
    derived = subprocess.run(
        ["openssl", "pkey", "-in", path, "-pubout"], capture_output=True, text=True, check=False
    )
    return None if derived.returncode else derived.stdout


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Read every pair."""
    return {"pairs": [[certificate(one), public_key(other)] for one, other in request["pairs"]]}
