"""What expires, what `sweep` deletes of it, and above all what it leaves alone."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from typer.testing import CliRunner

from blocks import SshKey
from flows.cli import app
from flows.sweep import sweep
from roachmesh import names, topology
from roachmesh.errors import AlreadyRunning, AzureRefused, InvalidTopology
from roachmesh.inventory import Body
from roachmesh.plan import make_plan
from tasks.deployment import Deployment, has_block, load_credentials
from tasks.machines import ensure_virtual_machine
from tasks.overlap import topology_lock
from tasks.preflight import refuse_expired
from tasks.removal import remove
from tasks.resource_group import ensure_resource_group
from tasks.sweep import Subscription, find_expired, remove_expired
from tests.flows.conftest import Cloud
from tests.flows.test_azure_tasks import EASTUS, Stage
from tests.sandbox.arm_fixtures import CREDENTIALS

YESTERDAY = f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}"
TOMORROW = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}"


def stage(cloud: Cloud, name: str, expires: str | None) -> Stage:
    """A region's machine and all that it needs, made by a deployment that expires."""
    deployment = cloud.deployment(name=name, expires=expires, regions=[EASTUS])
    made = Stage(deployment, deployment.plan.regions[0])
    made.machine()
    return made


def expiring(deployment: Deployment, expires: str | None) -> Deployment:
    """The same deployment with another time."""
    return deployment.model_copy(
        update={"plan": deployment.plan.model_copy(update={"expires": expires}), "key": "later"}
    )


def groups(cloud: Cloud) -> set[str]:
    return {str(group.name) for group in cloud.azure.resources.resource_groups.list()}


@pytest.fixture(autouse=True)
def nothing_left(cloud: Cloud) -> Iterator[None]:
    yield
    for group in groups(cloud):
        cloud.azure.resources.resource_groups.begin_delete(group).result()


@pytest.fixture
def credentials_file(cloud: Cloud, tmp_path: Path) -> Path:
    path = tmp_path / "credentials.json"
    path.touch(mode=0o600)
    fields = {
        "subscription_id": CREDENTIALS.subscription_id,
        "method": "service_principal",
        "tenant_id": CREDENTIALS.tenant_id,
        "client_id": CREDENTIALS.client_id,
        "client_secret": CREDENTIALS.client_secret,
        "authority": cloud.azure.endpoint,
        "arm_endpoint": cloud.azure.endpoint,
        "ca_pem": cloud.azure.ca_file.read_text(),
    }
    path.write_text(json.dumps(fields))
    return path


def test_everything_that_can_carries_the_time_and_a_second_deployment_writes_nothing(cloud: Cloud) -> None:
    made = stage(cloud, "tagged", TOMORROW)

    resources = list(cloud.azure.resources.resources.list_by_resource_group(made.deployment.resource_group))

    assert len(resources) == 8
    own = [one for one in resources if not str(one.name).startswith(names.os_disk(""))]
    assert {(one.tags or {}).get(names.TAG_EXPIRES) for one in own} == {TOMORROW}
    assert cloud.writes_during(made.machine) == []


@pytest.mark.parametrize("later", [None, "2099-01-01T00:00:00Z"], ids=["never", "later"])
def test_another_time_is_written_and_a_machine_is_not_touched_for_it(cloud: Cloud, later: str | None) -> None:
    made = stage(cloud, "extended", TOMORROW)
    other = Stage(expiring(made.deployment, later), made.region)

    def change() -> None:
        assert ensure_resource_group.fn(other.deployment).change == "updated"
        assert other.machine().change == "updated"

    verbs = [line for line in cloud.writes_during(change) if "virtualMachines/" in line]
    assert len(verbs) == 1
    assert '"PATCH"' in verbs[0]
    found = cloud.azure.resources.resources.list_by_resource_group(other.deployment.resource_group)
    own = [one for one in found if not str(one.name).startswith(names.os_disk(""))]
    assert {(one.tags or {}).get(names.TAG_EXPIRES) for one in own} == {later}
    host_key = ensure_virtual_machine.fn(other.deployment, other.region, other.node).host.host_key
    assert host_key.startswith("ssh-ed25519")
    assert cloud.writes_during(other.machine) == []


def test_what_has_expired_goes_with_its_secrets_and_nothing_else(cloud: Cloud) -> None:
    over = stage(cloud, "over", YESTERDAY)
    stage(cloud, "not-yet", TOMORROW)
    stage(cloud, "forever", None)
    tags = {names.TAG_TOPOLOGY: "over", names.TAG_EXPIRES: YESTERDAY}
    theirs: Any = cloud.azure.resources.resource_groups
    theirs.create_or_update("copy-of-tags", {"location": "eastus", "tags": tags})
    theirs.create_or_update("roachmesh-x", {"location": "eastus", "tags": {names.TAG_EXPIRES: YESTERDAY}})
    marked = {names.TAG_TOPOLOGY: "y", names.TAG_EXPIRES: "soon"}
    theirs.create_or_update("roachmesh-y", {"location": "eastus", "tags": marked})
    everything = groups(cloud)

    sweep(cloud.credentials)

    assert everything - groups(cloud) == {over.deployment.resource_group}
    assert not has_block(SshKey, "over")
    assert has_block(SshKey, "not-yet")
    assert cloud.writes_during(lambda: sweep(cloud.credentials)) == []


