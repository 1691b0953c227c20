"""Regions on workers: each is a deployment run of its own, watched by the task that needs it."""

from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

import httpx
from prefect import Task
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State, TaskRun, WorkPoolStatus
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from prefect.filesystems import WritableFileSystem
from prefect.results import get_default_result_storage
from prefect.runtime import flow_run
from prefect.states import Crashed

from blocks.write_budget import share_write_budget
from roachmesh.errors import CannotFanOut, NotReadyYet, RegionLost, RoachmeshError
from roachmesh.plan import RegionPlan
from tasks.deployment import Deployment, load_credentials
from tasks.lifeline import Lifeline
from tasks.runs import close, is_alive, is_over, page
from tasks.wait import wait_until

REGION = "region/region"  # in prefect.yaml
LOOK_EVERY_S = 2.0
PATIENCE_S = 4 * 3600.0  # other regions may have their turn before
STARTING = timedelta(minutes=10)  # from a worker's "mine" to the run's own start: an image may be fetched


def prepare_workers(deployment: Deployment) -> None:
    """See to it that regions can run on workers, and that those keep one pace of writes together.

    Raises:
        CannotFanOut: something is missing for that; says what to do.
    """
    where = deployment.plan.topology
    require_shared_results(where)
    with get_client(sync_client=True) as client:
        try:
            found = client.read_deployment_by_name(REGION)
            pool = client.read_work_pool(str(found.work_pool_name))
        except ObjectNotFound as exc:
            raise CannotFanOut(
                f"Prefect has no deployment {REGION}, or not its work pool.",
                where=where,
                advice="Register it: prefect --no-prompt deploy --all",
            ) from exc
    if pool.is_paused:
        raise CannotFanOut(
            f"the work pool {pool.name} is paused.",
            where=where,
            advice=f"Let it go on: prefect work-pool resume {pool.name}",
        )
    if pool.status != WorkPoolStatus.READY:
        raise CannotFanOut(
            f"no worker would take a region: the work pool {pool.name} is {pool.status}.",
            where=where,
            advice=f"Start one, better two: prefect worker start --pool {pool.name}",
        )
    share_write_budget(load_credentials(deployment.credentials).subscription_id)


def require_shared_results(where: str) -> None:
    """Make sure that what one worker remembers, others find.

    Raises:
        CannotFanOut: this computer keeps results in a folder of its own.
    """
    storage = cast("WritableFileSystem", get_default_result_storage())
    if storage._block_document_id is None:
        raise CannotFanOut(
            "results are kept in a folder of this computer, where no other worker finds them.",
            where=where,
            advice="Save a block for storage that all workers reach, then: "
            "prefect experimental result-storage set BLOCK",
        )


def run_on_worker(deployment: Deployment, region: RegionPlan) -> Any:
    """Have a worker run a region's flow, and give what that gives.

    Raises:
        RegionLost: its process is gone; what it finished is remembered.
        NotReadyYet: no worker has taken it, or it has not ended.
        RoachmeshError: what it failed with.
    """
    given = {"deployment": deployment, "region": region}
    parameters = {name: model.model_dump(mode="json") for name, model in given.items()}
    started = run_deployment(REGION, parameters=parameters, flow_run_name=f"region {region.name}", timeout=0)
    made = cast("FlowRun", started)
    with get_client(sync_client=True) as client:
        ended = wait_until(
            lambda: _read_end(client, made.id),
            what=f"region {region.name} on a worker",
            timeout_s=PATIENCE_S,
            every_s=LOOK_EVERY_S,
        )
    if ended.is_crashed() or ended.is_cancelled():
        raise RegionLost(
            f"its run on a worker has ended: {ended.message or ended.name}.",
            where=f"region {region.name}",
            advice=f"Its page: {page(made.id)}",
        )
    return _result_of(ended, region)


def is_lost(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    """Tell whether a region failed for its process alone; its tasks have tried everything else again."""
    return isinstance(state.result(raise_on_failure=False), RegionLost)


def _read_end(client: SyncPrefectClient, flow_run_id: UUID) -> State[Any] | None:
    """Give the state that a region's run has ended in; close one whose process is gone."""
    try:
        run = client.read_flow_run(flow_run_id)
        if run.state is None or run.state.is_scheduled():
            raise NotReadyYet("no worker has taken it. Is there one with a free place?")
        is_starting = run.state.is_pending() and datetime.now(UTC) - run.state.timestamp < STARTING
        if not is_over(run) and not is_starting and not is_alive(run):
            close(client, run.id)
            run = client.read_flow_run(run.id)
    except ObjectNotFound:
        return Crashed(message="it was deleted in Prefect")
    except httpx.HTTPError as exc:
        raise NotReadyYet(f"Prefect does not answer: {exc}") from exc
    return run.state if is_over(run) else None


def _result_of(ended: State[Any], region: RegionPlan) -> Any:
    """Give the region's result, or raise what it failed with."""
    try:
        result = ended.result(raise_on_failure=False)
    except Exception as exc:
        if not ended.is_completed():  # its error is of a kind that cannot be made again from its message
            raise RoachmeshError(ended.message or "", where=f"region {region.name}") from exc
        raise CannotFanOut(
            f"what its worker remembered is not found here: {exc}",
            where=f"region {region.name}",
            advice="All workers must reach the same result storage, and decrypt with the same block.",
        ) from exc
    if isinstance(result, BaseException):
        raise result
    return result


class RegionLifeline(Lifeline):
    """Ends a region's process also when the run ends that wanted it, and says nothing of what exists."""

    def _close_what_died(self, client: SyncPrefectClient) -> None:
        """Refuse what nobody waits for: a run that was given up, or was not started by a deployment."""
        stand_in = self._run.parent_task_run_id
        self._parent = client.read_task_run(stand_in).flow_run_id if stand_in else None
        given_up = any(state.is_final() for state in client.read_flow_run_states(self._run.id))
        if given_up or not self._is_wanted(client):
            raise CannotFanOut(
                "nobody waits for this region.",
                where=f"run {flow_run.name}",
                advice="Deploy with `fan_out: workers`, or resume the run that wanted it.",
            )

    def _is_ended(self, client: SyncPrefectClient, run: FlowRun) -> bool:
        is_cancelling = run.state is None or run.state.is_cancelling()
        return is_cancelling or is_over(run) or not self._is_wanted(client)

    def _is_wanted(self, client: SyncPrefectClient) -> bool:
        if self._parent is None:
            return False
        try:
            parent = client.read_flow_run(self._parent)
        except ObjectNotFound:
            return False
        return is_alive(parent) and not is_over(parent)

    def _say_what_exists(self) -> None:
        """Leave that to the run that wanted it."""
