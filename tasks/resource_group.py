"""The resource group: it holds everything of a topology, and remembers who operates it and has its keys."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Network
from typing import Any

from blocks.logger import logger
from roachmesh import names
from roachmesh.inventory import RESOURCE_GROUP, VIRTUAL_MACHINE, Body
from roachmesh.outcome import Outcome
from roachmesh.topology import Model
from tasks.azure_errors import azure_errors
from tasks.azure_resource import (
    OPERATIONS,
    carries_tag,
    delete,
    deployed_elsewhere,
    ensure,
    read,
    require_ours,
    write,
)
from tasks.deployment import Deployment
from tasks.engine import always

DELETE_TIMEOUT_S = 1800.0


class ResourceGroup(Model):
    """A resource group that exists, and where SSH into it may come from."""

    operators: tuple[IPv4Network, ...]


@always("what exists already")
def read_resource_group(deployment: Deployment) -> ResourceGroup | None:
    """Read the resource group of a topology; None when there is none.

    Raises:
        NotOurs: a group of that name exists and was not made by this topology.
        DeployedElsewhere: it was made by this topology, from another Prefect server.
    """
    found = find_group(deployment)
    if found is None:
        return None
    operators = found["tags"].get(names.TAG_OPERATOR, "")
    return ResourceGroup(operators=tuple(map(IPv4Network, filter(None, operators.split(",")))))


def find_group(deployment: Deployment) -> Body | None:
    """Read the resource group in the wire's words, and refuse what is not ours to change.

    Its tag names the SSH key that opens the machines in it. Who has no such key in his blocks would
    make another one, and lock everybody out.
    """
    resource = deployment.inventory.resource_group()
    found = read(deployment, resource)
    if found is None:
        return None
    require_ours(deployment, found, resource)
    if names.TAG_SSH_KEY not in found["tags"] and deployment.ssh_key_fingerprint is None:
        machines = len(read_machine_tags(deployment))  # no mark: first made by a version of 2026-11 or before
        if machines:
            message = f"it has {machines} machines, and there is no SSH key for them here."
            raise deployed_elsewhere(deployment, message, where=resource.label)
    return found


@always("resource group {deployment.resource_group}")
def ensure_resource_group(deployment: Deployment) -> Outcome:
    """Make the resource group, whose tags say that it is ours, who operates it, and which key opens it."""
    return ensure(deployment, deployment.inventory.resource_group())


@always("delete resource group {deployment.resource_group}")
def delete_resource_group(deployment: Deployment) -> int:
    """Delete everything of a topology; returns how many resources went.

    The group goes as a whole if all that is in it is ours. Otherwise ours go one by one, and it stays.

    Raises:
        NotOurs, DeployedElsewhere: the group was made by somebody else; nothing was deleted.
        AzureRefused: something of somebody else's still uses something of ours.
    """
    name = deployment.resource_group
    found = find_group(deployment)
    if found is None:
        return 0
    resources = list_resources(deployment)
    ours = [resource for resource in resources if is_ours(deployment, resource, resources)]
    if len(ours) < len(resources):
        logger().warning("%s stays: %d resources in it are not ours", name, len(resources) - len(ours))
        _delete_one_by_one(deployment, ours)
        _forget_key(deployment, found)
        return len(ours)
    delete(deployment, RESOURCE_GROUP, (name,), DELETE_TIMEOUT_S)
    return len(resources)


def is_ours(deployment: Deployment, resource: Body, all_resources: Sequence[Body]) -> bool:
    """Tell what carries our tag; a machine's system disk is made by Azure and counts as the machine's."""
    owner_id = resource.get("managedBy", "").lower()
    owners = [
        one for one in all_resources if one["type"] == VIRTUAL_MACHINE and one["id"].lower() == owner_id
    ]
    return carries_tag(deployment, owners[0] if owners else resource)


def _delete_one_by_one(deployment: Deployment, resources: Sequence[Body]) -> None:
    """Delete what nothing else uses any more first: types in the reverse order of their making.

    Machines take their system disks with them.
    """
    system_disks = {names.os_disk(node.name) for node in deployment.plan.nodes}
    for kind in reversed(OPERATIONS):
        paths = [
            (deployment.resource_group, resource["name"])
            for resource in resources
            if resource["type"].lower() == kind.lower() and resource["name"] not in system_disks
        ]
        with ThreadPoolExecutor() as workers:
            list(workers.map(lambda path, kind=kind: delete(deployment, kind, path, DELETE_TIMEOUT_S), paths))


def _forget_key(deployment: Deployment, group: Body) -> None:
    """Take the key's name off a group that stays: the key goes next, and nothing is left that it opens."""
    tags = {name: value for name, value in group["tags"].items() if name != names.TAG_SSH_KEY}
    body = {"location": group["location"], "tags": tags}
    write(deployment, deployment.inventory.resource_group(), body)


def read_machine_tags(deployment: Deployment) -> dict[str, dict[str, str]]:
    """Read the tags of the machines in the resource group, whosoever they are, by their names."""
    machines = [one for one in list_resources(deployment) if one["type"] == VIRTUAL_MACHINE]
    return {one["name"]: one.get("tags") or {} for one in machines}


def list_resources(deployment: Deployment) -> list[dict[str, Any]]:
    """List what is in the resource group, in the wire's words."""
    with azure_errors(deployment.resource_group):
        listed = deployment.resources().resources.list_by_resource_group(deployment.resource_group)
        return [resource.as_dict() for resource in listed]
