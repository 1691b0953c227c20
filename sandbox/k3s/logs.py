"""Log lines in the shape of k3s's own, on standard error."""

import json
import logging
import sys
import time

KUBERNETES = "v1.20.2"
STAND_IN = (
    f"this is a stand-in for k3s, made by Roachmesh's sandbox: it runs real Kubernetes {KUBERNETES} "
    "components, not k3s"
)
LEVELS = {logging.CRITICAL: "fatal", logging.WARNING: "warning"}

log = logging.getLogger("sandbox.k3s")


class LogrusFormatter(logging.Formatter):
    """`time="2026-11-22T12:00:00Z" level=info msg="..."`.

    Source: the text formatter of github.com/sirupsen/logrus, which k3s logs with.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Render one record."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
        level = LEVELS.get(record.levelno, record.levelname.lower())
        return f'time="{stamp}" level={level} msg={json.dumps(record.getMessage(), ensure_ascii=False)}'


def log_to_stderr() -> None:
    """Send our log to standard error, where journald reads it."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LogrusFormatter())
    logging.getLogger().addHandler(handler)
    logging.getLogger("sandbox").setLevel(logging.INFO)
