"""A run that waits for an answer: what lets it go on, what ends it, and that nothing is touched before."""

from collections.abc import Iterator
from typing import Any

import pytest
from prefect import flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.client.schemas.objects import State
from prefect.exceptions import Pause
from prefect.flow_engine import run_flow
from prefect.states import Scheduled

from flows.approval import approve_deployment, approve_destruction
from roachmesh.errors import NotApproved
from tasks.deployment import Deployment
from tasks.network import ensure_route_table
from tests.flows.conftest import Cloud
from tests.flows.test_azure_tasks import EASTUS

BOB = {"decision": "approve", "name": "Bob"}


@flow(name="asks-before-deploying")
def asks_before_deploying(deployment: Deployment) -> str:
    approve_deployment(deployment)
    return "went on"


@flow(name="asks-before-destroying")
def asks_before_destroying(deployment: Deployment) -> str:
    approve_destruction(deployment)
    return "went on"


class Run:
    """A run of a Prefect deployment, as a worker has it."""

    def __init__(self, client: SyncPrefectClient, asking: Any, deployment: Deployment) -> None:
        self._client, self._flow = client, asking
        registered = client.create_deployment(client.create_flow(asking), name=asking.name)
        parameters = {"deployment": deployment.model_dump(mode="json")}
        self.id = client.create_flow_run_from_deployment(registered, parameters=parameters).id

    def work(self) -> State[Any]:
        """Run it in a process, as far as it goes: up to its question, or its end."""
        flow_run = self._client.read_flow_run(self.id)
        parameters = self._flow.validate_parameters(flow_run.parameters)
        try:
            state = run_flow(self._flow, flow_run=flow_run, parameters=parameters, return_type="state")
        except Pause as asked:
            state = asked.state
        assert isinstance(state, State)
        return state

    def answer(self, **run_input: Any) -> str:
        """Answer as the UI does; gives why the answer is refused, or nothing."""
        said = self._client.request(
            "POST", "/flow_runs/{id}/resume", path_params={"id": self.id}, json={"run_input": run_input}
        ).json()
        return str(said["details"]["reason"]) if said["status"] == "REJECT" else ""

    def artifacts(self, key: str) -> list[str]:
        """What it showed on its page under a key."""
        of_run = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[self.id]))
        return [
            str(one.data) for one in self._client.read_artifacts(artifact_filter=of_run) if one.key == key
        ]


@pytest.fixture
def client(cloud: Cloud) -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as client:
        yield client


def test_a_run_waits_until_somebody_approves_and_says_who_did(
    cloud: Cloud, client: SyncPrefectClient
) -> None:
    run = Run(client, asks_before_deploying, cloud.deployment(name="approved", regions=[EASTUS]))

    asked = run.work()
    assert asked.name == "Suspended"
    assert run.answer(**BOB, reason="for a | test") == ""
    assert run.work().result() == "went on"

    [approval] = run.artifacts("approval")
    assert "| approve | Bob | 20" in approval
    assert "for a \\| test" in approval
    [_plan] = run.artifacts("plan")  # once, although the run began twice
    [changes] = run.artifacts("what-would-change")
    assert "| NSG nsg-eastus | missing |  | create it |" in changes


@pytest.mark.parametrize(
    ("run_input", "refused"),
    [
        ({}, "'decision' is a required property"),
        ({"decision": "approve"}, "'name' is a required property"),
        ({"decision": "approve", "name": ""}, "name"),
        ({"decision": "approve", "name": " \n"}, "does not match"),
        ({"decision": "perhaps", "name": "Bob"}, "'perhaps' is not one of ['approve', 'reject']"),
    ],
    ids=["empty", "no name", "empty name", "blank name", "unknown decision"],
)
def test_an_answer_that_is_none_is_refused_and_the_run_waits_on(
    waiting: Run, client: SyncPrefectClient, run_input: dict[str, str], refused: str
) -> None:
    assert refused in waiting.answer(**run_input)
    state = client.read_flow_run(waiting.id).state
    assert state
    assert state.name == "Suspended"


@pytest.fixture(scope="module")
def waiting(cloud: Cloud) -> Iterator[Run]:
    """A run that waits for its answer."""
    with get_client(sync_client=True) as client:
        run = Run(client, asks_before_deploying, cloud.deployment(name="waiting", regions=[EASTUS]))
        run.work()
        yield run


def test_what_is_rejected_ends_with_the_reason_and_asks_again_when_it_is_retried(
    cloud: Cloud, client: SyncPrefectClient
) -> None:
    run = Run(client, asks_before_destroying, cloud.deployment(name="rejected", regions=[EASTUS]))
    run.work()
    run.answer(decision="reject", name=" Ada ", reason="not on a Friday")

    rejected = run.work()
    with pytest.raises(NotApproved, match=r"Ada rejected it: not on a Friday\.") as caught:
        rejected.result()
    assert caught.value.exit_code == 2

    client.set_flow_run_state(run.id, Scheduled(name="AwaitingRetry"), force=True)
    assert run.work().name == "Suspended"
    run.answer(**BOB)
    assert run.work().result() == "went on"
    [shown] = run.artifacts("what-will-go")
    assert "resource group roachmesh-rejected" in shown


def test_an_approval_does_not_hold_for_what_was_not_shown(cloud: Cloud, client: SyncPrefectClient) -> None:
    deployment = cloud.deployment(name="changed-meanwhile", regions=[EASTUS])
    run = Run(client, asks_before_deploying, deployment)
    run.work()
    ensure_route_table.fn(deployment, deployment.plan.regions[0])
    run.answer(**BOB)

    assert run.work().name == "Suspended"
    run.answer(**BOB)
    assert run.work().result() == "went on"
    assert len(run.artifacts("what-would-change")) == 2


def test_a_waiting_run_can_be_cancelled(cloud: Cloud, client: SyncPrefectClient) -> None:
    run = Run(client, asks_before_destroying, cloud.deployment(name="cancelled", regions=[EASTUS]))
    run.work()

    # As the UI's button does.
    client.request(
        "POST",
        "/flow_runs/{id}/set_state",
        path_params={"id": run.id},
        json={"state": {"type": "CANCELLING", "name": "Cancelling"}},
    )

    state = client.read_flow_run(run.id).state
    assert state
    assert state.is_cancelled()


def test_without_a_worker_nobody_is_asked(cloud: Cloud) -> None:
    with pytest.raises(NotApproved, match="only a run of a worker can wait for an answer"):
        asks_before_destroying(cloud.deployment(name="terminal", regions=[EASTUS]))


def test_nothing_is_written_before_the_answer(cloud: Cloud, client: SyncPrefectClient) -> None:
    deployment = cloud.deployment(name="untouched", regions=[EASTUS])
    run = Run(client, asks_before_deploying, deployment)

    assert cloud.writes_during(run.work) == []
