"""Deployments whose time is over: found in a subscription by the tag that says so, and by nothing else."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cached_property

from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.network import NetworkManagementClient
from azure.mgmt.resource.resources import ResourceManagementClient

from blocks import AzureCredentials, SshKey
from blocks.logger import logger
from roachmesh import names, ssh_keys
from roachmesh.inventory import Body
from roachmesh.topology import Model
from tasks.azure_errors import azure_errors
from tasks.azure_resource import tags_of
from tasks.deployment import has_block, load_block, load_credentials
from tasks.engine import always
from tasks.keys import forget
from tasks.overlap import topology_lock
from tasks.removal import describe, remove


class Subscription:
    """The SDK's clients for credentials that need not be a block."""

    def __init__(self, credentials: AzureCredentials) -> None:
        self._credentials = credentials

    def network(self) -> NetworkManagementClient:
        """Give the one for networks."""
        return self._network

    def compute(self) -> ComputeManagementClient:
        """Give the one for machines and disks."""
        return self._compute

    def resources(self) -> ResourceManagementClient:
        """Give the one for resource groups."""
        return self._resources

    @cached_property
    def _network(self) -> NetworkManagementClient:
        return self._credentials.get_client(NetworkManagementClient)

    @cached_property
    def _compute(self) -> ComputeManagementClient:
        return self._credentials.get_client(ComputeManagementClient)

    @cached_property
    def _resources(self) -> ResourceManagementClient:
        return self._credentials.get_client(ResourceManagementClient)


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
    return [
        Expired(
            topology=topology,
            expires=tags_of(group)[names.TAG_EXPIRES],
            group=group,
            contents=tuple(describe(subscription, topology, group["name"])),
        )
        for group in groups
        if (topology := _owner(group)) and _is_over(group)
    ]


def _owner(group: Body) -> str | None:
    """Give the topology whose group it is, unless it is being deleted already."""
    topology = tags_of(group).get(names.TAG_TOPOLOGY)
    is_theirs = topology is not None and group["name"] == names.resource_group(topology)
    return topology if is_theirs and group["properties"]["provisioningState"] != "Deleting" else None


def _is_over(group: Body) -> bool:
    expires = tags_of(group)[names.TAG_EXPIRES]
    try:
        return datetime.fromisoformat(expires) < datetime.now(UTC)
    except (ValueError, TypeError):  # no time, or one without a zone
        logger().warning("%s stays: its tag %s is %r", group["name"], names.TAG_EXPIRES, expires)
        return False


def remove_expired(subscription: Subscription, expired: Expired) -> str:
    """Delete what is ours of a deployment whose time is over; says what came of it."""
    count = remove(subscription, expired.topology, expired.group)
    return f"{expired.topology}: {count} resources deleted"


@always("expired deployments")
def list_expired(credentials: str) -> list[Expired]:
    """List what has expired in the subscription of a block."""
    return find_expired(Subscription(load_credentials(credentials)))


@always("sweep {expired.topology}")
def sweep_one(credentials: str, expired: Expired) -> str:
    """Delete an expired deployment, and the secrets here that are its.

    Looked at once more when no other run can change it any longer, since one may have given it more time.

    Raises:
        AlreadyRunning: another run works on it.
    """
    subscription = Subscription(load_credentials(credentials))
    with topology_lock(credentials, expired.topology):
        still = [one for one in find_expired(subscription) if one.topology == expired.topology]
        if not still:
            return f"{expired.topology}: has not expired any more"
        said = remove_expired(subscription, still[0])
        if _is_key_of(still[0]):
            forget(expired.topology)
            return f"{said}, and its secrets"
        return f"{said}; its secrets are not in this Prefect"


def _is_key_of(expired: Expired) -> bool:
    """Tell whether the SSH key here opened it; another server may have a topology of the same name."""
    marked = tags_of(expired.group).get(names.TAG_SSH_KEY)
    topology = expired.topology
    return (
        has_block(SshKey, topology)
        and ssh_keys.fingerprint(load_block(SshKey, topology).public_key) == marked
    )


def report(expired: Sequence[Expired]) -> str:
    """Say what has expired, in lines."""
    return "\n".join(map(str, expired))
