"""Pack the stand-in as the official download is packed: an archive, and its checksum beside it."""

import gzip
import hashlib
import io
import tarfile
from pathlib import Path

from sandbox import zipapp

ENTRY_POINT = """import sys

from sandbox.cockroach.commands import main

sys.exit(main({version!r}, sys.argv[1:]))
"""


def build(version: str, directory: Path) -> Path:
    """Write `cockroach-<version>.linux-amd64.tgz` and its `.sha256sum`.

    Args:
        version: With its v, such as v26.2.2.
        directory: Where both files go.

    Returns:
        The archive's path.
    """
    name = f"cockroach-{version}.linux-amd64"
    member = tarfile.TarInfo(f"{name}/cockroach")
    program = zipapp.pack(ENTRY_POINT.format(version=version), ["cockroach"])
    member.size, member.mode = len(program), 0o755
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.addfile(member, io.BytesIO(program))
    archive = directory / f"{name}.tgz"
    content = gzip.compress(packed.getvalue(), mtime=0)
    archive.write_bytes(content)
    checksum = directory / f"{archive.name}.sha256sum"
    checksum.write_text(f"{hashlib.sha256(content).hexdigest()}  {archive.name}\n")
    return archive
