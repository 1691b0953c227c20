"""What a run's page shows: how far it is, and when it has ended, where its time went."""

import functools
import importlib
import inspect
import pkgutil
import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import httpx
import pytest
from prefect import Flow, Task, flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.client.schemas.objects import Artifact, FlowRun
from prefect.flow_engine import run_flow
from prefect.states import AwaitingRetry

import tasks
from flows import deploy, destroy, run_page, verify
from flows.progress import follow
from flows.run_page import RunPage
from roachmesh import topology
from roachmesh.errors import AzureRefused
from roachmesh.outcome import Outcome
from roachmesh.plan import make_plan
from roachmesh.topology import Topology
from tasks.deployment import Deployment
from tasks.engine import always, once
from tasks.hosts import Host
from tasks.machines import Machine
from tests.flows.conftest import OPERATORS, Cloud

pytestmark = pytest.mark.usefixtures("prefect")

PLAN = make_plan(topology.DEFAULT)


def wanted(*nodes_by_region: int) -> Topology:
    names = ("eastus", "westus", "northeurope")
    regions = [{"platform": "vm", "name": names[i], "nodes": n} for i, n in enumerate(nodes_by_region)]
    return topology.parse({"regions": regions})


MIXED = topology.parse(
    {
        "regions": [
            {"platform": "k3s", "name": "eastus", "nodes": 2},
            {"platform": "k3s", "name": "westus", "nodes": 1},
            {"platform": "vm", "name": "northeurope", "nodes": 1},
        ]
    }
)


@pytest.fixture
def client() -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as client:
        yield client


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_page, "EVERY_S", 0.5)
    monkeypatch.setattr(run_page, "LAST_LOOKS_S", 1.0)


def shown(client: SyncPrefectClient, run_id: UUID, key: str) -> list[Artifact]:
    of_run = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run_id]))
    return [one for one in client.read_artifacts(artifact_filter=of_run) if one.key == key]


def answer(kind: Any, given: dict[str, Any]) -> Any:
    """What a task would give, without doing anything for it."""
    outcome = Outcome(what="it", change="unchanged")
    if kind is Machine:
        node = given["node"]
        host = Host(name=node.name, address="203.0.113.9", host_key="ssh-ed25519 AAAA")
        return Machine(what="VM", change="unchanged", node=node, host=host)
    answers = {Outcome: outcome, tuple[Outcome, Outcome]: (outcome, outcome), str: "region", int: 1}
    if str(kind).startswith("tuple[ipaddress"):
        return OPERATORS
    if str(kind).startswith("tuple["):
        return answers.get(kind, ())
    return answers.get(kind, [] if str(kind).startswith("list") else None)


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every task of ours do nothing, so that flows show their shape."""

    def without_work(body: Callable[..., Any]) -> Callable[..., Any]:
        kind = inspect.get_annotations(body, eval_str=True)["return"]

        @functools.wraps(body)
        def nothing(*given: Any, **named: Any) -> Any:
            return answer(kind, inspect.signature(body).bind(*given, **named).arguments)

        return nothing

    for module in pkgutil.iter_modules(tasks.__path__):
        for thing in vars(importlib.import_module(f"tasks.{module.name}")).values():
            if isinstance(thing, Task) and not hasattr(thing.fn, "__wrapped__"):
                monkeypatch.setattr(thing, "fn", without_work(thing.fn))


@pytest.mark.usefixtures("idle")
@pytest.mark.parametrize("shape", [wanted(1, 1), wanted(2), MIXED], ids=["two regions", "one region", "k3s"])
@pytest.mark.parametrize("module", [deploy, verify, destroy])
def test_a_flow_has_as_many_tasks_as_it_says(
    module: Any, shape: Topology, cloud: Cloud, client: SyncPrefectClient
) -> None:
    name = module.__name__.rpartition(".")[2]
    arguments: dict[str, Any] = {"topology": shape, "credentials": cloud.credentials}
    if name == "destroy":
        arguments["confirm"] = shape.name
    run = start(client, getattr(module, name), **arguments)

    seen = [step.name for step in follow(client, run.id)]

    assert len(seen) == (3 if module is destroy else module.count_tasks(make_plan(shape))), seen
    (progress,) = shown(client, run.id, "progress")
    assert (progress.data, progress.description) == (100, f"all {len(seen)} tasks done")
    assert len(shown(client, run.id, "timeline")) == 1


def start(client: SyncPrefectClient, which: Flow[..., Any], **arguments: Any) -> FlowRun:
    """Run a flow to its end, whatever that is."""
    run = client.create_flow_run(which, parameters=which.serialize_parameters(arguments))
    run_flow(which, flow_run=run, parameters=arguments, return_type="state")
    return run


@once("step {name}")
def step(deployment: Deployment, name: str) -> str:
    if name in failing:
        raise AzureRefused("no")
    return name


failing: set[str] = set()


@flow
def two_steps(key: str) -> None:
    deployment = Deployment(key=key, plan=PLAN)
    with RunPage(PLAN, 2):
        step(deployment, "one")
        step(deployment, "two")


def test_progress_moves_while_the_run_goes_and_says_where_it_is(client: SyncPrefectClient) -> None:
    seen: list[Artifact] = []

    @always("look at {name}")
    def look_at(name: str, run_id: UUID) -> None:
        for _ in range(100):
            seen[:] = shown(client, run_id, "progress")
            if seen and "look at progress: 1 of 2" in str(seen[0].description):
                return
            time.sleep(0.1)

    @flow
    def whole(key: str) -> None:
        from prefect.runtime import flow_run

        with RunPage(PLAN, 2):
            step(Deployment(key=key, plan=PLAN), "one")
            look_at("progress", UUID(str(flow_run.id)))

    start(client, whole, key="moving")

    assert seen[0].data == 50
    assert seen[0].description == "look at progress: 1 of 2 tasks"


def test_a_failed_run_shows_where_and_never_a_hundred_and_resuming_it_goes_on_with_the_same(
    client: SyncPrefectClient,
) -> None:
    failing.add("two")
    run = start(client, two_steps, key="resumed")
    failing.clear()
    (progress,) = shown(client, run.id, "progress")
    (timeline,) = shown(client, run.id, "timeline")

    assert client.read_flow_run(run.id).state_name == "Failed"
    assert progress.data == 99
    assert progress.description == "failed: step two: 2 of 2 tasks"
    assert "step x 2, 1 failed" in str(timeline.data)

    client.set_flow_run_state(run.id, AwaitingRetry(), force=True)
    run_flow(two_steps, flow_run=client.read_flow_run(run.id), parameters={"key": "resumed"})
    (resumed,) = shown(client, run.id, "progress")
    latest = max(shown(client, run.id, "timeline"), key=lambda one: str(one.created))

    assert resumed.id == progress.id
    assert (resumed.data, resumed.description) == (100, "all 2 tasks done")
    assert "step x 2, 1 from earlier results" in str(latest.data)


def test_a_run_goes_on_when_its_page_cannot_be_kept(
    client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def unreachable(*_: Any, **__: Any) -> None:
        raise httpx.ConnectError("nobody there")

    monkeypatch.setattr(run_page, "look", unreachable)
    run = start(client, two_steps, key="alone")

    assert client.read_flow_run(run.id).state_name == "Completed"
    assert "this page is not complete, Prefect did not answer: nobody there" in caplog.text
