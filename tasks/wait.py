"""The one way to wait."""

import time
from collections.abc import Callable
from typing import TypeVar

from blocks.logger import logger
from roachmesh.errors import NotReadyYet, Transient

T = TypeVar("T")

REPORT_EVERY_S = 15.0
NOTHING = "no answer yet"


def wait_until(
    check: Callable[[], T | None], *, what: str, timeout_s: float, every_s: float = 1.0, advice: str = ""
) -> T:
    """Ask until there is an answer.

    Args:
        check: Gives the answer, or None or False for "not yet"; a `Transient` error is one with a reason.
        what: What is waited for, as a sentence's subject: "SSH on crdb-eastus-1".
        timeout_s: Seconds after which to give up.
        every_s: Seconds between two questions.
        advice: What the reader of the error can do.

    Raises:
        NotReadyYet: with the last reason, when the time is over.
    """
    start = time.monotonic()
    reported = start
    last: Transient | None = None
    while True:
        try:
            answer = check()
        except Transient as exc:
            answer, last = None, exc
        if answer is not None and answer is not False:
            return answer
        now = time.monotonic()
        if now - start > timeout_s:
            said = f"{what}: not within {now - start:.0f} s (last: {last or NOTHING})."
            code = last.exit_code if last else NotReadyYet.exit_code
            raise NotReadyYet(said, advice=advice, exit_code=code)
        if now - reported > REPORT_EVERY_S:
            reported = now
            logger().info("waiting for %s since %.0f s (last: %s)", what, now - start, last or NOTHING)
        time.sleep(every_s)  # noqa: TID251 -- the one place
