"""Nights as Prefect remembers them: what each stage took, and how it ended."""

from datetime import UTC, datetime
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
from prefect.client.schemas.objects import FlowRun, State
from prefect.runtime import flow_run

from roachmesh.render.nightly import SIGNS, Night, Stage
from tasks.runs import family, latest, page

NIGHTS = 14  # two weeks


def read_earlier(topology: str) -> list[Night]:
    """Read the nights before this one, the latest first; those that were refused did nothing and are none."""
    with get_client(sync_client=True) as client:
        runs = [run for run in latest(client, topology, ["nightly"], NIGHTS + 1) if run.id != _own_id()]
        nights = [_night(client, run) for run in runs]
    return [night for night in nights if night.stages]


def read_page(run_name: str) -> str:
    """Give the page of this night's last run of that name; empty where there is none, or no answer."""
    try:
        with get_client(sync_client=True) as client:
            runs = [run for run in family(client, _own_id()) if run.name == run_name]
    except httpx.HTTPError:
        return ""
    last = max(runs, key=lambda run: run.created or _never(), default=None)
    return page(last.id) if last else ""


def _night(client: SyncPrefectClient, run: FlowRun) -> Night:
    task_runs = client.read_task_runs(
        flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run.id])),
        task_run_filter=TaskRunFilter(name=TaskRunFilterName(any_=list(SIGNS))),
    )
    stages = [
        Stage(one.name, one.total_run_time.total_seconds(), _outcome(one.state))
        for one in sorted(task_runs, key=lambda one: one.start_time or _never())
        if one.start_time
    ]
    return Night(began=run.start_time or _never(), stages=tuple(stages))


def _outcome(state: State[None] | None) -> Literal["done", "failed", "unfinished"]:
    """Say how a stage ended, if it did."""
    if state and state.is_completed():
        return "done"
    return "failed" if state and state.is_failed() else "unfinished"


def _own_id() -> UUID:
    return UUID(flow_run.id)


def _never() -> datetime:
    return datetime.max.replace(tzinfo=UTC)
