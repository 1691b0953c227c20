"""Stop a systemd unit for good, and delete files that were placed for it.

Request: {"unit", "mark": the path of a file that only we place, "files": [paths]}.
Answer: {"changed": bool}; without the mark the unit is somebody else's, and left alone.

The mark goes last, so that a removal that was killed is repeated.
"""

import subprocess
from pathlib import Path
from typing import Any


def systemctl(*arguments: str) -> None:
    """Run systemctl."""
    done = subprocess.run(["systemctl", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"systemctl {' '.join(arguments)}: {done.stderr.strip()}")


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Remove it, if it is ours."""
    mark = Path(request["mark"])
    if not mark.exists():
        return {"changed": False}
    systemctl("disable", "--now", "--quiet", request["unit"])
    for path in request["files"]:
        Path(path).unlink(missing_ok=True)
    mark.unlink()
    systemctl("daemon-reload")
    return {"changed": True}
