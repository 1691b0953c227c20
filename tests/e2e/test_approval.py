"""Approval through a worker: asked on the run's page, and answered as the UI does it."""

import pytest

from tests.e2e.conftest import TOPOLOGY, World, document

pytestmark = [pytest.mark.machines, pytest.mark.timeout(600)]


def asked(world: World, name: str, **parameters: str) -> str:
    """Start a run that wants an approval, and wait until it asks."""
    run_id = world.start(name, {"topology": document(TOPOLOGY), "approval": "required", **parameters})
    world.wait(run_id, "PAUSED")
    return run_id


def answer(world: World, run_id: str, **run_input: str) -> str:
    """Answer, and give what Prefect makes of it."""
    return str(world.prefect(f"/flow_runs/{run_id}/resume", {"run_input": run_input})["status"])


def test_a_deployment_waits_for_an_answer_lets_others_pass_and_goes_on(world: World) -> None:
    writes = len(world.arm_writes())
    run_id = asked(world, "deploy")

    assert answer(world, run_id) == "REJECT"
    world.run("verify", {"topology": document(TOPOLOGY)})  # nobody is held up by a form
    assert world.roachmesh("deploy", str(TOPOLOGY))
    assert answer(world, run_id, decision="approve", name="Ada") == "ACCEPT"

    run = world.wait(run_id)
    assert "| approve | Ada | " in world.artifact("approval", run)
    assert world.artifact("what-would-change", run) == "53 of 53 resources are as planned."
    assert world.artifact("plan", run).startswith("# three-vm-regions")
    assert "0 created, 0 updated" in world.artifact("connection-card", run)
    assert world.arm_writes()[writes:] == []


def test_a_destruction_that_is_rejected_touches_nothing(world: World) -> None:
    writes = len(world.arm_writes())
    run_id = asked(world, "destroy", confirm="three-vm-regions")

    assert answer(world, run_id, decision="reject", name="Ada", reason="we need it") == "ACCEPT"

    run = world.wait(run_id, "FAILED")
    assert "NotApproved: three-vm-regions: Ada rejected it: we need it." in run["state"]["message"]
    assert "9 virtualMachines" in world.artifact("what-will-go", run)
    assert world.arm_writes()[writes:] == []
    world.run("verify", {"topology": document(TOPOLOGY)})
