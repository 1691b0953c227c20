"""Pack modules of the sandbox into one executable file that a machine's own Python runs."""

import io
import zipfile
from collections.abc import Iterable
from pathlib import Path

SHEBANG = b"#!/usr/bin/python3 -I\n"
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip can hold, so that equal sources give equal bytes
ROOT = Path(__file__).parent


def pack(main: str, contents: Iterable[str]) -> bytes:
    """Make the executable: an interpreter line, and a zip.

    Args:
        main: The text of `__main__.py`.
        contents: Files and folders below `sandbox/`, such as `cockroach` or `cluster/kubernetes_api.py`; of a
            folder every module and data file is taken.
    """
    sources = {"__main__.py": main, "sandbox/__init__.py": ""}
    for name in contents:
        top = ROOT / name
        files = [top] if top.is_file() else sorted(top.rglob("*"))
        for path in files:
            if path.suffix in (".py", ".txt", ".yaml"):
                relative = path.relative_to(ROOT)
                sources[f"sandbox/{relative}"] = path.read_text()
                for parent in relative.parents[:-1]:
                    sources.setdefault(f"sandbox/{parent}/__init__.py", "")
    packed = io.BytesIO(SHEBANG)
    packed.seek(0, io.SEEK_END)
    with zipfile.ZipFile(packed, "w") as program:
        for path_in_zip in sorted(sources):
            program.writestr(zipfile.ZipInfo(path_in_zip, EPOCH), sources[path_in_zip])
    return packed.getvalue()
