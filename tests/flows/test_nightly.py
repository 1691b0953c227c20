"""A night's order, what it keeps, what it says and whom it never meets; its stages stand in for the real."""

import re
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
)
from prefect.runtime import flow_run

from blocks import SshKey
from flows import nightly as module
from flows.destroy import destroy
from flows.nightly import nightly
from roachmesh import topology
from roachmesh.errors import AlreadyRunning, AzureBusy, GateFailed, InvalidTopology
from roachmesh.plan import make_plan
from roachmesh.topology import Topology
from tasks.deployment import Deployment, has_block, load_block
from tasks.keys import ensure_ssh_key
from tasks.overlap import topology_lock
from tasks.resource_group import ensure_resource_group
from tests.flows.conftest import Cloud

REGIONS = [{"platform": "vm", "name": "eastus", "nodes": 1}]


class Stages:
    """What stands in for deploy, verify and destroy: it writes down that it was called, and may fail."""

    def __init__(self) -> None:
        self.called: list[str] = []
        self.errors: dict[str, Exception] = {}
        self.seen: list[Topology] = []
        self.night = ""

    def happens(self, verb: str, given: Topology) -> None:
        count = sum(one.startswith(verb) for one in self.called)
        self.called.append(verb)
        self.seen.append(given)
        error = self.errors.get(f"{verb} {count + 1}")
        if error:
            raise error


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch, cloud: Cloud) -> Stages:
    made = Stages()

    @flow(name="deploy", flow_run_name="deploy {topology.name}")
    def deploy(topology: Topology, credentials: str, fan_out: str) -> None:
        made.happens("deploy", topology)

    @flow(name="verify", flow_run_name="verify {topology.name}")
    def verify(topology: Topology, credentials: str) -> None:
        made.happens("verify", topology)

    @flow(name="destroy", flow_run_name="destroy {topology.name}")
    def destroy(topology: Topology, *, confirm: str, credentials: str) -> None:
        assert confirm == topology.name
        made.happens("destroy", topology)

    for name, stand_in in {"deploy": deploy, "verify": verify, "destroy": destroy}.items():
        monkeypatch.setattr(module, name, stand_in)
    return made


def run(cloud: Cloud, name: str, **more: Any) -> tuple[UUID, Any]:
    """Run a night; gives its id and the state in which it ended."""
    wanted = topology.parse({"name": name, "regions": REGIONS})
    state: Any = nightly(wanted, cloud.credentials, **more, return_state=True)
    return state.state_details.flow_run_id, state


def report(run_id: UUID) -> str:
    """What a night shows on its page."""
    of_run = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run_id]))
    with get_client(sync_client=True) as client:
        (found,) = [one for one in client.read_artifacts(artifact_filter=of_run) if one.key == "nightly"]
    return str(found.data)


def test_it_clears_away_deploys_verifies_and_destroys_under_a_name_of_its_own(
    cloud: Cloud, stages: Stages
) -> None:
    run_id, state = run(cloud, "ordinary")

    assert state.is_completed()
    assert stages.called == ["destroy", "deploy", "verify", "destroy"]
    assert {given.name for given in stages.seen} == {"ordinary-nightly"}
    assert {given.expires is not None for given in stages.seen} == {True}
    said = report(run_id)
    assert "UTC, well" in said
    assert "on 1 nodes: eastus (plain machines, 1)" in said
    assert "USD an hour by Azure's list prices" in said


@pytest.mark.parametrize(("failing", "keep"), [("deploy", False), ("verify", True)])
def test_what_failed_is_said_and_what_stands_goes_unless_it_is_kept(
    cloud: Cloud, stages: Stages, failing: str, keep: bool
) -> None:
    stages.errors[f"{failing} 1"] = GateFailed("westus cannot reach eastus", advice="Look at the peering.")

    run_id, state = run(cloud, f"fails-{failing}", keep_on_failure=keep)

    assert state.is_failed()
    assert "GateFailed: westus cannot reach eastus" in state.message
    before = ["destroy", "deploy"] if failing == "deploy" else ["destroy", "deploy", "verify"]
    assert stages.called == (before if keep else [*before, "destroy"])
    said = report(run_id)
    assert f"failed: {failing}" in said
    assert "GateFailed: westus cannot reach eastus Look at the peering." in said
    assert "([its run](" in said
    assert ("was kept" in said) == keep


