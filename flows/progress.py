"""A run followed from outside: what its tasks do now, and how they ended."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
    TaskRunFilterSubFlowRuns,
)
from prefect.client.schemas.objects import TERMINAL_STATES, FlowRun, StateType, TaskRun, TaskRunResult
from prefect.client.schemas.sorting import TaskRunSort

from roachmesh.errors import PrefectUnreachable
from tasks.lifeline import LOST_S
from tasks.runs import UNFINISHED, family, is_over

POLL_S = 1.0
LAST_POLL_S = 0.5
QUIET_POLLS = 3
PAGE = 50
SAID_BY_PREFECT = "Task run encountered an exception "


@dataclass(frozen=True)
class Step:
    """A task as it was last seen: in which flow run, in what state, since when, what it says if it failed.

    Attributes:
        kind: What tasks of one function share, whatever they are done to.
        message: None while all is well.
        attempt: Counts from 1.
        inputs: The tasks that it was given, or told to wait for.
    """

    id: UUID
    flow_run: str
    in_subflow: bool
    name: str
    kind: str
    state: StateType
    state_name: str
    started: datetime | None
    finished: datetime | None
    took_s: float
    attempt: int
    message: str | None
    inputs: frozenset[UUID] = frozenset()

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in TERMINAL_STATES

    def __str__(self) -> str:
        """Write it as a line of progress."""
        what = f"{self.flow_run:<26} {self.name:<44} {self.state_name.lower():<10} {self.took_s:5.1f} s"
        return f"{what}  {' '.join(self.message.split())}" if self.message else what


@dataclass(frozen=True)
class News:
    """What one look at a run found: which tasks are under way or wait, and which ended since the last one."""

    under_way: tuple[Step, ...]
    ended: tuple[Step, ...]
    is_over: bool = False


def watch(client: SyncPrefectClient, flow_run_id: UUID) -> Iterator[News]:
    """Look at the tasks of a run and of its subflows every second, until the run itself has ended.

    Prefect records tasks a moment after they end: the last ones may come after the run's own end.
    A server that does not answer for some seconds, as when it is started anew, is waited for.

    Raises:
        PrefectUnreachable: it has not answered for longer than that.
    """
    known: set[UUID] = set()
    quiet = 0
    answered = time.monotonic()
    while quiet < QUIET_POLLS:
        try:
            news = look(client, flow_run_id, known)
            answered = time.monotonic()
        except httpx.HTTPError as exc:
            if time.monotonic() - answered > LOST_S:
                raise PrefectUnreachable(
                    f"lost sight of the run: Prefect does not answer ({exc}).",
                    advice="When it answers again, `roachmesh resume` continues.",
                ) from exc
            news = News((), (), is_over=False)
        known |= {step.id for step in news.ended}
        yield news
        quiet = quiet + 1 if news.is_over and not news.ended else 0
        time.sleep(LAST_POLL_S if news.is_over else POLL_S)  # noqa: TID251 -- it follows, it waits for nothing


def look(client: SyncPrefectClient, flow_run_id: UUID, known: set[UUID], *, everything: bool = False) -> News:
    """Look once at the tasks of a run and of its subflows; `known` are those that are known to have ended.

    It looks behind those that are known only when `everything` is asked for, or the run is over.
    """
    runs = family(client, flow_run_id)
    # A run that was deleted is over too.
    over = all(run.id != flow_run_id or is_over(run) for run in runs)
    # What is under way is read first: what ends between the two is in both, and not in neither.
    under_way = _under_way(client, runs)
    ended = list(_ended(client, runs, known, everything=everything or over))
    done = known | {step.id for step in ended}
    still = tuple(step for step in under_way if step.id not in done)
    return News(still, tuple(reversed(ended)), over)


def follow(client: SyncPrefectClient, flow_run_id: UUID) -> Iterator[Step]:
    """Give every task of a run and of its subflows as it ends, until the run itself has ended."""
    for news in watch(client, flow_run_id):
        yield from news.ended


def _under_way(client: SyncPrefectClient, runs: list[FlowRun]) -> list[Step]:
    page = client.read_task_runs(
        flow_run_filter=_of(runs),
        task_run_filter=_in_state(UNFINISHED),
        sort=TaskRunSort.EXPECTED_START_TIME_ASC,
    )
    return list(_describe(page, runs))


def _ended(
    client: SyncPrefectClient, runs: list[FlowRun], known: set[UUID], *, everything: bool
) -> Iterator[Step]:
    """Give the ended tasks that are not known, latest first.

    Unless `everything` is asked for, it looks no further back than the first page without any news.
    """
    offset, has_news = 0, True
    while has_news or everything:
        page = client.read_task_runs(
            flow_run_filter=_of(runs),
            task_run_filter=_in_state(list(TERMINAL_STATES)),
            sort=TaskRunSort.END_TIME_DESC,
            limit=PAGE,
            offset=offset,
        )
        news = [task_run for task_run in page if task_run.id not in known]
        yield from _describe(news, runs)
        has_news = bool(news)
        offset += PAGE
        if len(page) < PAGE:
            return


def _of(runs: list[FlowRun]) -> FlowRunFilter:
    return FlowRunFilter(id=FlowRunFilterId(any_=[run.id for run in runs]))


def _in_state(kinds: list[StateType]) -> TaskRunFilter:
    """Ask for tasks, without those that only stand for a subflow."""
    return TaskRunFilter(
        state=TaskRunFilterState(type=TaskRunFilterStateType(any_=kinds)),
        subflow_runs=TaskRunFilterSubFlowRuns(exists_=False),
    )


def _describe(page: list[TaskRun], runs: list[FlowRun]) -> Iterator[Step]:
    by_id = {run.id: run for run in runs}
    for task_run in page:
        state = task_run.state
        if state is None or task_run.flow_run_id is None:  # just made: the next look shows more
            continue
        healthy = state.is_completed() or not state.message
        yield Step(
            id=task_run.id,
            flow_run=by_id[task_run.flow_run_id].name,
            in_subflow=by_id[task_run.flow_run_id].parent_task_run_id is not None,
            name=task_run.name,
            kind=task_run.task_key,
            state=state.type,
            state_name=state.name or state.type.value,
            started=task_run.start_time,
            finished=task_run.end_time,
            took_s=task_run.total_run_time.total_seconds(),
            attempt=task_run.run_count,
            message=None if healthy else (state.message or "").removeprefix(SAID_BY_PREFECT),
            inputs=frozenset(
                one.id
                for inputs in task_run.task_inputs.values()
                for one in inputs
                if isinstance(one, TaskRunResult)
            ),
        )
