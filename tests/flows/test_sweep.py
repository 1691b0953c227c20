"""What expires, what `sweep` deletes of it, and above all what it leaves alone."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Timer
from typing import Any

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from pydantic import SecretStr
from typer.testing import CliRunner

from blocks import AzureCredentials, Certificates, SshKey
from flows.cli import app
from flows.sweep import sweep
from roachmesh import names, topology
from roachmesh.errors import AlreadyRunning, AzureBusy, AzureRefused, InvalidTopology, Permanent
from roachmesh.inventory import Body
from roachmesh.plan import make_plan
from tasks.azure_resource import Clients
from tasks.deployment import Deployment, has_block, load_block, load_credentials
from tasks.keys import forget
from tasks.machines import ensure_virtual_machine
from tasks.overlap import topology_lock
from tasks.preflight import refuse_expired
from tasks.removal import describe, read_group, remove
from tasks.resource_group import delete_resource_group, ensure_resource_group
from tasks.sweep import Expired, Subscription, find_all, find_expired, remove_expired
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


def begin_deletion(cloud: Cloud, group: str) -> None:
    """Delete a group as somebody else would; it is over in a second."""
    cloud.azure.app.cloud.latency = 1.0
    path = f"/subscriptions/{CREDENTIALS.subscription_id}/resourceGroups/{group}"
    assert cloud.azure.raw("DELETE", path)[0] == 202
    cloud.azure.app.cloud.latency = 0.0

    def end() -> None:
        cloud.azure.clock.now += 60

    Timer(1.0, end).start()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.removal.SETTLE_EVERY_S", 0.1)


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


@pytest.mark.usefixtures("impatient")
def test_a_group_that_is_being_deleted_is_waited_for_and_its_secrets_go(cloud: Cloud) -> None:
    made = stage(cloud, "going", YESTERDAY)
    begin_deletion(cloud, made.deployment.resource_group)

    sweep(cloud.credentials)

    assert made.deployment.resource_group not in groups(cloud)
    assert not has_block(SshKey, "going")


@pytest.mark.usefixtures("impatient")
def test_destroying_waits_for_a_deletion_that_is_under_way(cloud: Cloud) -> None:
    made = stage(cloud, "destroyed", None)
    begin_deletion(cloud, made.deployment.resource_group)

    delete_resource_group.fn(made.deployment)

    assert made.deployment.resource_group not in groups(cloud)


@pytest.mark.usefixtures("impatient")
def test_a_deletion_that_began_since_the_group_was_read_is_waited_for(cloud: Cloud) -> None:
    made = stage(cloud, "raced", None)
    group = read_group(made.deployment, made.deployment.resource_group)
    assert group is not None
    begin_deletion(cloud, group["name"])

    assert remove(made.deployment, "raced", group) == 0

    assert group["name"] not in groups(cloud)
    assert remove(made.deployment, "raced", group) == 0


@pytest.mark.usefixtures("impatient")
def test_a_deletion_that_fails_is_no_end(cloud: Cloud) -> None:
    made = stage(cloud, "again", None)
    store, name = cloud.azure.app.cloud.store.groups, made.deployment.resource_group
    store[name] = replace(store[name], deleting=True)
    Timer(1.0, lambda: store.update({name: replace(store[name], deleting=False)})).start()

    with pytest.raises(AzureBusy, match="it stands again"):
        delete_resource_group.fn(made.deployment)


def die(cloud: Cloud, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sweep a topology, and die when its group is gone and some of its secrets are not."""
    stage(cloud, name, YESTERDAY)

    def fail(name: str) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(Certificates, "delete", fail)
        with pytest.raises(ZeroDivisionError):
            sweep(cloud.credentials)
    assert groups(cloud) == set()
    assert has_block(Certificates, name)


