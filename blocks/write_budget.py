"""A pace for writes, below the one at which Azure Resource Manager refills its own bucket."""

import threading
import time
from contextlib import suppress
from functools import cache
from typing import Any

import httpx
from azure.core.pipeline import PipelineRequest
from azure.core.pipeline.policies import SansIOHTTPPolicy
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError
from prefect.concurrency.sync import rate_limit
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.settings import PREFECT_API_URL

from blocks.logger import logger

# Azure refills 10 writes a second into a bucket of 200, per subscription and principal.
# Source: "Understand how Azure Resource Manager throttles requests".
WRITES_PER_SECOND = 8.0
BURST = 100.0
PATIENCE_S = 300.0


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


def share_write_budget(subscription_id: str) -> None:
    """Have Prefect keep one budget for all processes that write into a subscription, from now on.

    Whoever has changed the limit's rate in Prefect keeps his.
    """
    made = GlobalConcurrencyLimitCreate(
        name=_shared_name(subscription_id), limit=int(BURST), slot_decay_per_second=WRITES_PER_SECOND
    )
    with get_client(sync_client=True) as client, suppress(ObjectAlreadyExists):
        client.create_global_concurrency_limit(made)
    _is_shared.cache_clear()


class WriteBudget(SansIOHTTPPolicy[Any, Any]):
    """Holds back writes that would only be throttled: of all processes, or of all clients in this one."""

    def __init__(self, subscription_id: str) -> None:
        self._shared = _shared_name(subscription_id)

    def on_request(self, request: PipelineRequest[Any]) -> None:
        """Wait for a token before anything that is not a read."""
        if request.http_request.method in ("GET", "HEAD"):
            return
        try:
            if _is_shared(self._shared):
                rate_limit(self._shared, timeout_seconds=PATIENCE_S, strict=True)
                return
        except (httpx.HTTPError, ConcurrencySlotAcquisitionError, TimeoutError) as exc:
            logger().warning("Prefect does not keep the pace of writes, this process keeps its own: %s", exc)
        threading.Event().wait(_bucket.take())


def _shared_name(subscription_id: str) -> str:
    return f"roachmesh-writes-{subscription_id}"


@cache
def _is_shared(name: str) -> bool:
    """Tell whether Prefect keeps such a budget; without a server nobody does."""
    if not PREFECT_API_URL.value():
        return False
    with get_client(sync_client=True) as client:
        try:
            client.read_global_concurrency_limit_by_name(name)
        except ObjectNotFound:
            return False
    return True
