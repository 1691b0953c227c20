"""A run followed from outside: which of its tasks have ended, and how."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterParentFlowRunId,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import TERMINAL_STATES, FlowRun, TaskRun
from prefect.client.schemas.sorting import TaskRunSort

POLL_S = 0.5
QUIET_POLLS = 3
PAGE = 50


@dataclass(frozen=True)
class Ended:
    """A task that ended: in which flow run, how, after how many seconds, and what it said if it failed."""

    flow_run: str
    task_run: str
    state: str
    took_s: float
    message: str | None


def follow(client: SyncPrefectClient, flow_run_id: UUID) -> Iterator[Ended]:
    """Give every task of a run and of its subflows as it ends, until the run itself has ended.

    Prefect records tasks a moment after they end: the last ones may come after the run's own end.
    """
    known: set[UUID] = set()
    quiet = 0
    while quiet < QUIET_POLLS:
        run = client.read_flow_run(flow_run_id)
        is_over = run.state is not None and run.state.is_final()
        new = list(_ended(client, run, known, everything=is_over))
        known |= {task_run.id for task_run, _ in new}
        for task_run, name in reversed(new):
            yield _describe(task_run, name)
        quiet = quiet + 1 if is_over and not new else 0
        time.sleep(POLL_S)  # noqa: TID251 -- this follows, it waits for nothing in particular


def _ended(
    client: SyncPrefectClient, root: FlowRun, known: set[UUID], *, everything: bool
) -> Iterator[tuple[TaskRun, str]]:
    """Give the ended tasks that are not known, latest first, with the names of their flow runs.

    Unless `everything` is asked for, it looks no further back than the first page without any news.
    """
    children = client.read_flow_runs(
        flow_run_filter=FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[root.id]))
    )
    names = {run.id: run.name for run in (root, *children)}
    final = TaskRunFilterState(type=TaskRunFilterStateType(any_=list(TERMINAL_STATES)))
    offset, has_news = 0, True
    while has_news or everything:
        page = client.read_task_runs(
            flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=list(names))),
            task_run_filter=TaskRunFilter(state=final),
            sort=TaskRunSort.END_TIME_DESC,
            limit=PAGE,
            offset=offset,
        )
        news = [task_run for task_run in page if task_run.id not in known]
        yield from ((one, names[one.flow_run_id]) for one in news if one.flow_run_id)
        has_news = bool(news)
        offset += PAGE
        if len(page) < PAGE:
            return


def _describe(task_run: TaskRun, flow_run: str) -> Ended:
    state = task_run.state
    return Ended(
        flow_run=flow_run,
        task_run=task_run.name,
        state=state.name or state.type.value if state else "Unknown",
        took_s=task_run.total_run_time.total_seconds(),
        message=state.message if state and not state.is_completed() else None,
    )