def test_secrets_that_a_sweep_died_at_go_with_the_next_one(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    die(cloud, "half", monkeypatch)
    assert [one.topology for one in find_all(cloud.credentials)] == ["half"]

    sweep(cloud.credentials)

    assert not has_block(Certificates, "half")
    assert not has_block(SshKey, "half")
    assert find_all(cloud.credentials) == []


def test_secrets_that_a_sweep_died_at_stay_when_they_were_deployed_with_since(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    @flow(flow_run_name="deploy elsewhere")
    def deploy() -> None:
        """Deploy it to another subscription."""

    die(cloud, "elsewhere", monkeypatch)
    deploy()

    sweep(cloud.credentials)

    assert has_block(SshKey, "elsewhere")
    forget("elsewhere")


def test_a_retry_that_finds_the_group_gone_forgets_the_secrets(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage(cloud, "retried", YESTERDAY)

    def lose_the_answer(subscription: Subscription, expired: Expired) -> int | None:
        count = remove_expired(subscription, expired)
        if count:
            raise AzureBusy("Azure does not answer")
        return count

    monkeypatch.setattr("tasks.sweep.remove_expired", lose_the_answer)
    sweep(cloud.credentials)

    assert not has_block(SshKey, "retried")


def test_one_that_goes_while_it_is_looked_at_keeps_no_other(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a-gone", "kept-not"):
        stage(cloud, name, YESTERDAY)

    def look(clients: Clients, topology: str, group: str) -> list[str]:
        if topology == "a-gone":
            cloud.azure.resources.resource_groups.begin_delete(group).result()
        return describe(clients, topology, group)

    monkeypatch.setattr("tasks.sweep.describe", look)
    sweep(cloud.credentials)

    assert groups(cloud) == set()
    assert not has_block(SshKey, "a-gone")


def test_one_that_cannot_be_read_is_an_error_once_the_others_are_gone(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [stage(cloud, name, YESTERDAY) for name in ("a-secret", "others")]

    def refuse(clients: Clients, topology: str, group: Any) -> Any:
        if topology == "a-secret":
            raise AzureRefused("AuthorizationFailed", where=topology)
        return (
            describe(clients, topology, group) if isinstance(group, str) else remove(clients, topology, group)
        )

    for name in ("describe", "remove"):
        monkeypatch.setattr(f"tasks.sweep.{name}", refuse)
    with pytest.raises(AzureRefused, match="AuthorizationFailed"):
        sweep(cloud.credentials)

    assert groups(cloud) == {made[0].deployment.resource_group}
    assert has_block(SshKey, "a-secret")


def test_what_expires_after_the_terminal_has_asked_stays(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage(cloud, "shown", YESTERDAY)
    later: list[Stage] = []

    def run(flow: Any, **arguments: Any) -> None:
        later.append(stage(cloud, "not-shown", YESTERDAY))
        flow(**arguments)

    monkeypatch.setattr("flows.cli._require_prefect", lambda: None)
    monkeypatch.setattr("flows.terminal.run", run)
    done = CliRunner().invoke(app, ["sweep", "--yes", "--credentials", cloud.credentials])

    assert done.exit_code == 0, done.output
    assert groups(cloud) == {later[0].deployment.resource_group}


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
    credentials_file.write_text('{"subscription_id": "s", "secret": "hush", "tenant": "t"}')
    assert "unknown: secret, tenant" in refused(credentials_file)
    credentials_file.write_text('{"subscription_id": "s", "client_secret": "hush"}')
    assert "a client_secret needs the method service_principal" in refused(credentials_file)
    credentials_file.write_bytes(b'{"subscription_id": "\xff"}')
    assert "not UTF-8" in refused(credentials_file)


@pytest.mark.usefixtures("prefect")
def test_a_block_that_cannot_be_is_named_and_its_secret_is_not() -> None:
    secret = SecretStr("hush")
    AzureCredentials.model_construct(subscription_id="s", method="default", client_secret=secret).save(
        "unfit"
    )

    with pytest.raises(Permanent, match=r"azure-credentials/unfit cannot be: .*needs the method") as caught:
        load_block(AzureCredentials, "unfit")

    assert "hush" not in str(caught.value)


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
