"""SIGKILL wherever it hurts: what a continued run repeats, and what it leaves behind."""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from demo import prefect_server, processes
from tests.e2e.conftest import DEMO, World, document

# Worker and server are started anew from here, and outlive whoever started them.
OUTLIVES = "ignore:Exception ignored in. <function Popen.__del__:pytest.PytestUnraisableExceptionWarning"
pytestmark = [pytest.mark.machines, pytest.mark.timeout(1500), pytest.mark.filterwarnings(OUTLIVES)]

OVER = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
LOOK_EVERY_S = 0.01
LOOKS = 50
STUCK_S = 120.0


class Small:
    """A deployment of one node, and what its making leaves to see."""

    def __init__(self, world: World, directory: Path, name: str, platform: str) -> None:
        self.world = world
        self.name = name
        self.file = directory / f"{name}.yaml"
        regions = [{"platform": platform, "name": "eastus", "nodes": 1}]
        self.file.write_text(yaml.safe_dump({"name": name, "regions": regions}))
        self.log = directory / f"{name}.log"
        self._terminal: subprocess.Popen[bytes] | None = None
        self._storage = world.instance.results
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
        """Hold that no result was written anew since the last time that this was asked.

        One that a kill cut off in the writing is none: a task has ended a moment before it is remembered.
        """
        written = {
            path: path.stat().st_mtime_ns
            for path in set(self._storage.iterdir()) - self._old_results
            if path.read_bytes().endswith(b"}")
        }
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
        [run] = self.runs()
        return run

    def runs(self) -> list[dict[str, Any]]:
        """Its root runs."""
        runs = self.world.prefect("/flow_runs/filter", {"sort": "START_TIME_DESC"})
        return [run for run in runs if run["parameters"].get("topology", {}).get("name") == self.name]

    def trigger(self) -> str:
        """Start the deployment through the worker, as the UI does."""
        return self.world.start("deploy", {"topology": document(self.file)})

    def start(self, *arguments: str) -> None:
        """Have a terminal work on it."""
        with self.log.open("ab") as output:
            self._terminal = subprocess.Popen([*DEMO, "roachmesh", *arguments], stdout=output, stderr=output)

    def kill_terminal(self) -> None:
        """End its terminal."""
        if self._terminal:
            self._terminal.kill()
            self._terminal.wait()

    def terminal_code(self, timeout_s: float = 0) -> int | None:
        """How its terminal ended; None if it goes on, or there is none."""
        with suppress(subprocess.TimeoutExpired):
            return self._terminal.wait(timeout_s) if self._terminal else None
        return None

    def until_grown(self, measure: Callable[[], int], seen: int, is_over: Callable[[], bool]) -> bool:
        """Wait until a number has grown; False if the run was over before that."""
        deadline = time.monotonic() + STUCK_S
        while not is_over():
            for _ in range(LOOKS):
                if measure() > seen:
                    return True
                time.sleep(LOOK_EVERY_S)
            if time.monotonic() > deadline:
                said = self.log.read_text() if self.log.exists() else ""
                raise AssertionError(f"no progress for {STUCK_S:.0f} s\n{self.world.report()}\n{said}")
        return False

    def give_up(self) -> None:
        """Leave a world to other tests: a worker that polls, no lock, and nothing of this deployment."""
        mark = self.world.instance.mark
        self.kill_terminal()
        processes.end(processes.find(mark, "worker"))
        prefect_server.start(self.world.instance)
        for run in self.runs():
            processes.end(processes.find({**mark, "PREFECT__FLOW_RUN_ID": run["id"]}))
            cancelled = {"state": {"type": "CANCELLED"}, "force": True}
            self.world.prefect(f"/flow_runs/{run['id']}/set_state", cancelled)
        prefect_server.start_worker(self.world.instance)
        self.world.roachmesh("destroy", "--yes", str(self.file))

    def judge(self, undisturbed: "Undisturbed") -> None:
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
        assert self.results() == undisturbed.results
        assert self.writes() == undisturbed.writes
        self.world.roachmesh("verify", str(self.file))
        self.world.roachmesh("destroy", "--yes", str(self.file))


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kills")


@contextmanager
def small(world: World, directory: Path, name: str, platform: str) -> Iterator[Small]:
    """A deployment of one node that a test may do anything to; should it fail, the next one need not."""
    one = Small(world, directory, name, platform)
    try:
        yield one
    except BaseException:
        one.give_up()
        raise


@dataclass(frozen=True)
class Undisturbed:
    """What a deployment writes in Azure, and how many of its tasks are remembered."""

    writes: list[str]
    results: int


def deploy_undisturbed(world: World, directory: Path, platform: str) -> Undisturbed:
    with small(world, directory, f"undisturbed-{platform}", platform) as one:
        world.roachmesh("deploy", str(one.file))
        made = Undisturbed(one.writes(), one.results())
        one.judge(made)
    return made


@pytest.fixture(scope="module")
def undisturbed(world: World, directory: Path) -> Undisturbed:
    return deploy_undisturbed(world, directory, "vm")


def test_a_run_killed_at_every_request_and_every_task_repeats_nothing_that_finished(
    world: World, directory: Path, undisturbed: Undisturbed
) -> None:
    with small(world, directory, "killed", "vm") as one:
        kills, seen = 0, one.progress()
        one.start("deploy", str(one.file))
        while one.until_grown(one.progress, seen, lambda: one.terminal_code() is not None):
            one.kill_terminal()
            one.nothing_remembered_was_repeated()
            kills, seen = kills + 1, one.progress()
            one.start("resume", f"deploy {one.name}")

        assert one.terminal_code() == 0, one.log.read_text()
        assert kills > undisturbed.results
        one.judge(undisturbed)


def test_a_run_whose_whole_machine_dies_at_every_other_task_is_continued_by_another_worker(
    world: World, directory: Path
) -> None:
    undisturbed = deploy_undisturbed(world, directory, "k3s")
    mark = world.instance.mark
    with small(world, directory, "machineless", "k3s") as one:
        run_id = one.trigger()
        kills, seen = 0, 0
        while one.until_grown(one.results, seen + 1, lambda: one.state() == "COMPLETED"):
            assert one.terminal_code() is None, one.log.read_text()
            flow = processes.find({**mark, "PREFECT__FLOW_RUN_ID": run_id})
            processes.end([*processes.find(mark, "worker"), *flow])
            one.kill_terminal()
            one.nothing_remembered_was_repeated()
            kills, seen = kills + 1, one.results()
            one.start("resume", run_id)
            prefect_server.start_worker(world.instance)

        assert kills > undisturbed.results / 4  # tasks that end side by side are killed together
        assert one.terminal_code(timeout_s=60) == 0, one.log.read_text()
        one.judge(undisturbed)


def test_a_run_whose_server_dies_at_every_task_goes_on_when_it_is_back(
    world: World, directory: Path, undisturbed: Undisturbed
) -> None:
    with small(world, directory, "serverless", "vm") as one:
        one.trigger()
        kills, seen = 0, 0
        while one.until_grown(one.results, seen, lambda: one.state() in OVER):
            [server] = processes.find(world.instance.mark, "server")
            processes.end([server])
            kills, seen = kills + 1, one.results()
            prefect_server.start(world.instance)

        assert kills > 3  # what does not need the server goes on meanwhile
        one.judge(undisturbed)
