"""Log lines in the shape of CockroachDB's own, on standard error."""

import logging
import sys
import time

STAND_IN = "this is a stand-in for CockroachDB, made by Roachmesh's sandbox on PostgreSQL; not CockroachDB"
SEVERITIES = {logging.DEBUG: "I", logging.INFO: "I", logging.WARNING: "W", logging.ERROR: "E"}

log = logging.getLogger("cockroach")


class CockroachFormatter(logging.Formatter):
    """`I261122 12:00:00.000000 1 node.py:88 ⋮ [n1] 12  message`.

    Source: the crdb-v2 format on the log formats page of CockroachDB's documentation.
    """

    def __init__(self) -> None:
        super().__init__()
        self.node_id = 0
        self._entries = 0

    def format(self, record: logging.LogRecord) -> str:
        """Render one record; the number before the message counts entries, as the real one's does."""
        self._entries += 1
        severity = SEVERITIES.get(record.levelno, "F")
        stamp = time.strftime("%y%m%d %H:%M:%S", time.gmtime(record.created))
        microseconds = int(record.created % 1 * 1_000_000)
        node = self.node_id or "?"
        return (
            f"{severity}{stamp}.{microseconds:06d} 1 {record.module}.py:{record.lineno} ⋮ "
            f"[n{node}] {self._entries}  {record.getMessage()}"
        )


formatter = CockroachFormatter()


def log_to_stderr() -> None:
    """Send our log, and asyncio's warnings, to standard error, where journald reads them."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logging.getLogger().addHandler(handler)
    log.setLevel(logging.INFO)


class CalmLog:
    """Warn about a lasting trouble when it changes, and otherwise every 30 s."""

    REPEAT_AFTER_S = 30.0

    def __init__(self) -> None:
        self._said: dict[str, tuple[str, float]] = {}

    def warning(self, subject: str, message: str) -> None:
        """Log unless the same was said of this subject a moment ago."""
        before, when = self._said.get(subject, ("", 0.0))
        now = time.monotonic()
        if message != before or now - when > self.REPEAT_AFTER_S:
            self._said[subject] = (message, now)
            log.warning("%s: %s", subject, message, stacklevel=2)

    def forget(self) -> None:
        """Say the next trouble at once, since all is well now."""
        self._said.clear()
