"""Runs of one topology that meet in real processes; the rest is in tests/flows/test_overlap.py."""

import re
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from tests.e2e.conftest import DEMO, TOPOLOGY, World, document, fault

pytestmark = [pytest.mark.machines, pytest.mark.timeout(600)]

REFUSED = r"another run changes this topology: deploy {}, since \d\d:\d\d:\d\d UTC.*flow-run/"
UNFINISHED = ["PENDING", "RUNNING", "CANCELLING"]


def deploying(file: Path) -> "subprocess.Popen[str]":
    command = [*DEMO, "roachmesh", "deploy", str(file)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def nothing_is_left(world: World) -> None:
    """No lock, and nothing that claims to be under way."""
    time.sleep(2)  # Prefect records tasks a moment after they end
    assert world.prefect("/variables/filter", {}) == []
    for kind in ("flow_runs", "task_runs"):
        assert world.prefect(f"/{kind}/filter", {kind: {"state": {"type": {"any_": UNFINISHED}}}}) == []


def test_of_two_terminals_at_once_one_goes_on_and_the_other_is_told_which(world: World) -> None:
    writes = len(world.arm_writes())
    terminals = [deploying(TOPOLOGY), deploying(TOPOLOGY)]

    said = [terminal.communicate(timeout=180)[1] for terminal in terminals]

    assert sorted(terminal.returncode for terminal in terminals) == [0, 2], said
    [refused] = [text for text in said if text]
    assert re.search(REFUSED.format("three-vm-regions"), refused)
    assert world.arm_writes()[writes:] == []
    nothing_is_left(world)


def test_a_destroy_from_the_ui_is_refused_while_a_terminal_deploys(world: World, tmp_path: Path) -> None:
    file = tmp_path / "small.yaml"
    region = {"platform": "vm", "name": "eastus", "nodes": 1}
    file.write_text(yaml.safe_dump({"name": "contested", "regions": [region]}))
    fault("add", "slow", "factor=1")  # or it is over before the worker has begun to destroy
    try:
        terminal = deploying(file)
        while not world.prefect("/variables/filter", {}):
            assert terminal.poll() is None
            time.sleep(0.1)

        run = world.run("destroy", {"topology": document(file), "confirm": "contested"}, state="FAILED")
    finally:
        fault("clear")

    assert re.search(REFUSED.format("contested"), run["state"]["message"])
    assert terminal.communicate(timeout=180)[1] == ""
    assert terminal.returncode == 0
    nothing_is_left(world)
    world.roachmesh("destroy", "--yes", str(file))
