"""One run at a time: whatever changes a topology holds its lock, a variable in Prefect.

Prefect's concurrency limits would not say who holds a slot, and give a killed holder's back after a
minute at the earliest. Source: docs/decisions/0005-the-lock-of-a-topology.md.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import VariableCreate
from prefect.client.schemas.objects import FlowRun, Variable
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.runtime import flow_run

from roachmesh.errors import AlreadyRunning, NotReadyYet
from roachmesh.topology import Model
from tasks.deployment import Deployment, load_credentials
from tasks.lifeline import Lifeline
from tasks.processes import is_there, this_process
from tasks.runs import FENCE, close, is_alive, is_over, page
from tasks.wait import wait_until

PATIENCE_S = 60.0


class Holder(Model):
    """Who holds the lock of a topology."""

    run: UUID
    process: str


@contextmanager
def only_run(deployment: Deployment, last_words: Callable[[], object]) -> Iterator[None]:
    """Hold the topology's lock, so that no deploy meets a destroy, from the UI or a terminal.

    A holder whose process is gone loses it. A run that is ended from outside keeps it: its process is about
    to go, but may not have gone yet. Before that it says its `last_words`.

    Raises:
        AlreadyRunning: another run holds it, and lives.
    """
    with Lifeline(deployment, last_words), topology_lock(deployment.credentials, deployment.plan.topology):
        yield


@contextmanager
def topology_lock(credentials: str, topology: str) -> Iterator[None]:
    """Hold a topology's lock without a lifeline.

    Raises:
        AlreadyRunning: another run holds it, and lives.
    """
    with get_client(sync_client=True) as client:
        lock = _Lock(client, load_credentials(credentials).subscription_id, topology)
        taken = lock.take()
        try:
            yield
        except Exception:
            lock.release(taken)
            raise
        lock.release(taken)


class _Lock:
    """A variable that only one can create, and that is removed by its id: never another's in its place."""

    def __init__(self, client: SyncPrefectClient, subscription: str, topology: str) -> None:
        self._client = client
        self._topology = topology
        self._name = f"roachmesh-{subscription}-{self._topology}"
        self._me = Holder(run=UUID(flow_run.id), process=this_process())
        self._ended_since: dict[UUID, float] = {}

    def take(self) -> Variable:
        what = f"the lock of {self._topology}"
        try:
            return wait_until(self._try, what=what, timeout_s=PATIENCE_S)
        except NotReadyYet as exc:
            raise AlreadyRunning(
                "the process of an earlier run does not end.", where=self._topology, advice="End it."
            ) from exc

    def release(self, taken: Variable) -> None:
        try:
            self._client.request("DELETE", "/variables/{id}", path_params={"id": taken.id})
        except httpx.HTTPStatusError as exc:
            if exc.response.status_code != httpx.codes.NOT_FOUND:  # then somebody was quicker
                raise

    def _try(self) -> Variable | None:
        taken = self._client.read_variable_by_name(self._name)
        if taken is not None:
            if not self._is_gone(Holder.model_validate(taken.value), taken):
                return None
            self.release(taken)
        wanted = VariableCreate(name=self._name, value=self._me.model_dump(mode="json"))
        with suppress(ObjectAlreadyExists):  # then somebody was quicker
            return self._client.create_variable(wanted)
        return None

    def _is_gone(self, holder: Holder, taken: Variable) -> bool:
        """Tell whether a holder can do no harm any more.

        Raises:
            AlreadyRunning: it lives, and nobody has ended its run.
        """
        is_here = is_there(holder.process)
        if is_here is False:
            return True
        try:
            run = self._client.read_flow_run(holder.run)
        except ObjectNotFound:
            run = None
        if run and run.id != self._me.run and not is_over(run):
            if is_here or is_alive(run):
                raise _already_running(self._topology, run)
            close(self._client, run.id)
        first_seen = self._ended_since.setdefault(taken.id, time.monotonic())
        return not is_here and time.monotonic() - first_seen > FENCE.total_seconds()


def _already_running(topology: str, run: FlowRun) -> AlreadyRunning:
    since = f", since {run.start_time:%H:%M:%S} UTC" if run.start_time else ""
    return AlreadyRunning(
        f"another run changes this topology: {run.name}{since}.",
        where=topology,
        advice=f"Wait for it, or cancel it on its page: {page(run.id)}",
    )
