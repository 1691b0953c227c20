"""The benchmark's flow against a control plane whose operations end at once: nothing timed is asserted."""

import socket
import subprocess
import sys

import pytest

from bench import regions
from bench.layers import LAYERS
from bench.measurement import OPERATORS, run
from tasks.deployment import Deployment
from tests.flows.conftest import Cloud


def test_everything_is_made_and_all_of_the_time_is_somebodys(cloud: Cloud) -> None:
    plan = regions.plan(2)
    deployment = Deployment(key="bench", plan=plan, credentials=cloud.credentials, operators=OPERATORS)

    measured = run(deployment, factor=1.0)

    found = cloud.azure.resources.resources.list_by_resource_group(plan.resource_group)
    machines = [one.name for one in found if one.type == "Microsoft.Compute/virtualMachines"]
    assert sorted(machines) == sorted(node.name for node in plan.nodes)
    assert measured.resources == 1 + 2 * 7 + 2 * 1 + 2  # group; without zones availability sets; halves
    assert measured.path[-1][0].startswith("peering ")
    assert sum(measured.layers.values()) == pytest.approx(measured.makespan_s)
    assert all(measured.layers[layer] > 0 for layer in ("requests", "SDK", "Roachmesh", "Prefect"))
    assert set(measured.layers) == set(LAYERS)


def test_a_second_one_at_a_time_is_refused() -> None:
    with socket.socket(socket.AF_UNIX) as alone:
        alone.bind("\0roachmesh-bench")
        done = subprocess.run([sys.executable, "-m", "bench"], capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert "another one is under way" in done.stderr
