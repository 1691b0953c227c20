"""The demo itself, as the tests' own instance: started once by its own command, used, and taken down."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from azure.identity import ClientSecretCredential
from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.network import NetworkManagementClient

from demo import prefect_server, processes
from demo.instance import Instance
from sandbox.instance import Instance as Sandbox
from tests.e2e.leftovers import leftovers

TOPOLOGY = Path("topologies/three-vm-regions.yaml")
INSTANCE = os.environ.get("ROACHMESH_TEST_INSTANCE", "test")
UNFINISHED = ["SCHEDULED", "PENDING", "RUNNING", "CANCELLING"]
# A worker looks for runs every 2 s, and takes seconds to start one.
BEGIN_S, END_S = 60.0, 300.0


@dataclass
class World:
    """A demo that was brought up, and ways to look at it from outside."""

    instance: Instance
    output: str

    @property
    def cloud(self) -> dict[str, Any]:
        """What the sandbox says of itself, its secret included."""
        said = demo_run(sys.executable, "-m", "sandbox", "up", "--json", "--instance", INSTANCE)
        found: dict[str, Any] = json.loads(said)
        return found

    def roachmesh(self, *arguments: str) -> str:
        """Run the command line against this instance."""
        return demo_run(*DEMO, "roachmesh", *arguments)

    def roachmesh_fails(self, *arguments: str, code: int) -> str:
        """Run the command line, expect this exit code, and give what it said."""
        done = subprocess.run(
            [*DEMO, "roachmesh", *arguments], capture_output=True, text=True, check=False, timeout=600
        )
        assert done.returncode == code, (done.stdout, done.stderr)
        return done.stderr

    def on_node(self, node: str, *command: str) -> str:
        """Run a command on a machine over SSH."""
        return self.roachmesh("ssh", str(TOPOLOGY), node, "--", *command)

    def prefect(self, path: str, body: dict[str, Any]) -> Any:
        """Ask Prefect's API."""
        request = urllib.request.Request(  # noqa: S310 -- our own
            f"{self.instance.ui}/api{path}",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 -- our own
            return json.load(answer)

    def run(self, name: str, parameters: dict[str, Any], state: str = "COMPLETED") -> dict[str, Any]:
        """Trigger a deployment through the worker, as the UI does, and wait for its end."""
        return self.wait(self.start(name, parameters), state)

    def start(self, name: str, parameters: dict[str, Any]) -> str:
        """Trigger a deployment through the worker, as the UI does; gives the run's id."""
        [found] = self.prefect("/deployments/filter", {"deployments": {"name": {"any_": [name]}}})
        made = self.prefect(f"/deployments/{found['id']}/create_flow_run", {"parameters": parameters})
        return str(made["id"])

    def wait(self, run_id: str, state: str = "COMPLETED") -> dict[str, Any]:
        """Wait until a run has ended, or waits for an answer itself."""
        begun = time.monotonic()
        patience_s = BEGIN_S
        while time.monotonic() - begun < patience_s:
            [seen] = self.prefect("/flow_runs/filter", {"flow_runs": {"id": {"any_": [run_id]}}})
            if seen["state_type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED", "PAUSED"):
                assert seen["state_type"] == state, (seen["name"], seen["state"])
                return dict(seen)
            if seen["start_time"]:
                patience_s = END_S
            time.sleep(0.5)
        raise AssertionError(f"{seen['name']}: {seen['state']} for {patience_s:.0f} s\n{self.report()}")

    def report(self) -> str:
        """What is under way, who holds which lock, and how the worker is, for a test that waits in vain."""
        unfinished = {"flow_runs": {"state": {"type": {"any_": UNFINISHED}}}}
        runs = self.prefect("/flow_runs/filter", unfinished)
        locks = self.prefect("/variables/filter", {})
        log = prefect_server.worker_log(self.instance).read_text(errors="replace").splitlines()
        return "\n".join(
            [
                *(f"run {run['name']} ({run['id']}): {run['state']}" for run in runs),
                *(f"lock {lock['name']}: {lock['value']}" for lock in locks),
                f"the worker is {list(processes.find(self.instance.mark, 'worker'))}, and its log ends:",
                *log[-15:],
            ]
        )

    def artifact(self, key: str, run: dict[str, Any]) -> str:
        """What a run showed on its page under a key."""
        made_by_run = {"artifacts": {"flow_run_id": {"any_": [run["id"]]}, "key": {"any_": [key]}}}
        [shown] = self.prefect("/artifacts/filter", made_by_run)
        return str(shown["data"])

    def arm_writes(self) -> list[str]:
        """Every request that the sandbox's ARM got and that was no read."""
        log = self.instance.sandbox.directory / "requests.jsonl"
        requests = [json.loads(line) for line in log.read_text().splitlines()]
        return [
            f"{one['method']} {one['path']}"
            for one in requests
            if one["method"] not in ("GET", "HEAD") and "oauth2" not in one["path"]
        ]


class Azure:
    """Somebody else's hands in the subscription."""

    def __init__(self, world: World, ca_file: str) -> None:
        card = world.cloud
        secret = ClientSecretCredential(
            card["tenant_id"],
            card["client_id"],
            card["client_secret"],
            authority=card["authority"],
            disable_instance_discovery=True,
            connection_verify=ca_file,
        )
        options: dict[str, Any] = {
            "base_url": card["arm_endpoint"],
            "credential_scopes": ["https://management.azure.com/.default"],
            "connection_verify": ca_file,
            "polling_interval": 1,
        }
        self.network: Any = NetworkManagementClient(secret, card["subscription_id"], **options)
        self.compute: Any = ComputeManagementClient(secret, card["subscription_id"], **options)
        self._secret = secret

    def close(self) -> None:
        for client in (self.network, self.compute, self._secret):
            client.close()


def fault(*arguments: str) -> None:
    """Have something go wrong in the sandbox, or no longer."""
    command = [sys.executable, "-m", "sandbox", "fault", *arguments, "--instance", INSTANCE]
    subprocess.run(command, check=True, capture_output=True)


def document(path: Path) -> dict[str, Any]:
    """A topology as Prefect's API takes it."""
    read: dict[str, Any] = yaml.safe_load(path.read_text())
    return read


DEMO = (sys.executable, "-m", "demo", "--instance", INSTANCE)


def demo_run(*command: str) -> str:
    """Run a command of ours to its end; should it fail, the test does with all it said."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="package")  # the tests of the sandbox use the same instance afterwards
def world() -> Iterator[World]:
    demo_run(*DEMO, "down")
    instance = Instance(Sandbox(INSTANCE))
    yield World(instance, demo_run(*DEMO, "up", str(TOPOLOGY)))
    assert leftovers(instance) != []  # it sees what it must not see afterwards
    demo_run(*DEMO, "down")
    assert leftovers(instance) == []


@pytest.fixture
def azure(world: World, tmp_path: Path) -> Iterator[Azure]:
    ca_file = tmp_path / "ca.pem"
    ca_file.write_text(world.cloud["ca_pem"])
    azure = Azure(world, str(ca_file))
    yield azure
    azure.close()