def test_the_page_of_a_sweep_lists_first_and_says_what_went(cloud: Cloud) -> None:
    stage(cloud, "listed", YESTERDAY)

    sweep(cloud.credentials)

    with get_client(sync_client=True) as client:
        for key, said in (("expired", f"listed, since {YESTERDAY}"), ("swept", "listed: 8 resources")):
            wanted = ArtifactFilter(key=ArtifactFilterKey(any_=[key]))
            assert any(said in str(one.data) for one in client.read_artifacts(artifact_filter=wanted))


def test_what_somebody_else_put_into_an_expired_group_stays_and_is_found_no_more(cloud: Cloud) -> None:
    made = stage(cloud, "shared", YESTERDAY)
    group = made.deployment.resource_group
    addresses: Any = cloud.azure.network.public_ip_addresses
    theirs = {"location": "eastus", "sku": {"name": "Standard"}}
    theirs["properties"] = {"publicIPAllocationMethod": "Static"}
    addresses.begin_create_or_update(group, "theirs", theirs).result()

    sweep(cloud.credentials)

    left = cloud.azure.resources.resources.list_by_resource_group(group)
    assert [resource.name for resource in left] == ["theirs"]
    assert cloud.writes_during(lambda: sweep(cloud.credentials)) == []


def test_what_another_run_works_on_is_left_to_the_next_sweep(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = stage(cloud, "worked-on", YESTERDAY)
    refusal = AlreadyRunning("another run changes this topology", where="worked-on")

    def refuse(credentials: str, name: str) -> None:
        raise refusal

    monkeypatch.setattr("tasks.sweep.topology_lock", refuse)
    sweep(cloud.credentials)

    assert made.deployment.resource_group in groups(cloud)
    monkeypatch.setattr("tasks.sweep.topology_lock", topology_lock)
    sweep(cloud.credentials)
    assert made.deployment.resource_group not in groups(cloud)


def test_what_was_given_more_time_since_it_was_listed_stays(cloud: Cloud) -> None:
    made = stage(cloud, "in-time", YESTERDAY)
    subscription = Subscription(load_credentials(cloud.credentials))
    (expired,) = find_expired(subscription)
    ensure_resource_group.fn(expiring(made.deployment, TOMORROW))

    assert remove_expired(subscription, expired) is None

    assert made.deployment.resource_group in groups(cloud)


def test_one_that_cannot_be_deleted_keeps_no_other(
    cloud: Cloud, credentials_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage(cloud, "a-locked", YESTERDAY)
    other = stage(cloud, "other", YESTERDAY)

    def locked(clients: object, topology: str, group: Body) -> int:
        if topology == "a-locked":
            raise AzureRefused("ScopeLocked", where=topology)
        return remove(subscription, topology, group)

    subscription = Subscription(load_credentials(cloud.credentials))
    monkeypatch.setattr("tasks.sweep.remove", locked)
    done = CliRunner().invoke(app, ["sweep", "--yes", "--credentials-file", str(credentials_file)])

    assert isinstance(done.exception, AzureRefused)
    assert other.deployment.resource_group not in groups(cloud)


def test_without_prefect_it_needs_only_a_file(cloud: Cloud, credentials_file: Path) -> None:
    made = stage(cloud, "pipeline", YESTERDAY)
    command = ["sweep", "--credentials-file", str(credentials_file)]

    asked = CliRunner().invoke(app, command)
    assert f"pipeline, since {YESTERDAY}" in asked.output
    assert "1 virtualMachines" in asked.output
    assert asked.exit_code != 0
    assert made.deployment.resource_group in groups(cloud)

    done = CliRunner().invoke(app, [*command, "--yes"])
    assert done.exit_code == 0, done.output
    assert "pipeline: 8 resources deleted" in done.output
    assert made.deployment.resource_group not in groups(cloud)
    assert "Nothing has expired." in CliRunner().invoke(app, command).output


def test_a_file_that_cannot_be_is_refused(credentials_file: Path) -> None:
    def refused(path: Path) -> str:
        done = CliRunner().invoke(app, ["sweep", "--credentials-file", str(path)])
        assert done.exit_code == 2
        return " ".join(done.output.replace("│", " ").split())

    assert "No such file" in refused(credentials_file.with_name("none.json"))
    credentials_file.chmod(0o644)
    assert "chmod 600" in refused(credentials_file)
    credentials_file.write_text('{"method": "default"}')
    assert "subscription_id: Field required" in refused(credentials_file)


def test_a_deployment_whose_time_is_over_is_refused_before_anything_is_made() -> None:
    plan = make_plan(topology.parse({"name": "late", "expires": YESTERDAY, "regions": [EASTUS]}))

    with pytest.raises(InvalidTopology, match=f"expires: {YESTERDAY} is over"):
        refuse_expired(Deployment(key="late", plan=plan))


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("2026-12-01 06:00:00", "write 2026-12-01T06:00:00Z"),
        ("2026-12-01T06:00:00+00:00", "write 2026-12-01T06:00:00Z"),
        ("2026-12-01T06:00:00+02:00", "a time in UTC"),
        ("tomorrow", "a time in UTC, such as 2026-12-01T06:00:00Z"),
        ("2026-02-30T06:00:00Z", "is no time"),
    ],
)
def test_a_time_in_another_form_is_refused(written: str, said: str) -> None:
    with pytest.raises(InvalidTopology, match=said):
        topology.parse({"expires": written})
