"""Deployments whose time is over: found in a subscription by the tag that says so, and by nothing else."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache

from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.network import NetworkManagementClient
from azure.mgmt.resource.resources import ResourceManagementClient
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.variables import Variable

from blocks import AzureCredentials, SshKey
from blocks.logger import logger
from roachmesh import names, ssh_keys
from roachmesh.errors import AlreadyRunning, AzureBusy, AzureRefused
from roachmesh.inventory import Body
from roachmesh.topology import Model
from tasks.azure_errors import azure_errors
from tasks.azure_resource import owner_of, tags_of
from tasks.deployment import has_block, load_block, load_credentials
from tasks.engine import always
from tasks.keys import forget
from tasks.overlap import topology_lock
from tasks.removal import describe, read_group, remove
from tasks.results import delete_results
from tasks.runs import latest


class Subscription:
    """The SDK's clients for credentials that need not be a block."""

    def __init__(self, credentials: AzureCredentials) -> None:
        self._client = cache(credentials.get_client)

    def network(self) -> NetworkManagementClient:
        """Give the one for networks."""
        client: NetworkManagementClient = self._client(NetworkManagementClient)
        return client

    def compute(self) -> ComputeManagementClient:
        """Give the one for machines and disks."""
        client: ComputeManagementClient = self._client(ComputeManagementClient)
        return client

    def resources(self) -> ResourceManagementClient:
        """Give the one for resource groups."""
        client: ResourceManagementClient = self._client(ResourceManagementClient)
        return client


class Expired(Model):
    """A topology whose time is over.

    Attributes:
        ssh_key: Fingerprint of the key that opens its machines, if its resource group says so.
        contents: What of it is ours, a line each.
    """

    topology: str
    expires: str
    ssh_key: str | None
    contents: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join((f"{self.topology}, since {self.expires}", *(f"  {one}" for one in self.contents)))


def find_expired(subscription: Subscription) -> list[Expired]:
    """List the resource groups that a deployment made and whose time is over.

    What only looks like one stays: a group with our tags and another name, or with a time that is none.
    """
    with azure_errors("resource groups"):
        listed = subscription.resources().resource_groups.list(filter=f"tagName eq '{names.TAG_EXPIRES}'")
        groups = [group.as_dict() for group in listed]
    found = [_look(subscription, group) for group in groups]
    return [one for one in found if one]


def find_all(credentials: str) -> list[Expired]:
    """List what has expired, and what an earlier sweep died at: gone already, its secrets still here."""
    subscription = Subscription(load_credentials(credentials))
    expired = find_expired(subscription)
    listed = {one.topology for one in expired}
    begun = [one for one in _read_begun(credentials) if one.topology not in listed]
    gone = [one for one in begun if not read_group(subscription, names.resource_group(one.topology))]
    return expired + gone


def _look(subscription: Subscription, group: Body) -> Expired | None:
    """Say what a group is of, if that has expired. One that cannot be read hides no other."""
    topology = _owner(group)
    if topology is None or not _is_over(group):
        return None
    tags = tags_of(group)
    try:
        contents = describe(subscription, topology, group["name"])
    except (AzureBusy, AzureRefused) as exc:  # gone meanwhile, or whoever deletes it will be told the same
        contents = [f"cannot be read: {exc}"]
    return Expired(
        topology=topology,
        expires=tags[names.TAG_EXPIRES],
        ssh_key=tags.get(names.TAG_SSH_KEY),
        contents=tuple(contents),
    )


def _owner(group: Body) -> str | None:
    """Give the topology whose group it is."""
    topology = owner_of(group)
    return topology if topology and group["name"] == names.resource_group(topology) else None


def _is_over(group: Body) -> bool:
    expires = tags_of(group).get(names.TAG_EXPIRES)
    if expires is None:
        return False
    try:
        return datetime.fromisoformat(expires) < datetime.now(UTC)
    except (ValueError, TypeError):  # no time, or one without a zone
        logger().warning("%s stays: its tag %s is %r", group["name"], names.TAG_EXPIRES, expires)
        return False


def remove_expired(subscription: Subscription, expired: Expired) -> int | None:
    """Delete what is ours of a deployment whose time is over; returns how many resources went.

    Looked at once more: none went if it is gone already. None if a run has given it more time since.
    """
    group = read_group(subscription, names.resource_group(expired.topology))
    if group is None:
        return 0
    if _owner(group) is None or not _is_over(group):
        return None
    return remove(subscription, expired.topology, group)


@always("expired deployments")
def list_expired(credentials: str) -> list[Expired]:
    """List what has expired in the subscription of a block."""
    return find_all(credentials)


@always("sweep {expired.topology}")
def sweep_one(credentials: str, expired: Expired) -> str:
    """Delete an expired deployment, and the secrets here that are its, unless another run works on it.

    Its secrets go last. That it was begun is written down before, since nothing else tells of them once the
    group is gone: whoever dies in between leaves them to the next sweep.
    """
    begun = _begun(credentials, expired.topology)
    try:
        with topology_lock(credentials, expired.topology):
            has_key = _is_key_of(expired)
            if has_key:
                Variable.set(begun, expired.model_dump(mode="json", exclude={"contents"}), overwrite=True)
            count = remove_expired(Subscription(load_credentials(credentials)), expired)
            if has_key and count is not None:
                forget(expired.topology)
                delete_results(expired.topology)
            Variable.unset(begun)
    except AlreadyRunning as exc:
        return f"{expired.topology}: left to the next sweep, since {exc.message}"
    return f"{outcome(expired, count)}{', and its secrets' if has_key and count is not None else ''}"


def _is_key_of(expired: Expired) -> bool:
    """Tell whether the SSH key here opened it; another server may have a topology of the same name."""
    topology = expired.topology
    return (
        has_block(SshKey, topology)
        and ssh_keys.fingerprint(load_block(SshKey, topology).public_key) == expired.ssh_key
    )


def _begun(credentials: str, topology: str) -> str:
    """Name the variable that says of a topology that a sweep has begun to delete it."""
    return f"roachmesh-sweep-{load_credentials(credentials).subscription_id}-{topology}"


def _read_begun(credentials: str) -> list[Expired]:
    """Read what sweeps began and did not end; what was deployed since may need the same secrets elsewhere."""
    wanted = {"variables": {"name": {"like_": _begun(credentials, "")}}}
    left = ("its resource group is gone, its secrets are still in Prefect",)
    with get_client(sync_client=True) as client:
        answer = client.request("POST", "/variables/filter", json=wanted).json()
        found = [
            (Expired(**one["value"], contents=left), datetime.fromisoformat(one["updated"])) for one in answer
        ]
        return [one for one, since in found if not _is_deployed_since(client, one.topology, since)]


def _is_deployed_since(client: SyncPrefectClient, topology: str, since: datetime) -> bool:
    runs = latest(client, topology, ["deploy"], limit=1)
    return any(run.start_time is None or run.start_time > since for run in runs)


def outcome(expired: Expired, count: int | None) -> str:
    """Say what came of deleting an expired deployment."""
    went = f"{count} resources deleted" if count else "is gone"
    return f"{expired.topology}: {'has not expired any more' if count is None else went}"


def report(expired: Sequence[Expired]) -> str:
    """Say what has expired, in lines."""
    return "\n".join(map(str, expired))
