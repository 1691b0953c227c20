"""A run followed from outside: which of its tasks have ended, and how."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterParentFlowRunId,
)
from prefect.client.schemas.objects import FlowRun, TaskRun

POLL_S = 0.5
QUIET_POLLS = 3
PAGE = 200


@dataclass(frozen=True)
class Ended:
    """A task that ended: in which flow run, how, after how many seconds, and what it said if it failed."""

    flow_run: str
    task_run: str
    state: str
    took_s: float
    message: str | None


def follow(client: SyncPrefectClient, flow_run_id: UUID) -> Iterator[Ended]:
    """Give every task of a run and of its subflows as it ends, until the run itself has ended."""
    known: set[UUID] = set()
    quiet = 0
    while quiet < QUIET_POLLS:
        run = client.read_flow_run(flow_run_id)
        new = [found for found in _ended_tasks(client, run) if found[0].id not in known]
        known |= {task_run.id for task_run, _ in new}
        for task_run, name in new:
            yield _describe(task_run, name)
        # Prefect records tasks a moment after they end: the last ones may come after the run's end.
        is_over = run.state is not None and run.state.is_final()
        quiet = quiet + 1 if is_over and not new else 0
        time.sleep(POLL_S)  # noqa: TID251 -- this follows, it waits for nothing in particular


def _ended_tasks(client: SyncPrefectClient, root: FlowRun) -> Iterator[tuple[TaskRun, str]]:
    children = client.read_flow_runs(
        flow_run_filter=FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[root.id])),
        limit=PAGE,
    )
    names = {run.id: run.name for run in (root, *children)}
    for task_run in _pages(client, list(names)):
        if task_run.state and task_run.state.is_final() and task_run.flow_run_id:
            yield task_run, names[task_run.flow_run_id]


def _pages(client: SyncPrefectClient, flow_runs: list[UUID]) -> Iterator[TaskRun]:
    offset = 0
    wanted: Any = FlowRunFilter(id=FlowRunFilterId(any_=flow_runs))
    while page := client.read_task_runs(flow_run_filter=wanted, limit=PAGE, offset=offset):
        yield from page
        offset += len(page)
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
