"""How one resource of Azure converges: read, compare, write only what differs, wait with a deadline."""

from typing import Any, Protocol

from azure.core.exceptions import ResourceNotFoundError
from azure.core.polling import LROPoller
from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.network import NetworkManagementClient
from azure.mgmt.resource.resources import ResourceManagementClient

from blocks.logger import Logger, logger
from blocks.retries import LOGGER
from roachmesh import inventory, names
from roachmesh.drift import differences
from roachmesh.errors import DeployedElsewhere, NotOurs, NotReadyYet
from roachmesh.inventory import Body, Resource
from roachmesh.outcome import Outcome
from tasks.azure_errors import azure_errors
from tasks.deployment import Deployment
from tasks.wait import wait_until

WRITE_TIMEOUT_S = 600.0
SETTLED_STATES = ("Succeeded", "Failed", "Canceled", None)  # None: some types have no such state
SETTLE_EVERY_S = 5.0  # Azure allows 12 reads a minute of one machine

# Where the SDK keeps the operations on a type: one of `Deployment`'s clients, and its attribute.
OPERATIONS = {
    inventory.RESOURCE_GROUP: ("resources", "resource_groups"),
    inventory.SECURITY_GROUP: ("network", "network_security_groups"),
    inventory.ROUTE_TABLE: ("network", "route_tables"),
    inventory.VIRTUAL_NETWORK: ("network", "virtual_networks"),
    inventory.PEERING: ("network", "virtual_network_peerings"),
    inventory.PUBLIC_ADDRESS: ("network", "public_ip_addresses"),
    inventory.INTERFACE: ("network", "network_interfaces"),
    inventory.AVAILABILITY_SET: ("compute", "availability_sets"),
    inventory.DISK: ("compute", "disks"),
    inventory.VIRTUAL_MACHINE: ("compute", "virtual_machines"),
}


class Clients(Protocol):
    """The SDK's clients for a subscription: a deployment has them, and so has the sweep."""

    def network(self) -> NetworkManagementClient:
        """Give the one for networks."""

    def compute(self) -> ComputeManagementClient:
        """Give the one for machines and disks."""

    def resources(self) -> ResourceManagementClient:
        """Give the one for resource groups."""


def ensure(deployment: Deployment, resource: Resource) -> Outcome:
    """Make a resource what the plan says.

    Raises:
        NotOurs: it exists and is not tagged as this topology's, although it can carry tags.
        DeployedElsewhere: it is marked with the SSH key of another Prefect server.
        AzureRefused, AzureBusy: from Azure.
        NotReadyYet: Azure did not finish the write in time.
    """
    found = read_settled(deployment, resource)
    if found is None:
        write(deployment, resource, resource.body)
        return Outcome(what=resource.label, change="created")
    require_ours(deployment, found, resource)
    drift = compare(resource, found)
    if not drift:
        return Outcome(what=resource.label, change="unchanged")
    logger().info("%s differs: %s", resource.label, "; ".join(drift))
    write(deployment, resource, _with_kept(resource, found))
    return Outcome(what=resource.label, change="updated")


def compare(resource: Resource, found: Body) -> list[str]:
    """List what a resource does not say as the plan wants it; empty when there is nothing to write."""
    drift = differences(_with_kept(resource, found), found)
    if names.TAG_EXPIRES in tags_of(found).keys() - tags_of(resource.body).keys():
        drift.append(f"tags.{names.TAG_EXPIRES}: {tags_of(found)[names.TAG_EXPIRES]!r}, wanted none")
    return drift if is_sound(found) else [*drift, "its last write failed"]


def operations(clients: Clients, kind: str) -> Any:
    """Give the SDK's operations on a type."""
    client, attribute = OPERATIONS[kind]
    return getattr(getattr(clients, client)(), attribute)


def read(deployment: Deployment, resource: Resource) -> Body | None:
    """Read a resource in the wire's words; None when there is none."""
    options = {"expand": "instanceView"} if resource.type == inventory.VIRTUAL_MACHINE else {}
    with azure_errors(resource.label):
        try:
            found: Body = operations(deployment, resource.type).get(*resource.path, **options).as_dict()
        except ResourceNotFoundError:
            return None
    return found


def read_settled(
    deployment: Deployment, resource: Resource, timeout_s: float = WRITE_TIMEOUT_S
) -> Body | None:
    """Read a resource when no write to it is under way, or none any more: who began it may be dead.

    Raises:
        NotReadyYet: it is still being written, or deleted, after `timeout_s`.
    """

    def settled() -> tuple[Body | None] | None:
        found = read(deployment, resource)
        return (found,) if found is None or _provisioning_state(found) in SETTLED_STATES else None

    what = f"{resource.label}, which another run still writes"
    (found,) = wait_until(settled, what=what, timeout_s=timeout_s, every_s=SETTLE_EVERY_S)
    return found


