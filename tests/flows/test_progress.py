"""What a follower sees of a run: here one that ends well but for a task, with a subflow."""

from uuid import UUID

import pytest
from prefect import flow, task
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.flow_engine import run_flow
from prefect.states import Cancelled

from flows.progress import Step, follow, watch
from tasks.runs import GONE, close, family

pytestmark = pytest.mark.usefixtures("prefect")


@task(task_run_name="work on {name}")
def work(name: str) -> None:
    if name == "bad":
        raise ValueError("it is bad")


@flow(flow_run_name="region {name}")
def region(name: str) -> None:
    work(name)


@flow
def whole() -> str:
    work("one")
    region("eastus")
    work("bad", return_state=True)
    return "done"


@pytest.fixture
def run_id() -> UUID:
    with get_client(sync_client=True) as client:
        run = client.create_flow_run(whole)
    assert run_flow(whole, flow_run=run) == "done"
    return run.id


def test_every_task_is_told_once_and_none_that_only_stands_for_a_subflow(run_id: UUID) -> None:
    with get_client(sync_client=True) as client:
        told = list(follow(client, run_id))

    assert [step.name for step in told] == ["work on one", "work on eastus", "work on bad"]
    assert [step.in_subflow for step in told] == [False, True, False]
    assert told[1].flow_run == "region eastus"


def test_a_failed_task_says_why_and_a_good_one_nothing(run_id: UUID) -> None:
    with get_client(sync_client=True) as client:
        good, _, bad = follow(client, run_id)

    assert good.message is None
    assert bad.message == "ValueError: it is bad"
    assert str(bad).split() == [*bad.flow_run.split(), "work", "on", "bad", "failed", *str(bad).split()[-6:]]
    assert str(bad).endswith("s  ValueError: it is bad")


def test_what_is_under_way_is_seen_and_a_cancelled_run_is_over() -> None:
    seen: list[Step] = []
    states: list[str] = []

    @task(task_run_name="slow")
    def slow(run_id: UUID) -> None:
        with get_client(sync_client=True) as client:
            for news in watch(client, run_id):  # ends, since the run does
                if news.under_way and not seen:
                    close(client, run_id, Cancelled())
                seen.extend(news.under_way)
            states.append(str(client.read_flow_run(run_id).state_name))

    @flow
    def follows_itself(run_id: UUID) -> None:
        slow(run_id)

    with get_client(sync_client=True) as client:
        run = client.create_flow_run(follows_itself)
    run_flow(follows_itself, flow_run=run, parameters={"run_id": run.id})

    assert {step.kind.split("-")[0] for step in seen} == {"slow"}
    assert states == ["Cancelled"]


def test_what_is_closed_takes_its_subflows_subflows_with_it() -> None:
    @flow
    def innermost(root: UUID) -> None:
        with get_client(sync_client=True) as client:
            close(client, root)
            [_, inner] = sorted(family(client, root), key=lambda run: run.id != root)
            seen.extend(run.state for run in family(client, inner.id))

    @flow
    def middle(root: UUID) -> None:
        innermost(root)

    @flow
    def outermost(root: UUID) -> None:
        middle(root)

    seen: list[object] = []
    with get_client(sync_client=True) as client:
        run = client.create_flow_run(outermost)
    run_flow(outermost, flow_run=run, parameters={"root": run.id}, return_type="state")

    assert [state.message for state in seen if isinstance(state, State)] == [GONE.message] * 2
