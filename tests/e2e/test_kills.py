"""SIGKILL wherever it hurts: what a continued run repeats, and what it leaves behind."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from demo import prefect_server, processes
from tests.e2e.conftest import DEMO, World, document

# Worker and server are started anew from here, and outlive whoever started them.
OUTLIVES = "ignore:Exception ignored in. <function Popen.__del__:pytest.PytestUnraisableExceptionWarning"
pytestmark = [pytest.mark.machines, pytest.mark.timeout(1500), pytest.mark.filterwarnings(OUTLIVES)]

# How many tasks a run of one node remembers: those that are `once`, see tasks/engine.py.
REMEMBERED = 13
OVER = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
LOOK_EVERY_S = 0.01
LOOKS = 50


class Small:
    """A deployment of one node, and what its making leaves to see."""

    def __init__(self, world: World, directory: Path, name: str) -> None:
        self.world = world
        self.name = name
        self.file = directory / f"{name}.yaml"
        regions = [{"platform": "vm", "name": "eastus", "nodes": 1}]
        self.file.write_text(yaml.safe_dump({"name": name, "regions": regions}))
        self._storage = world.instance.prefect_home / "storage"
        self._storage.mkdir(exist_ok=True)
        self._old_results = set(self._storage.iterdir())
        self._written: dict[Path, int] = {}
        self._requests = world.instance.sandbox.directory / "requests.jsonl"
        self._old_requests = self._requests.stat().st_size
        self._old_writes = len(world.arm_writes())

    def results(self) -> int:
        """How many tasks are remembered."""
        return len(set(self._storage.iterdir()) - self._old_results)

    def nothing_remembered_was_repeated(self) -> None:
        """Hold that no result was written anew since the last time that this was asked."""
        written = {path: path.stat().st_mtime_ns for path in set(self._storage.iterdir()) - self._old_results}
        assert {path: at for path, at in written.items() if self._written.get(path, at) != at} == {}
        self._written = written

    def writes(self) -> list[str]:
        """The requests that changed something in Azure, with the topology's name left out."""
        writes = self.world.arm_writes()[self._old_writes :]
        return sorted(write.replace(f"roachmesh-{self.name}", "GROUP") for write in writes)

    def progress(self) -> int:
        """Grows with every request that changes something, and with every task that is remembered."""
        with self._requests.open("rb") as log:
            log.seek(self._old_requests)
            return log.read().count(b'"PUT"') + self.results()

    def state(self) -> str:
        """How Prefect holds its run."""
        return str(self.run()["state_type"])

    def run(self) -> dict[str, Any]:
        """Its only root run."""
        runs = self.world.prefect("/flow_runs/filter", {"sort": "START_TIME_DESC"})
        [run] = [run for run in runs if run["parameters"].get("topology", {}).get("name") == self.name]
        return dict(run)

    def trigger(self) -> str:
        """Start the deployment through the worker, as the UI does."""
        [found] = self.world.prefect("/deployments/filter", {"deployments": {"name": {"any_": ["deploy"]}}})
        parameters = {"parameters": {"topology": document(self.file)}}
        return str(self.world.prefect(f"/deployments/{found['id']}/create_flow_run", parameters)["id"])

    def judge(self, writes: list[str]) -> None:
        """Nothing that finished was repeated, nothing claims to run, and the end is the same."""
        time.sleep(2)  # Prefect records tasks a moment after they end
        root = self.run()
        subflows = {"parent_flow_run_id": {"any_": [root["id"]]}}
        runs = [root, *self.world.prefect("/flow_runs/filter", {"flow_runs": subflows})]
        of_runs = {"flow_runs": {"id": {"any_": [run["id"] for run in runs]}}, "limit": 200}
        tasks: list[dict[str, Any]] = []
        while page := self.world.prefect("/task_runs/filter", {**of_runs, "offset": len(tasks)}):
            tasks += page
        assert root["state_type"] == "COMPLETED", root["state"]
        assert {one["state_type"] for one in (*runs, *tasks)} <= OVER
        self.nothing_remembered_was_repeated()
        assert self.results() == REMEMBERED
        assert self.writes() == writes
        self.world.roachmesh("verify", str(self.file))
        self.world.roachmesh("destroy", "--yes", str(self.file))


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kills")


@pytest.fixture(scope="module")
def undisturbed(world: World, directory: Path) -> list[str]:
    """The writes of a deployment that nobody disturbs."""
    small = Small(world, directory, "undisturbed")
    world.roachmesh("deploy", str(small.file))
    writes = small.writes()
    small.judge(writes)
    return writes


def until(grows: Callable[[], int], seen: int, is_over: Callable[[], bool]) -> bool:
    """Wait until a number has grown; False if the run was over before that."""
    while not is_over():
        for _ in range(LOOKS):
            if grows() > seen:
                return True
            time.sleep(LOOK_EVERY_S)
    return False


def test_a_run_killed_at_every_request_and_every_task_repeats_nothing_that_finished(
    world: World, directory: Path, undisturbed: list[str]
) -> None:
    small = Small(world, directory, "killed")
    command, kills = ["deploy", str(small.file)], 0
    log = directory / "killed.log"
    with log.open("w") as output:
        while True:
            seen = small.progress()
            process = subprocess.Popen([*DEMO, "roachmesh", *command], stdout=output, stderr=output)
            ended = partial(lambda process: process.poll() is not None, process)
            if not until(small.progress, seen, ended):
                break
            process.kill()
            process.wait()
            small.nothing_remembered_was_repeated()
            kills += 1
            command = ["resume", f"deploy {small.name}"]

    assert process.returncode == 0, log.read_text()
    assert kills > REMEMBERED
    small.judge(undisturbed)


def test_a_run_whose_whole_machine_dies_at_every_task_is_continued_by_another_worker(
    world: World, directory: Path, undisturbed: list[str]
) -> None:
    small = Small(world, directory, "machineless")
    run_id = small.trigger()
    kills, seen = 0, 0
    terminals: list[subprocess.Popen[bytes]] = []
    while until(small.results, seen, lambda: small.state() == "COMPLETED"):
        assert all(terminal.poll() is None for terminal in terminals)
        flow = {**world.instance.mark, "PREFECT__FLOW_RUN_ID": run_id}
        for number in [*processes.find(world.instance.mark, "worker"), *processes.find(flow)]:
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        for terminal in terminals:
            terminal.kill()
            terminal.wait()
        small.nothing_remembered_was_repeated()
        seen, kills = small.results(), kills + 1
        prefect_server.start_worker(world.instance)
        terminals = [subprocess.Popen([*DEMO, "roachmesh", "resume", run_id], stdout=subprocess.DEVNULL)]

    assert kills > REMEMBERED / 2  # tasks that end side by side are killed together
    assert [terminal.wait() for terminal in terminals] == [0]
    small.judge(undisturbed)


def test_a_run_whose_server_dies_at_every_task_goes_on_when_it_is_back(
    world: World, directory: Path, undisturbed: list[str]
) -> None:
    small = Small(world, directory, "serverless")
    small.trigger()
    kills, seen = 0, 0
    while until(small.results, seen, lambda: small.state() in OVER):
        [server] = processes.find(world.instance.mark, "server")
        os.kill(server, signal.SIGKILL)
        seen, kills = small.results(), kills + 1
        prefect_server.start(world.instance)

    assert kills > 3  # what does not need the server goes on meanwhile
    small.judge(undisturbed)
