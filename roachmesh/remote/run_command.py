"""Run a command of this machine.

Request: {"command": [words], "files": {name: content}, "timeout_s": seconds}.
Answer: {"exit_code", "output", "errors"}.

The files exist in memory, for root alone and while the command runs, also when whoever asked for it is
killed meanwhile; `{files}` in the command stands for the directory that they are in.
"""

import subprocess
import tempfile
from pathlib import Path
from typing import Any

MEMORY = "/run"


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Run it to its end."""
    if not request["files"]:
        return run(request["command"], request["timeout_s"])
    with tempfile.TemporaryDirectory(dir=MEMORY, prefix="roachmesh-") as directory:
        for name, content in request["files"].items():
            path = Path(directory, name)
            path.touch(mode=0o600)
            path.write_text(content)
        command = [word.replace("{files}", directory) for word in request["command"]]
        return run(command, request["timeout_s"])


def run(command: list[str], timeout_s: float) -> dict[str, Any]:
    """Run a command and take down all it says."""
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=timeout_s
    )
    return {"exit_code": done.returncode, "output": done.stdout, "errors": done.stderr}