def test_nothing_is_built_where_the_last_night_could_not_be_cleared_away(
    cloud: Cloud, stages: Stages
) -> None:
    stages.errors["destroy 1"] = AzureBusy("locked")

    run_id, state = run(cloud, "locked")

    assert state.is_failed()
    assert stages.called == ["destroy"]
    assert "0.0000 USD at most" in report(run_id)


def test_a_night_that_cannot_be_taken_down_has_failed_too(cloud: Cloud, stages: Stages) -> None:
    stages.errors["destroy 2"] = AzureBusy("locked")

    run_id, state = run(cloud, "stays")

    assert state.is_failed()
    assert "failed: destroy" in report(run_id)


def test_the_report_compares_with_the_nights_before(cloud: Cloud, stages: Stages) -> None:
    run(cloud, "trend")
    stages.errors["verify 2"] = GateFailed("lost")
    run(cloud, "trend")

    run_id, _ = run(cloud, "trend")

    said = report(run_id)
    assert re.search(r"deploy \| done .* s of 2 ", said)
    assert re.search(r"verify \| done .* s of 1 ", said)
    assert said.count(" UTC") == 1
    assert said.count("  well") == 2
    assert said.count("failed: verify") == 1


def test_no_night_begins_while_another_of_the_same_topology_is_under_way(
    cloud: Cloud, stages: Stages
) -> None:
    @flow(name="nightly", flow_run_name="nightly twice-nightly")
    def first() -> Any:
        with topology_lock(cloud.credentials, "twice-nightly_night"):
            assert flow_run.id
            return run(cloud, "twice")[1].message

    assert AlreadyRunning.__name__ in str(first())
    assert stages.called == []


def test_a_name_without_room_for_a_nights_is_refused(cloud: Cloud, stages: Stages) -> None:
    with pytest.raises(InvalidTopology, match=r"name: .* Write at most 16 characters"):
        nightly(topology.parse({"name": "a-name-of-17-char", "regions": REGIONS}), cloud.credentials)

    assert stages.called == []


def test_a_night_clears_away_what_the_last_one_left_with_other_keys(
    cloud: Cloud, stages: Stages, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leave_something(verb: str, given: Topology) -> None:
        if verb == "deploy":
            made = Deployment(key=str(uuid4()), plan=make_plan(given), credentials=cloud.credentials)
            ensure_ssh_key.fn(made)
            ensure_resource_group.fn(made)

    monkeypatch.setattr(stages, "happens", leave_something)
    monkeypatch.setattr(module, "destroy", destroy)  # the real one
    left = {"name": "left-nightly", "expires": "2099-01-01T00:00:00Z", "regions": REGIONS}
    leave_something("deploy", topology.parse(left))
    old_key = load_block(SshKey, "left-nightly").public_key

    _, state = run(cloud, "left")

    assert state.is_completed(), state.message
    assert not has_block(SshKey, "left-nightly")
    leave_something("deploy", topology.parse(left))
    assert load_block(SshKey, "left-nightly").public_key != old_key


def test_what_a_person_deployed_under_a_nights_name_is_not_cleared_away(cloud: Cloud, stages: Stages) -> None:
    made = cloud.deployment(name="mine-nightly", regions=REGIONS)

    _, state = run(cloud, "mine")

    assert "roachmesh-mine-nightly: it was made by no night" in state.message
    assert stages.called == []
    assert ensure_resource_group.fn(made).change == "unchanged"
