"""Who holds a topology's lock, what becomes of it when that process dies, and what the dead leave behind."""

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prefect import flow, task
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import VariableCreate
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun
from prefect.states import Cancelled, Running

from blocks import AzureCredentials
from roachmesh.errors import AlreadyRunning, BlockMissing
from tasks import overlap
from tasks.deployment import Deployment, load_block
from tasks.overlap import only_run
from tasks.processes import this_process
from tasks.runs import ATTEMPT, HEARD_OF, PROCESS, family
from tests.flows.conftest import Cloud

ELSEWHERE = "another-kernel pid:[1] 17 4711"


@task(task_run_name="unfinished")
def unfinished() -> None: ...


@flow(name="region")
def region() -> None: ...


def run_alone(deployment: Deployment, work: Callable[[], object] = lambda: None) -> None:
    """Run a flow that changes the topology, and does `work` meanwhile."""

    @flow(name="deploy", flow_run_name=f"deploy {deployment.plan.topology}")
    def changing() -> None:
        with only_run(deployment, last_words=lambda: None):
            work()

    changing()


def left_running(deployment: Deployment, process: str, heard_of: datetime = datetime.min) -> FlowRun:
    """Make a run as a process leaves it: Running, with a task and a subflow, and the lock in its hand."""

    @flow(name="deploy")
    def changing() -> None: ...

    with get_client(sync_client=True) as client:
        run = client.create_flow_run(changing, name=f"deploy {deployment.plan.topology}", state=Running())
        client.create_task_run(unfinished, run.id, dynamic_key="1", state=Running())
        stand_in = client.create_task_run(unfinished, run.id, dynamic_key="2", state=Running())
        client.create_flow_run(region, parent_task_run_id=stand_in.id, state=Running())
        labels: Any = {ATTEMPT: run.run_count, PROCESS: process}
        labels[HEARD_OF] = heard_of.replace(tzinfo=UTC).isoformat()
        client.update_flow_run_labels(run.id, labels)
        subscription = load_block(AzureCredentials, deployment.credentials).subscription_id
        name = f"roachmesh-{subscription}-{deployment.plan.topology}"
        client.create_variable(VariableCreate(name=name, value={"run": str(run.id), "process": process}))
        return client.read_flow_run(run.id)


def states_of(run: FlowRun) -> set[str]:
    """The states of a run, its subflows and all their tasks."""
    with get_client(sync_client=True) as client:
        runs = family(client, run.id)
        of_runs = FlowRunFilter(id=FlowRunFilterId(any_=[one.id for one in runs]))
        tasks = client.read_task_runs(flow_run_filter=of_runs)
    return {str(one.state_name) for one in (*runs, *tasks)}


def dead_process() -> str:
    """The name of a process that was here."""
    program = "from tasks.processes import this_process; print(this_process())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_second_run_of_the_same_topology_is_refused_and_told_whose_turn_it_is(cloud: Cloud) -> None:
    deployment = cloud.deployment(name="overlap")

    def second() -> None:
        with pytest.raises(AlreadyRunning, match=r"deploy overlap, since \d\d:.*cancel it on its page: http"):
            run_alone(deployment)

    run_alone(deployment, second)


def test_another_topology_and_a_later_run_are_not(cloud: Cloud) -> None:
    one, other = cloud.deployment(name="one"), cloud.deployment(name="other")
    done: list[str] = []

    run_alone(one, lambda: run_alone(other, lambda: done.append("other")))
    run_alone(one, lambda: done.append("later"))

    assert done == ["other", "later"]


def test_a_run_that_failed_leaves_no_lock(cloud: Cloud) -> None:
    deployment = cloud.deployment(name="failing")
    done: list[str] = []

    with pytest.raises(ZeroDivisionError):
        run_alone(deployment, lambda: 1 / 0)
    run_alone(deployment, lambda: done.append("later"))

    assert done == ["later"]


def test_a_dead_process_loses_the_lock_at_once_and_what_it_left_running_is_closed(cloud: Cloud) -> None:
    deployment = cloud.deployment(name="killed")
    dead = left_running(deployment, dead_process())
    assert states_of(dead) == {"Running"}

    run_alone(deployment)

    assert states_of(dead) == {"Crashed"}


def test_a_process_elsewhere_that_is_heard_of_keeps_it(cloud: Cloud) -> None:
    deployment = cloud.deployment(name="far")
    living = left_running(deployment, ELSEWHERE, heard_of=datetime.now(UTC))

    with pytest.raises(AlreadyRunning, match="deploy far"):
        run_alone(deployment)

    assert states_of(living) == {"Running"}


def test_a_process_elsewhere_that_fell_silent_loses_it_once_it_had_time_to_notice(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overlap, "FENCE", timedelta(seconds=2))
    deployment = cloud.deployment(name="silent")
    silent = left_running(deployment, ELSEWHERE)
    seen: list[set[str]] = []

    run_alone(deployment, lambda: seen.append(states_of(silent)))

    assert seen == [{"Crashed"}]


def test_an_ended_run_whose_process_is_still_there_is_waited_for(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overlap, "PATIENCE_S", 1.0)
    deployment = cloud.deployment(name="ending")
    ending = left_running(deployment, this_process())
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(ending.id, Cancelled(), force=True)

    with pytest.raises(AlreadyRunning, match="the process of an earlier run does not end"):
        run_alone(deployment)


def test_a_block_that_nobody_saved_is_named(cloud: Cloud) -> None:
    with pytest.raises(BlockMissing, match="no block azure-credentials/nowhere"):
        load_block(AzureCredentials, "nowhere")


def test_without_an_artifacts_block_the_official_hosts_are_asked(cloud: Cloud) -> None:
    deployment: Deployment = cloud.deployment(name="official")

    assert deployment.artifact_source().base_url is None
