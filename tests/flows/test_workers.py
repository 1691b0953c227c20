"""Regions on workers: what is refused before anything is made, and whose end ends whose."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from prefect import flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.client.schemas.objects import FlowRun, State
from prefect.filesystems import LocalFileSystem
from prefect.flow_engine import run_flow
from prefect.runtime import flow_run
from prefect.states import Cancelled, Running

from blocks import write_budget
from blocks.write_budget import WriteBudget, share_write_budget
from flows import region as regions
from flows.region import DeployedRegion, deploy_region_on_worker
from roachmesh import topology
from roachmesh.errors import CannotFanOut, HostFailed, RegionLost
from roachmesh.plan import make_plan
from tasks import lifeline, runs, workers
from tasks.deployment import Deployment
from tasks.lifeline import Lifeline
from tasks.runs import ATTEMPT, GONE, HEARD_OF, PROCESS
from tasks.workers import prepare_workers, run_on_worker
from tests.flows.conftest import Cloud
from tests.flows.test_overlap import dead_process

# Prefect leaves a client open when it loads the block that a result is stored in.
LEFT_OPEN = "ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning"
pytestmark = pytest.mark.filterwarnings(LEFT_OPEN)

ENDS_WITHIN_S = 20.0
PLAN = make_plan(topology.parse({"name": "fan-out"}))
REGION = PLAN.regions[0]
MADE = DeployedRegion(machines=(), pod_routes=(), outcomes=())


@pytest.fixture
def client(prefect: None) -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as client:
        yield client


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("shared"))


@pytest.fixture
def shared_results(client: SyncPrefectClient, folder: str) -> Iterator[None]:
    block_id: Any = LocalFileSystem(basepath=folder).save("shared", overwrite=True)
    client.update_server_default_result_storage(block_id)
    yield
    client.clear_server_default_result_storage()


@pytest.fixture
def pool(client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A work pool with the deployment of regions, and nobody who takes runs from it but the test."""
    client.create_work_pool(WorkPoolCreate(name="fan-out", type="process"))
    flow_id = client.create_flow_from_name("region")
    made = client.create_deployment(flow_id, "region", work_pool_name="fan-out")
    monkeypatch.setattr(workers, "LOOK_EVERY_S", 0.1)
    monkeypatch.setattr(lifeline, "LOOK_EVERY_S", 0.1)
    yield "fan-out"
    client.delete_deployment(made)
    client.delete_work_pool("fan-out")


class Parent(threading.Thread):
    """A run of `deploy` that wants a region from a worker."""

    def __init__(self, deployment: Deployment) -> None:
        super().__init__(daemon=True)
        self._deployment = deployment
        self.outcome: Any = None
        self.id: UUID
        self._began = threading.Event()
        self.start()
        assert self._began.wait(ENDS_WITHIN_S)

    def run(self) -> None:
        @flow(name="deploy", persist_result=False)
        def wanting() -> Any:
            self.id = UUID(flow_run.id)
            with Lifeline(self._deployment, last_words=lambda: None):
                self._began.set()
                return run_on_worker(self._deployment, REGION)

        state: Any = wanting(return_state=True)
        self.outcome = state.result(raise_on_failure=False)

    def child(self, client: SyncPrefectClient) -> Any:
        """Its region's run."""
        return until(lambda: [run for run in runs.family(client, self.id) if run.id != self.id])[0]

    def end(self) -> Any:
        """What became of it."""
        self.join(ENDS_WITHIN_S)
        assert not self.is_alive()
        return self.outcome


def until(look: Callable[[], Any]) -> Any:
    stop = time.monotonic() + ENDS_WITHIN_S
    while time.monotonic() < stop:
        if found := look():
            return found
        time.sleep(0.1)
    raise AssertionError("it did not come true")


def work_on(run: FlowRun) -> State[Any]:
    """Do what a worker's process does with a run."""
    parameters = deploy_region_on_worker.validate_parameters(run.parameters)
    state: State[Any] = run_flow(deploy_region_on_worker, run, parameters, return_type="state")
    return state


def begin_elsewhere(client: SyncPrefectClient, run: FlowRun, process: str) -> None:
    """Have a run go on in a process that is not ours."""
    client.set_flow_run_state(run.id, Running(), force=True)
    begun = client.read_flow_run(run.id)
    labels: Any = {ATTEMPT: begun.run_count, PROCESS: process, HEARD_OF: "2026-01-01T00:00:00+00:00"}
    client.update_flow_run_labels(run.id, labels)


@pytest.fixture
def deployment(cloud: Cloud) -> Deployment:
    return Deployment(key="fan-out", plan=PLAN, credentials=cloud.credentials)


@flow
def prepare(deployment: Deployment) -> None:
    prepare_workers(deployment)


def test_results_that_only_this_computer_finds_are_refused(deployment: Deployment, pool: str) -> None:
    with pytest.raises(CannotFanOut, match="prefect experimental result-storage set BLOCK"):
        prepare(deployment)


