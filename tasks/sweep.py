"""Deployments whose time is over: found in a subscription by the tag that says so, and by nothing else."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache

from azure.core.exceptions import ResourceNotFoundError
from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.network import NetworkManagementClient
from azure.mgmt.resource.resources import ResourceManagementClient

from blocks import AzureCredentials, SshKey
from blocks.logger import logger
from roachmesh import names, ssh_keys
from roachmesh.errors import AlreadyRunning
from roachmesh.inventory import Body
from roachmesh.topology import Model
from tasks.azure_errors import azure_errors
from tasks.azure_resource import owner_of, tags_of
from tasks.deployment import has_block, load_block, load_credentials
from tasks.engine import always
from tasks.keys import forget
from tasks.overlap import topology_lock
from tasks.removal import describe, remove
from tasks.results import delete_results


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
    """A topology's resource group whose time is over.

    Attributes:
        group: The group in the wire's words.
        contents: What of it is ours, a line each.
    """

    topology: str
    expires: str
    group: Body
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


def _look(subscription: Subscription, group: Body) -> Expired | None:
    """Say what a group is of, if that has expired."""
    topology = _owner(group)
    if topology is None or not _is_over(group):
        return None
    contents = describe(subscription, topology, group["name"])
    expires = tags_of(group)[names.TAG_EXPIRES]
    return Expired(topology=topology, expires=expires, group=group, contents=tuple(contents))


def _owner(group: Body) -> str | None:
    """Give the topology whose group it is, unless it is being deleted already."""
    topology = owner_of(group)
    is_theirs = topology is not None and group["name"] == names.resource_group(topology)
    return topology if is_theirs and group["properties"]["provisioningState"] != "Deleting" else None


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

    Looked at once more: None if a run has given it more time since, or somebody destroyed it.
    """
    name = expired.group["name"]
    with azure_errors(name):
        try:
            group = subscription.resources().resource_groups.get(name).as_dict()
        except ResourceNotFoundError:
            return None
    if _owner(group) is None or not _is_over(group):
        return None
    return remove(subscription, expired.topology, group)


@always("expired deployments")
def list_expired(credentials: str) -> list[Expired]:
    """List what has expired in the subscription of a block."""
    return find_expired(Subscription(load_credentials(credentials)))


@always("sweep {expired.topology}")
def sweep_one(credentials: str, expired: Expired) -> str:
    """Delete an expired deployment, and the secrets here that are its, unless another run works on it."""
    try:
        with topology_lock(credentials, expired.topology):
            has_key = _is_key_of(expired)
            count = remove_expired(Subscription(load_credentials(credentials)), expired)
            if has_key and count is not None:
                forget(expired.topology)
                delete_results(expired.topology)
    except AlreadyRunning as exc:
        return f"{expired.topology}: left to the next sweep, since {exc.message}"
    return f"{outcome(expired, count)}{', and its secrets' if has_key and count is not None else ''}"


def _is_key_of(expired: Expired) -> bool:
    """Tell whether the SSH key here opened it; another server may have a topology of the same name."""
    marked = tags_of(expired.group).get(names.TAG_SSH_KEY)
    topology = expired.topology
    return (
        has_block(SshKey, topology)
        and ssh_keys.fingerprint(load_block(SshKey, topology).public_key) == marked
    )


def outcome(expired: Expired, count: int | None) -> str:
    """Say what came of deleting an expired deployment."""
    return f"{expired.topology}: " + (
        "has not expired any more, or is gone" if count is None else f"{count} resources deleted"
    )


def report(expired: Sequence[Expired]) -> str:
    """Say what has expired, in lines."""
    return "\n".join(map(str, expired))
