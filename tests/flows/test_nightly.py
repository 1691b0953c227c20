"""A night's order, what it keeps, what it says and whom it never meets; its stages stand in for the real."""

import re
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    FlowRunFilter,
    FlowRunFilterId,
)
from prefect.flow_engine import run_flow
from prefect.runtime import flow_run
from prefect.states import AwaitingRetry

from blocks import SshKey
from flows import nightly as module
from flows.destroy import destroy
from flows.nightly import nightly
from roachmesh import names, topology
from roachmesh.errors import AlreadyRunning, AzureBusy, GateFailed, InvalidTopology
from roachmesh.plan import make_plan
from roachmesh.topology import Topology
from tasks.azure_resource import ensure
from tasks.deployment import Deployment, has_block, load_block
from tasks.keys import ensure_ssh_key
from tasks.overlap import topology_lock
from tasks.resource_group import ensure_resource_group
from tasks.runs import GONE, HEARD_OF, close
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


def parameters(name: str, cloud: Cloud) -> dict[str, Any]:
    return {"topology": topology.parse({"name": name, "regions": REGIONS}), "credentials": cloud.credentials}


def run(cloud: Cloud, name: str, **more: Any) -> tuple[UUID, Any]:
    """Run a night; gives its id and the state in which it ended."""
    state: Any = nightly(**parameters(name, cloud), **more, return_state=True)
    return state.state_details.flow_run_id, state


def of(run_id: UUID) -> FlowRunFilter:
    return FlowRunFilter(id=FlowRunFilterId(any_=[run_id]))


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
    assert "on 1 node: eastus (plain machines, 1)" in said
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
    assert ("What was made, if anything, was kept" in said) == keep
    assert ("USD at most so far" in said) == keep


def test_nothing_is_built_where_the_last_night_could_not_be_cleared_away(
    cloud: Cloud, stages: Stages
) -> None:
    stages.errors["destroy 1"] = AzureBusy("locked")

    run_id, state = run(cloud, "locked")

    assert state.is_failed()
    assert stages.called == ["destroy"]
    said = report(run_id)
    assert "What stood in roachmesh-locked-nightly before may still stand, and cost." in said
    assert "USD at most" not in said


def test_a_night_that_cannot_be_taken_down_has_failed_too(cloud: Cloud, stages: Stages) -> None:
    stages.errors["destroy 2"] = AzureBusy("locked")

    run_id, state = run(cloud, "stays")

    assert state.is_failed()
    said = report(run_id)
    assert "failed: destroy" in said
    assert "could not be taken down: what stands in roachmesh-stays-nightly goes on costing" in said
    assert "USD at most so far" in said


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


def trend(run_id: UUID) -> list[str]:
    """How a night's report tells of the nights before, the latest first."""
    _, _, drawn = report(run_id).partition("## Trend")
    return [line for line in drawn.splitlines() if re.match(r"\d{4}-", line)][1:]


def test_a_night_that_was_killed_lasted_until_it_was_last_heard_of(cloud: Cloud, stages: Stages) -> None:
    killed, _ = run(cloud, "killed")
    with get_client(sync_client=True) as client:
        (verified,) = [
            one for one in client.read_task_runs(flow_run_filter=of(killed)) if one.name == "verify"
        ]
        assert verified.start_time
        heard_of = verified.start_time + timedelta(seconds=500)
        client.set_task_run_state(verified.id, GONE, force=True)
        client.update_flow_run_labels(killed, {HEARD_OF: heard_of.isoformat()})
        close(client, killed)

    run_id, _ = run(cloud, "killed")

    (before,) = trend(run_id)
    assert re.search(r"  50\d s  unfinished: verify$", before)


def test_a_night_that_ended_between_two_stages_did_not_go_well(cloud: Cloud, stages: Stages) -> None:
    ended, _ = run(cloud, "between")
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(ended, GONE, force=True)

    run_id, _ = run(cloud, "between")

    assert [line.endswith("  not completed") for line in trend(run_id)] == [True]