@pytest.mark.usefixtures("shared_results")
def test_without_the_deployment_of_regions_or_a_worker_it_says_what_to_do(
    deployment: Deployment, request: pytest.FixtureRequest
) -> None:
    with pytest.raises(CannotFanOut, match="prefect --no-prompt deploy --all"):
        prepare(deployment)
    request.getfixturevalue("pool")
    with pytest.raises(CannotFanOut, match="prefect worker start --pool fan-out"):
        prepare(deployment)
    with get_client(sync_client=True) as client:
        client.update_work_pool("fan-out", WorkPoolUpdate(is_paused=True))
    with pytest.raises(CannotFanOut, match="prefect work-pool resume fan-out"):
        prepare(deployment)


@pytest.mark.usefixtures("shared_results", "pool")
def test_a_region_gets_what_was_planned_and_gives_back_what_it_made_or_why_not(
    client: SyncPrefectClient, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []

    def make(*inputs: Any) -> DeployedRegion:
        given.append(inputs)
        if len(given) > 1:
            raise HostFailed("no", where="crdb-eastus-1", advice="Look.")
        return MADE

    monkeypatch.setattr(regions.deploy_region, "fn", make)
    well, ill = Parent(deployment), Parent(deployment)

    work_on(well.child(client))
    work_on(ill.child(client))

    assert well.end() == MADE
    assert given == [(deployment, REGION)] * 2
    assert isinstance(ill.end(), HostFailed)
    assert str(ill.outcome) == "crdb-eastus-1: no Look."


@pytest.mark.usefixtures("shared_results", "pool")
def test_a_region_whose_process_is_gone_is_closed_and_lost(
    client: SyncPrefectClient, deployment: Deployment
) -> None:
    parent = Parent(deployment)
    child = parent.child(client)

    begin_elsewhere(client, child, dead_process())

    assert isinstance(parent.end(), RegionLost)
    assert client.read_flow_run(child.id).state_name == "Crashed"


@pytest.mark.usefixtures("shared_results", "pool")
def test_a_region_whose_run_was_deleted_is_lost(client: SyncPrefectClient, deployment: Deployment) -> None:
    parent = Parent(deployment)

    client.delete_flow_run(parent.child(client).id)

    assert isinstance(parent.end(), RegionLost)


@pytest.mark.usefixtures("shared_results", "pool")
def test_a_region_that_was_given_up_is_not_begun_by_a_late_worker(
    client: SyncPrefectClient, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(regions.deploy_region, "fn", lambda *_: pytest.fail("it was begun"))
    parent = Parent(deployment)
    child = parent.child(client)
    client.set_flow_run_state(child.id, GONE, force=True)

    late = work_on(client.read_flow_run(child.id))

    assert isinstance(late.result(raise_on_failure=False), CannotFanOut)
    assert isinstance(parent.end(), RegionLost)


@pytest.mark.usefixtures("shared_results", "pool")
@pytest.mark.parametrize("end", ["its own", "of who wanted it"])
def test_a_region_ends_with_its_run_and_with_the_one_that_wanted_it(
    end: str, client: SyncPrefectClient, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = threading.Event()
    monkeypatch.setattr(lifeline, "leave", left.set)
    parent = Parent(deployment)
    child = parent.child(client)

    def make(*_: Any) -> DeployedRegion:
        if end == "its own":
            client.set_flow_run_state(child.id, Cancelled(), force=True)
        else:
            client.update_flow_run_labels(parent.id, {PROCESS: dead_process()})
        assert left.wait(ENDS_WITHIN_S)
        return MADE

    monkeypatch.setattr(regions.deploy_region, "fn", make)
    work_on(child)

    parent.end()
    assert left.is_set()


@pytest.mark.usefixtures("shared_results", "pool")
def test_a_run_does_not_begin_before_the_regions_of_an_earlier_one_have_ended(
    client: SyncPrefectClient, deployment: Deployment
) -> None:
    parent = Parent(deployment)
    child = parent.child(client)
    naming = "import time; from tasks.processes import this_process as name; print(name(), flush=True)"
    command = [sys.executable, "-c", f"{naming}; time.sleep(60)"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        begin_elsewhere(client, child, (other.stdout or sys.stdin).readline().strip())
        runs.close(client, child.id)
        assert runs.are_at_work(client, [parent.id])
        other.kill()
    assert not runs.are_at_work(client, [parent.id])
    parent.end()


def test_processes_that_share_a_budget_write_no_faster_than_one(
    prefect: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_budget, "BURST", 2.0)
    waited: list[float] = []

    def take() -> float:
        waited.append(0)
        return 0

    monkeypatch.setattr(write_budget._bucket, "take", take)
    write: Any = type("Request", (), {"http_request": type("Http", (), {"method": "PUT"})})
    WriteBudget("alone").on_request(write)
    assert waited == [0]
    share_write_budget("shared")

    began = time.monotonic()
    for _ in range(10):
        WriteBudget("shared").on_request(write)

    assert time.monotonic() - began > 0.9
    assert waited == [0]
