"""A pace for writes, below the one at which Azure Resource Manager refills its own bucket."""

import threading
import time
from typing import Any

from azure.core.pipeline import PipelineRequest
from azure.core.pipeline.policies import SansIOHTTPPolicy

# Azure refills 10 writes a second into a bucket of 200, per subscription and principal.
# Source: "Understand how Azure Resource Manager throttles requests".
WRITES_PER_SECOND = 8.0
BURST = 100.0


class TokenBucket:
    """Lets `burst` callers through at once and `per_second` after that; safe between threads."""

    def __init__(self, per_second: float, burst: float) -> None:
        self._per_second = per_second
        self._burst = burst
        self._tokens = burst
        self._updated = time.monotonic()
        self._lock = threading.Lock()

    def take(self) -> float:
        """Take a token, if need be one that is still to come; returns the seconds to wait for it."""
        with self._lock:
            now = time.monotonic()
            self._tokens = min(self._burst, self._tokens + (now - self._updated) * self._per_second)
            self._updated = now
            self._tokens -= 1
            return max(0.0, -self._tokens / self._per_second)


_bucket = TokenBucket(WRITES_PER_SECOND, BURST)


class WriteBudget(SansIOHTTPPolicy[Any, Any]):
    """Holds back writes of all clients in this process that would only be throttled."""

    def on_request(self, request: PipelineRequest[Any]) -> None:
        """Wait for a token before anything that is not a read."""
        if request.http_request.method not in ("GET", "HEAD"):
            threading.Event().wait(_bucket.take())
