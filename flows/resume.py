"""A run continued from its last good task: where it ran before."""

import re
from datetime import UTC, datetime, timedelta
from uuid import UUID

import typer
from prefect import Flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterParentTaskRunId,
)
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort
from prefect.states import AwaitingRetry

from flows.deploy import deploy
from flows.destroy import destroy
from flows.terminal import follow_elsewhere, run_here
from flows.verify import verify
from roachmesh.errors import CannotContinue
from tasks.runs import close, is_alive, is_over, page, was_refused
from tasks.wait import wait_until

FLOWS: dict[str, Flow[..., None]] = {flow.name: flow for flow in (deploy, verify, destroy)}
HOW_MANY = 200
LAST_WORD = timedelta(seconds=12)


def resume(wanted: str) -> None:
    """Continue a run: a worker's by its worker, any other in this process.

    Args:
        wanted: The run's id, its page's address, or its name; the last unfinished one when empty.

    Raises:
        CannotContinue: there is no such unfinished run, or it still runs.
    """
    with get_client(sync_client=True) as client:
        run = _find(client, wanted)
        flow = FLOWS[client.read_flow(run.flow_id).name]
        if run.state and run.state.is_completed():
            raise CannotContinue(f"{run.name} is complete: {page(run.id)}", advice="Start a new run.")
        if run.state and run.state.is_paused():
            raise CannotContinue(f"{run.name} waits for an answer on its page: {page(run.id)}")
        if is_alive(run) and not is_over(run):
            raise CannotContinue(
                f"{run.name} still runs: {page(run.id)}", advice="Wait for it, or cancel it."
            )
        close(client, run.id)
        if run.deployment_id and is_over(run):
            _let_the_worker_finish(run)
        client.set_flow_run_state(run.id, AwaitingRetry(message="Resumed at a terminal."), force=True)
        run = client.read_flow_run(run.id)
    if run.deployment_id:
        follow_elsewhere(flow.name, run.id)
    else:
        run_here(flow, run)
    typer.echo(f"{run.name} is complete.")


def _let_the_worker_finish(run: FlowRun) -> None:
    """Wait until a worker's last word about an ended process is said: it would end the new attempt.

    It comes up to 10 s after the first one. Source: measured with Prefect 3.8.8.
    """
    ended = run.state.timestamp if run.state else datetime.now(UTC)
    wait_until(lambda: datetime.now(UTC) - ended > LAST_WORD, what="the worker's last word", timeout_s=60)


def _find(client: SyncPrefectClient, wanted: str) -> FlowRun:
    runs = client.read_flow_runs(
        flow_filter=FlowFilter(name=FlowFilterName(any_=list(FLOWS))),
        # What a night did is the next night's.
        flow_run_filter=FlowRunFilter(parent_task_run_id=FlowRunFilterParentTaskRunId(is_null_=True)),
        sort=FlowRunSort.START_TIME_DESC,
        limit=HOW_MANY,
    )
    if not wanted:
        return _last_unfinished(runs)
    by_id = re.search(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", wanted)
    found = [run for run in runs if (by_id and run.id == UUID(by_id[0])) or run.name == wanted]
    if not found:
        raise CannotContinue(
            f"{wanted!r} is none of the last {HOW_MANY} runs.",
            advice="Write a run's id, its page's address, or its name: 'deploy NAME'. A night begins "
            "anew by *Retry* on its page.",
        )
    return found[0]


def _last_unfinished(runs: list[FlowRun]) -> FlowRun:
    """Find the last run after which none of the same name, which tells verb and topology, was completed."""
    done: set[str] = set()
    for run in runs:
        if run.state and run.state.is_completed():
            done.add(run.name)
        elif run.name not in done and not was_refused(run):
            return run
    raise CannotContinue("every run is complete.", advice="Start a new one.")
