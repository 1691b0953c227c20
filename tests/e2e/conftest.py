"""The demo itself, as the tests' own instance: started once by its own command, used, and taken down."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from demo.instance import Instance
from sandbox.instance import Instance as Sandbox
from tests.e2e.leftovers import leftovers

TOPOLOGY = Path("topologies/three-vm-regions.yaml")
INSTANCE = os.environ.get("ROACHMESH_TEST_INSTANCE", "test")


@dataclass
class World:
    """A demo that was brought up, and ways to look at it from outside."""

    instance: Instance
    output: str

    @property
    def cloud(self) -> dict[str, Any]:
        """What the sandbox says of itself, its secret included."""
        return json.loads(demo_run(sys.executable, "-m", "sandbox", "up", "--json", "--instance", INSTANCE))

    def roachmesh(self, *arguments: str, code: int = 0) -> str:
        """Run the command line against this instance."""
        return demo_run(*DEMO, "roachmesh", *arguments, code=code)

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

    def arm_writes(self) -> list[str]:
        """Every request that the sandbox's ARM got and that was no read."""
        log = self.instance.sandbox.directory / "requests.jsonl"
        requests = [json.loads(line) for line in log.read_text().splitlines()]
        return [
            f"{one['method']} {one['path']}"
            for one in requests
            if one["method"] not in ("GET", "HEAD") and "oauth2" not in one["path"]
        ]


DEMO = (sys.executable, "-m", "demo", "--instance", INSTANCE)


def demo_run(*command: str, code: int = 0) -> str:
    """Run a command of ours to its end; a wrong exit code fails the test with all it said."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == code, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    demo_run(*DEMO, "down")
    instance = Instance(Sandbox(INSTANCE))
    yield World(instance, demo_run(*DEMO, "up", str(TOPOLOGY)))
    assert leftovers(instance) != []  # it sees what it must not see afterwards
    demo_run(*DEMO, "down")
    assert leftovers(instance) == []
