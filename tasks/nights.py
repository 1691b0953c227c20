"""Nights as Prefect remembers them: what each stage took, and how it ended."""

from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    TaskRunFilter,
    TaskRunFilterName,
)
from prefect.client.schemas.objects import FlowRun, State, TaskRun
from prefect.runtime import flow_run

from roachmesh.render.nightly import SIGNS, Night, Stage
from tasks.runs import family, last_heard_of, latest, page

NIGHTS = 14  # two weeks


def read_earlier(topology: str) -> list[Night]:
    """Read the nights before this one, the latest first; those that were refused did nothing and are none."""
    with get_client(sync_client=True) as client:
        runs = [run for run in latest(client, topology, ["nightly"], NIGHTS + 1) if run.id != _own_id()]
        nights = [_night(client, run) for run in runs]
    return [night for night in nights if night]


def read_page(run_name: str) -> str:
    """Give the page of this night's last run of that name; empty where there is none, or no answer."""
    try:
        with get_client(sync_client=True) as client:
            runs = [run for run in family(client, _own_id()) if run.name == run_name]
    except httpx.HTTPError:
        return ""
    last = max(runs, key=lambda run: run.created or _never(), default=None)
    return page(last.id) if last else ""


def _night(client: SyncPrefectClient, run: FlowRun) -> Night | None:
    """Read the stages of a night's last attempt; None where it came to none."""
    task_runs = client.read_task_runs(
        flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run.id])),
        task_run_filter=TaskRunFilter(name=TaskRunFilterName(any_=list(SIGNS))),
    )
    begun = sorted((one for one in task_runs if one.start_time), key=_began)
    # Not the run's own count, which may be ahead: see `_contradict` in tasks/lifeline.py.
    attempt = max((one.flow_run_run_count for one in begun), default=0)
    last = [one for one in begun if one.flow_run_run_count == attempt]
    if not last:
        return None
    completed = run.state is not None and run.state.is_completed()
    return Night(_began(last[0]), tuple(_stage(run, one) for one in last), completed)


def _stage(run: FlowRun, task_run: TaskRun) -> Stage:
    """Give a stage; one whose process died was ended by who found that out, maybe a day later."""
    outcome = _outcome(task_run.state)
    took = task_run.total_run_time
    if outcome == "unfinished":
        took = max(last_heard_of(run) - _began(task_run), timedelta())
    return Stage(task_run.name, took.total_seconds(), outcome)


def _began(task_run: TaskRun) -> datetime:
    return task_run.start_time or _never()


def _outcome(state: State[None] | None) -> Literal["done", "failed", "unfinished"]:
    """Say how a stage ended, if it did."""
    if state and state.is_completed():
        return "done"
    return "failed" if state and state.is_failed() else "unfinished"


def _own_id() -> UUID:
    return UUID(flow_run.id)


def _never() -> datetime:
    return datetime.max.replace(tzinfo=UTC)
