"""Runs in Prefect: which belong together, whether one's process still lives, and how one is closed."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterName,
    FlowRunFilterParentFlowRunId,
    Operator,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import TERMINAL_STATES, FlowRun, State, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.settings import PREFECT_UI_URL
from prefect.states import Crashed

from roachmesh.errors import AlreadyRunning
from tasks.processes import is_there, this_process
from tasks.threads import ask_all

UNFINISHED = [kind for kind in StateType if kind not in TERMINAL_STATES]
UNDER_WAY = [StateType.RUNNING, StateType.CANCELLING]
# Labels of a run: which attempt its process makes, which process that is, and when it was last heard of.
ATTEMPT, PROCESS, HEARD_OF = "roachmesh.attempt", "roachmesh.process", "roachmesh.heard-of"
SILENT = timedelta(minutes=2)
# A process elsewhere sees within seconds that its run was ended, and ends itself: see tasks/lifeline.py.
FENCE = timedelta(seconds=10)
BEGINNING = timedelta(seconds=15)  # from a run's start to its process' introduction
GONE: State[Any] = Crashed(message="Its process is gone.")


def page(flow_run_id: UUID) -> str:
    """Give the address of a run's page in Prefect's UI."""
    return f"{PREFECT_UI_URL.value()}/runs/flow-run/{flow_run_id}"


def introduce(client: SyncPrefectClient, run: FlowRun) -> None:
    """Write into a run that this process makes its present attempt, and that it lives."""
    labels: dict[str, bool | int | float | str] = {
        ATTEMPT: run.run_count,
        PROCESS: this_process(),
        HEARD_OF: datetime.now(UTC).isoformat(),
    }
    client.update_flow_run_labels(run.id, labels)


def is_alive(run: FlowRun) -> bool:
    """Tell whether a run's process lives.

    On the same computer that is certain. A process elsewhere is taken for dead when nothing was heard of
    it for two minutes, or when its run has ended; should it live all the same, it ends itself as soon as
    it sees its run ended.
    """
    is_about_to_begin = run.state is not None and run.state.is_scheduled()
    if run.labels.get(ATTEMPT) == run.run_count and not is_about_to_begin:
        here = is_there(str(run.labels[PROCESS]))
        if here is not None:
            return here
        heard_of, patience = last_heard_of(run), SILENT
    else:  # it has only just begun, or died before it could introduce itself
        began = run.state.timestamp if run.state else run.created
        heard_of, patience = began or datetime.now(UTC), BEGINNING
    return not is_over(run) and datetime.now(UTC) - heard_of < patience


def last_heard_of(run: FlowRun) -> datetime:
    """Say when a process last wrote into a run that it lives."""
    return datetime.fromisoformat(str(run.labels[HEARD_OF]))


def are_at_work(client: SyncPrefectClient, flow_run_ids: list[UUID]) -> bool:
    """Tell whether processes of these runs' regions may still live, although somebody ended their runs."""
    parents = FlowRunFilterParentFlowRunId(any_=flow_run_ids)
    regions = client.read_flow_runs(
        flow_run_filter=FlowRunFilter(parent_flow_run_id=parents), sort=FlowRunSort.START_TIME_DESC
    )
    return any(_is_at_work(run) for run in regions)


def _is_at_work(region: FlowRun) -> bool:
    state, process = region.state, region.labels.get(PROCESS)
    if process is None or state is None or state.is_completed() or state.is_failed():
        return False
    here = is_there(str(process))
    return here if here is not None else datetime.now(UTC) - state.timestamp < FENCE


def is_over(run: FlowRun) -> bool:
    """Tell whether Prefect holds a run for ended."""
    return run.state is not None and run.state.is_final()


def was_refused(run: FlowRun) -> bool:
    """Tell whether a run did nothing at all, since another one worked on its topology."""
    message = run.state.message if run.state else None
    return run.run_count == 1 and AlreadyRunning.__name__ in (message or "")


def family(client: SyncPrefectClient, flow_run_id: UUID) -> list[FlowRun]:
    """Read a run and its subflows."""
    wanted = FlowRunFilter(
        operator=Operator.or_,  # type: ignore[call-arg]  # a mixin's field, which mypy does not see
        id=FlowRunFilterId(any_=[flow_run_id]),
        parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[flow_run_id]),
    )
    return client.read_flow_runs(flow_run_filter=wanted)


def close(client: SyncPrefectClient, flow_run_id: UUID, state: State[Any] = GONE) -> None:
    """Set everything unfinished of a run to `state`: its tasks and subflows first, the run itself last."""
    close_children(client, [flow_run_id], state)
    if not is_over(client.read_flow_run(flow_run_id)):
        client.set_flow_run_state(flow_run_id, state, force=True)


def close_children(client: SyncPrefectClient, flow_run_ids: list[UUID], state: State[Any] = GONE) -> None:
    """Set the unfinished tasks and subflows of runs to `state`, and those of their subflows."""
    if not flow_run_ids:
        return
    parents = FlowRunFilterParentFlowRunId(any_=flow_run_ids)
    subflows = client.read_flow_runs(flow_run_filter=FlowRunFilter(parent_flow_run_id=parents))
    close_children(client, [run.id for run in subflows], state)
    _close_tasks(client, flow_run_ids, state)
    for run in subflows:
        if not is_over(run):
            client.set_flow_run_state(run.id, state, force=True)


def latest(client: SyncPrefectClient, topology: str, verbs: Iterable[str], limit: int = 50) -> list[FlowRun]:
    """Read the latest runs that did one of these to a topology, newest first. Their names tell."""
    return latest_named(client, [f"{verb} {topology}" for verb in verbs], limit)


def latest_named(client: SyncPrefectClient, names: list[str], limit: int = 50) -> list[FlowRun]:
    """Read the latest runs of these names, newest first."""
    wanted = FlowRunFilter(name=FlowRunFilterName(any_=names))
    return client.read_flow_runs(flow_run_filter=wanted, sort=FlowRunSort.START_TIME_DESC, limit=limit)


def close_what_died(client: SyncPrefectClient, runs: Iterable[FlowRun]) -> list[FlowRun]:
    """Close those of these runs whose process is gone, and what runs that ended left behind.

    Returns:
        The runs that claimed to be under way.
    """
    dead = [run for run in runs if not is_alive(run)]
    claiming = [run for run in dead if run.state and run.state.type in UNDER_WAY]
    close_children(client, [run.id for run in dead if is_over(run)])
    for run in claiming:
        close(client, run.id)
    return claiming


def _close_tasks(client: SyncPrefectClient, flow_run_ids: list[UUID], state: State[Any]) -> None:
    of_runs = FlowRunFilter(id=FlowRunFilterId(any_=flow_run_ids))
    unfinished = TaskRunFilter(state=TaskRunFilterState(type=TaskRunFilterStateType(any_=UNFINISHED)))
    close_one = partial(client.set_task_run_state, state=state, force=True)
    # A page at a time; those that are closed are not on the next one.
    while found := client.read_task_runs(flow_run_filter=of_runs, task_run_filter=unfinished):
        ask_all(close_one, [task_run.id for task_run in found])
