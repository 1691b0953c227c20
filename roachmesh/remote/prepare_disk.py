"""Give this machine's data disk a file system if it has none; never touch one that has.

Request: {"candidates": [paths of the disk, by its LUN]}, the first that exists is the disk.
Answer: {"device": path, "changed": bool}; it fails when there is no such disk, or when it holds
something else.
"""

import subprocess
from pathlib import Path
from typing import Any

NOTHING_FOUND = 2  # blkid's exit code for a device without any signature


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Find the disk and format it if it is empty."""
    candidates = request["candidates"]
    device = next((path for path in candidates if Path(path).exists()), None)
    if device is None:
        raise RuntimeError(f"no data disk at {' or '.join(candidates)}")
    probe = subprocess.run(
        ["blkid", "--probe", "--match-tag", "TYPE", "--output", "value", device],
        capture_output=True,
        text=True,
        check=False,
    )
    kind = probe.stdout.strip()
    if kind == "ext4":
        return {"device": device, "changed": False}
    if kind or probe.returncode != NOTHING_FOUND:
        held = kind or probe.stderr.strip() or "something else"
        raise RuntimeError(f"{device} holds {held}, expected nothing")
    made = subprocess.run(["mkfs.ext4", "-q", device], capture_output=True, text=True, check=False)
    if made.returncode:
        raise RuntimeError(f"mkfs.ext4 {device}: {made.stderr.strip()}")
    return {"device": device, "changed": True}