def write(deployment: Deployment, resource: Resource, body: Body, timeout_s: float = WRITE_TIMEOUT_S) -> Body:
    """Write a resource and wait for the end of it; gives what Azure then says of it."""
    group = operations(deployment, resource.type)
    put = getattr(group, "begin_create_or_update", None) or group.create_or_update
    with azure_errors(resource.label):
        written = put(*resource.path, body, **to_log())
        if isinstance(written, LROPoller):
            written = finish(written, resource.label, timeout_s)
        answer: Body = written.as_dict()
    return answer


def delete(clients: Clients, kind: str, path: tuple[str, ...], timeout_s: float = WRITE_TIMEOUT_S) -> None:
    """Delete a resource of a type and wait until it is gone."""
    group = operations(clients, kind)
    begin = getattr(group, "begin_delete", None) or group.delete
    with azure_errors(path[-1]):
        begun = begin(*path, **to_log())
        if isinstance(begun, LROPoller):
            finish(begun, path[-1], timeout_s)


def to_log() -> dict[str, Logger]:
    """Give an operation the run's log, since it is polled in a thread of the SDK's that knows of no run."""
    return {LOGGER: logger()}


def is_sound(found: Body) -> bool:
    """Tell whether the last write of a resource succeeded."""
    return _provisioning_state(found) in ("Succeeded", None)


def _provisioning_state(found: Body) -> str | None:
    state: str | None = found.get("properties", {}).get("provisioningState")
    return state


def finish(poller: LROPoller[Any], what: str, timeout_s: float = WRITE_TIMEOUT_S) -> Any:
    """Wait for a long-running operation; its own error is raised as it is."""
    poller.wait(timeout_s)
    if not poller.done():
        raise NotReadyYet(
            f"{what}: Azure did not finish within {timeout_s:.0f} s (last: {poller.status()}).",
            advice="Run the deployment again: it continues.",
        )
    return poller.result()


def require_ours(deployment: Deployment, found: Body, resource: Resource) -> None:
    """Refuse to touch what could carry this topology's tag and does not, or is marked with another key."""
    if "tags" not in resource.body:
        return
    _require_tag(deployment, found, resource.label)
    marked = found["tags"].get(names.TAG_SSH_KEY)
    if marked and marked != deployment.ssh_key_fingerprint:
        ours = deployment.ssh_key_fingerprint or "none"
        raise deployed_elsewhere(
            deployment, f"its SSH key is {marked}, the one here is {ours}.", where=resource.label
        )


def deployed_elsewhere(deployment: Deployment, message: str, *, where: str) -> DeployedElsewhere:
    """Say that another Prefect server deployed this, and what to do now."""
    topology = deployment.plan.topology
    return DeployedElsewhere(
        f"another Prefect server deployed it: {message}",
        where=where,
        advice=f"Use that server (PREFECT_API_URL), or save its blocks named {topology} here: ssh-key, "
        f"certificates, database-passwords, with clusters kubernetes-secrets. If they are lost, "
        f"nobody gets in any more: `az group delete -n {deployment.resource_group}`, and deploy anew.",
    )


def carries_tag(deployment: Deployment, found: Body) -> bool:
    """Tell whether something carries this topology's tag."""
    return owner_of(found) == deployment.plan.topology


def owner_of(found: Body) -> str | None:
    """Name the topology whose tag something carries."""
    return tags_of(found).get(names.TAG_TOPOLOGY)


def tags_of(body: Body) -> dict[str, str]:
    """Give what something that was read, or is wanted, has of tags."""
    return body.get("tags") or {}


def _require_tag(deployment: Deployment, found: Body, where: str) -> None:
    if not carries_tag(deployment, found):
        owner = owner_of(found)
        whose = f"belongs to the topology {owner!r}" if owner else "was not made by Roachmesh"
        raise NotOurs(
            f"it exists and {whose}.", where=where, advice="Give the topology another name, or remove it."
        )


def kept_tags(resource: Resource, found: Body) -> dict[str, str]:
    """Give the wanted tags and those that others, or the machine's making, put there; no expiry of old."""
    kept = {name: value for name, value in tags_of(found).items() if name != names.TAG_EXPIRES}
    return {**kept, **tags_of(resource.body)}


def _with_kept(resource: Resource, found: Body) -> Body:
    """Add what others put there and may stay, since a PUT replaces everything: tags, items of lists."""
    body = dict(resource.body)
    if "tags" in body:
        body["tags"] = kept_tags(resource, found)
    properties = dict(body.get("properties", {}))
    for key in resource.keep:
        wanted = properties.get(key, [])
        ours = {item["name"] for item in wanted}
        theirs = [item for item in found.get("properties", {}).get(key, []) if item["name"] not in ours]
        if wanted or theirs:
            properties[key] = wanted + theirs
    return {**body, "properties": properties} if properties else body
