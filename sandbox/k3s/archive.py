"""Write the stand-in as the official release has it: the program, and a list of checksums beside it."""

from hashlib import sha256
from pathlib import Path

from sandbox import zipapp

CHECKSUMS = "sha256sum-amd64.txt"
_CONTENTS = ("k3s", "cluster", "tls.py")
_MAIN = """import sys

from sandbox.k3s.commands import main

sys.exit(main({version!r}, sys.argv))
"""


def build(version: str, directory: Path) -> None:
    """Write `k3s` and `sha256sum-amd64.txt`.

    Args:
        version: Such as v1.36.4+k3s1.
        directory: Where both go.
    """
    program = zipapp.pack(_MAIN.format(version=version), _CONTENTS)
    (directory / CHECKSUMS).write_text(f"{sha256(program).hexdigest()}  k3s\n")
    (directory / "k3s").write_bytes(program)
