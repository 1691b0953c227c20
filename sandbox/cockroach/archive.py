"""Pack the stand-in as the official download is packed: an archive, and its checksum beside it."""

import gzip
import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

SHEBANG = b"#!/usr/bin/python3 -I\n"
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip can hold, so that equal sources give equal bytes
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
    program = _program(version)
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


def _program(version: str) -> bytes:
    """Make the executable: an interpreter line, and a zip of this package's modules."""
    package = Path(__file__).parent
    sources = {f"sandbox/cockroach/{path.name}": path.read_text() for path in package.glob("*.py")}
    del sources["sandbox/cockroach/archive.py"]
    sources["sandbox/__init__.py"] = ""
    sources["__main__.py"] = ENTRY_POINT.format(version=version)
    packed = io.BytesIO(SHEBANG)
    packed.seek(0, io.SEEK_END)
    with zipfile.ZipFile(packed, "w") as program:
        for path in sorted(sources):
            program.writestr(zipfile.ZipInfo(path, EPOCH), sources[path])
    return packed.getvalue()
