"""Run a command of this machine.

Request: {"command": [words], "timeout_s": seconds}.
Answer: {"exit_code", "output", "errors"}.
"""

import subprocess
from typing import Any


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Run it to its end."""
    done = subprocess.run(
        request["command"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=request["timeout_s"],
    )
    return {"exit_code": done.returncode, "output": done.stdout, "errors": done.stderr}