def test_of_a_night_that_was_retried_its_last_attempt_counts(cloud: Cloud, stages: Stages) -> None:
    stages.errors["verify 1"] = GateFailed("lost")
    retried, _ = run(cloud, "retried")
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(retried, AwaitingRetry(), force=True)
        run_flow(nightly, client.read_flow_run(retried), parameters("retried", cloud), return_type="state")

    run_id, state = run(cloud, "retried")

    assert state.is_completed(), state.message
    assert [line.endswith("  well") for line in trend(run_id)] == [True]
    assert re.search(r"deploy \| done .* s of 1 ", report(run_id))


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


def leave(cloud: Cloud, given: Topology) -> Deployment:
    """Make what a deployment makes first: the key, and the resource group that names it."""
    made = Deployment(key=str(uuid4()), plan=make_plan(given), credentials=cloud.credentials)
    ensure_ssh_key.fn(made)
    ensure_resource_group.fn(made)
    return made


def test_a_night_clears_away_what_the_last_one_left_with_other_keys(
    cloud: Cloud, stages: Stages, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = []

    def happens(verb: str, given: Topology) -> None:
        if verb == "deploy":
            leave(cloud, given)
            keys.append(load_block(SshKey, "left-nightly").public_key)
            if len(keys) == 1:
                raise GateFailed("lost")

    monkeypatch.setattr(stages, "happens", happens)
    monkeypatch.setattr(module, "destroy", destroy)  # the real one
    run(cloud, "left", keep_on_failure=True)
    assert has_block(SshKey, "left-nightly")

    _, state = run(cloud, "left")

    assert state.is_completed(), state.message
    assert not has_block(SshKey, "left-nightly")
    assert len(set(keys)) == 2


def test_a_group_that_a_killed_night_had_only_begun_is_cleared_away(cloud: Cloud, stages: Stages) -> None:
    stages.errors["deploy 1"] = AlreadyRunning("another")
    run(cloud, "begun", keep_on_failure=True)

    _, state = run(cloud, "begun")

    assert state.is_completed(), state.message


@pytest.mark.parametrize("expires", [None, "2099-01-01T00:00:00Z"])
def test_what_a_person_deployed_under_a_nights_name_is_not_cleared_away(
    cloud: Cloud, stages: Stages, expires: str | None
) -> None:
    name = "mine" if expires is None else "mine-too"
    made = cloud.deployment(name=f"{name}-nightly", regions=REGIONS, expires=expires)

    _, state = run(cloud, name)

    assert f"roachmesh-{name}-nightly: it was made by no night" in state.message
    assert stages.called == []
    assert ensure_resource_group.fn(made).change == "unchanged"


def test_a_group_without_a_keys_name_is_not_cleared_away_while_something_is_in_it(
    cloud: Cloud, stages: Stages
) -> None:
    made = cloud.deployment(name="unmarked-nightly", regions=REGIONS, expires="2099-01-01T00:00:00Z")
    tags = {names.TAG_TOPOLOGY: "unmarked-nightly", names.TAG_EXPIRES: "2099-01-01T00:00:00Z"}
    groups = made.resources().resource_groups
    groups.create_or_update(made.resource_group, {"location": "eastus", "tags": tags})
    assert run(cloud, "unmarked")[1].is_completed()
    groups.create_or_update(made.resource_group, {"location": "eastus", "tags": tags})
    ensure(made, made.inventory.security_group(made.plan.regions[0]))

    _, state = run(cloud, "unmarked")

    assert "it was made by no night" in state.message


def test_what_a_person_deployed_into_a_nights_group_is_no_nights_any_more(
    cloud: Cloud, stages: Stages
) -> None:
    stages.errors["verify 1"] = GateFailed("lost")
    run(cloud, "taken", keep_on_failure=True)
    leave(cloud, topology.parse({"name": "taken-nightly", "regions": REGIONS}))
    before = list(stages.called)

    _, state = run(cloud, "taken")

    assert "roachmesh-taken-nightly: it was made by no night, or deployed since" in state.message
    assert stages.called == before
