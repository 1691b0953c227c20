"""Long-running operations: they finish by the clock when somebody looks, or when their work is done.

There are no timers: an operation knows when it will be over, and is asked. Only what really takes
time (a machine that boots, a group that goes) runs as work in a thread, and ends its operation.
"""

import logging
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sandbox.arm.errors import ArmError

KEPT_S = 3600.0  # a client that was killed may come back with its continuation token
POLL_MS, WORK_POLL_MS = 50, 400
# How long Azure asks who polls to wait: 3 s for what is soon over, 10 s for what is not.
# Source: azure-cli's recorded tests: a VNet was polled 3 s after its PUT, a VPN gateway after 10 s.
SOON_S, RETRY_AFTER_SOON_S, RETRY_AFTER_S = 10.0, 3.0, 10.0
Work = Callable[[], None]

log = logging.getLogger(__name__)


@dataclass
class Operation:
    """One accepted write.

    Attributes:
        shows: The resource's provisioningState meanwhile: Creating, Updating, Deleting.
        takes_s: Seconds that it takes on Azure.
        ready_at: The operation is not over before this moment.
        version: The store's version that the fabric has to carry first.
        working: Work of this operation still runs, or waits for its thread.
        result: What who polls gets in the end, where it is more than that it is over.
    """

    location: str
    namespace: str
    shows: str
    started_at: float
    takes_s: float
    ready_at: float
    version: int = 0
    working: bool = False
    error: ArmError | None = None
    ended_at: float | None = None
    result: dict[str, Any] | None = None
    id: str = field(default_factory=lambda: str(uuid.uuid4()))


class Operations:
    """All operations of the last hour.

    Args:
        clock: Seconds; the tests have their own.
        carried_version: Tells up to which version of the store the fabric carries packets.
        pace: Of what starts now: 0 is as fast as it goes; 1 takes as long as Azure typically takes.
    """

    def __init__(
        self, clock: Callable[[], float], carried_version: Callable[[], float], pace: Callable[[], float]
    ) -> None:
        self._clock, self._carried_version, self._pace = clock, carried_version, pace
        self._operations: dict[str, Operation] = {}
        self._after: list[tuple[Operation, Work]] = []
        self._pool = ThreadPoolExecutor(max_workers=64, thread_name_prefix="operation")

    def retry_after_ms(self, operation: Operation) -> int:
        """How long a client should wait between two polls.

        Real work takes seconds, and needs the processor that polling would burn.
        """
        asked_s = RETRY_AFTER_SOON_S if operation.takes_s < SOON_S else RETRY_AFTER_S
        return max(WORK_POLL_MS if operation.working else POLL_MS, int(1000 * asked_s * self._pace()))

    def start(self, *, location: str, namespace: str, shows: str, seconds: float) -> Operation:
        """Accept a write that takes `seconds` on Azure."""
        self._purge()
        now = self._clock()
        ready_at = now + seconds * self._pace()
        operation = Operation(location, namespace, shows, now, seconds, ready_at)
        self._operations[operation.id] = operation
        return operation

    def find(self, operation_id: str) -> Operation | None:
        """The operation with this id; None once it was purged."""
        return self._operations.get(operation_id.lower())

    def status(self, operation: Operation) -> str:
        """InProgress, Succeeded or Failed, as of now."""
        if operation.working:
            return "InProgress"
        if operation.error:
            return "Failed"
        waits = self._clock() < operation.ready_at or self._carried_version() < operation.version
        return "InProgress" if waits else "Succeeded"

    def provisioning_state(self, operation: Operation | None) -> str:
        """What a resource says of itself, given its last write."""
        status = self.status(operation) if operation else "Succeeded"
        return operation.shows if operation and status == "InProgress" else status

    def run(self, operation: Operation, work: Work) -> None:
        """Do the operation's real work in a thread; the operation is over when it returns or raises."""
        operation.working = True
        self._pool.submit(self._run, operation, work)

    def afterwards(self, operation: Operation, change: Work) -> None:
        """Make `change` when the operation is over: at once, or on the first look after its time."""
        self._after.append((operation, change))
        self.settle()

    def settle(self) -> None:
        """Make the changes whose operations' time has come. Every request begins with this."""
        due = [(operation, change) for operation, change in self._after if self._is_due(operation)]
        if due:
            self._after = [waiting for waiting in self._after if waiting not in due]
        for _, change in due:
            change()

    def close(self) -> None:
        """Wait for no work any more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _is_due(self, operation: Operation) -> bool:
        return not operation.working and self._clock() >= operation.ready_at

    def _run(self, operation: Operation, work: Work) -> None:
        try:
            work()
        except ArmError as error:
            log.warning("operation %s failed: %s", operation.id, error)
            operation.error = error
        except Exception as error:
            log.exception("operation %s failed", operation.id)
            operation.error = ArmError(500, "InternalServerError", f"{type(error).__name__}: {error}")
        finally:
            operation.ended_at = self._clock()
            operation.working = False

    def _purge(self) -> None:
        """Drop what nobody can be waiting for any more; the oldest come first."""
        horizon = self._clock() - KEPT_S
        for operation in list(self._operations.values()):
            if operation.working or max(operation.ready_at, operation.ended_at or 0) > horizon:
                return
            del self._operations[operation.id]


def status_document(operation: Operation, status: str, resource_id: str) -> dict[str, Any]:
    """What `.../operations/{id}` answers with."""
    document: dict[str, Any] = {"id": resource_id, "name": operation.id, "status": status}
    document["startTime"] = timestamp(operation.started_at)
    if status != "InProgress":
        document["endTime"] = timestamp(operation.ended_at or operation.ready_at)
    if operation.error and status == "Failed":
        document["error"] = {"details": [], **operation.error.body()}
    return document


def timestamp(seconds: float) -> str:
    """Seconds since 1970 as Azure writes time."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
