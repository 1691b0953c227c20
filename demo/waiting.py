"""How the demo waits: with a deadline, and the end of a log when that is over."""

import time
from collections.abc import Callable
from pathlib import Path


def wait_until(check: Callable[[], bool], *, what: str, timeout_s: float, log: Path) -> None:
    """Ask ten times a second until `check` says yes.

    Raises:
        TimeoutError: with the last lines of `log`.
    """
    deadline = time.monotonic() + timeout_s
    while not check():
        if time.monotonic() > deadline:
            lines = log.read_text(errors="replace").splitlines()[-15:] if log.exists() else []
            raise TimeoutError(f"{what} is not up after {timeout_s:.0f} s; {log} ends:\n" + "\n".join(lines))
        time.sleep(0.1)
