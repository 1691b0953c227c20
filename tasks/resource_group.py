"""The resource group: it holds everything of a topology, and remembers who operates it."""

from ipaddress import IPv4Network
from typing import Any

from roachmesh import names
from roachmesh.inventory import VIRTUAL_MACHINE
from roachmesh.outcome import Outcome
from roachmesh.topology import Model
from tasks.azure_errors import azure_errors
from tasks.azure_resource import ensure, finish, read, require_tag
from tasks.deployment import Deployment
from tasks.engine import converging, judging

DELETE_TIMEOUT_S = 1800.0


class ResourceGroup(Model):
    """A resource group that exists: its operators, and the ids of what is in it."""

    operators: tuple[IPv4Network, ...]
    resources: tuple[str, ...]


@judging("what exists already")
def read_resource_group(deployment: Deployment) -> ResourceGroup | None:
    """Read the resource group of a topology; None when there is none.

    Raises:
        NotOurs: a group of that name exists and was not made by this topology.
    """
    found = read(deployment, deployment.inventory.resource_group())
    if found is None:
        return None
    require_tag(deployment, found, deployment.resource_group)
    operators = found["tags"].get(names.TAG_OPERATOR, "")
    return ResourceGroup(
        operators=tuple(map(IPv4Network, filter(None, operators.split(",")))),
        resources=tuple(item["id"] for item in list_resources(deployment)),
    )


@converging("resource group {deployment.resource_group}")
def ensure_resource_group(deployment: Deployment) -> Outcome:
    """Make the resource group, tagged as ours, where our tags remember who operates it."""
    return ensure(deployment, deployment.inventory.resource_group())


@converging("delete resource group {deployment.resource_group}")
def delete_resource_group(deployment: Deployment) -> int:
    """Delete the resource group with everything in it; returns how many resources went.

    Raises:
        NotOurs: something in it was made by somebody else; nothing was deleted.
    """
    name = deployment.resource_group
    groups = deployment.resources().resource_groups
    found = read(deployment, deployment.inventory.resource_group())
    if found is None:
        return 0
    require_tag(deployment, found, name)
    resources = list_resources(deployment)
    machines = {resource["id"].lower() for resource in resources if resource["type"] == VIRTUAL_MACHINE}
    for resource in resources:
        # A machine's system disk is made by Azure, and carries no tags: it counts as the machine's.
        if resource.get("managedBy", "").lower() not in machines:
            require_tag(deployment, resource, resource["name"])
    with azure_errors(name):
        finish(groups.begin_delete(name), name, DELETE_TIMEOUT_S)
    return len(resources)


def list_resources(deployment: Deployment) -> list[dict[str, Any]]:
    """List what is in the resource group, in the wire's words."""
    with azure_errors(deployment.resource_group):
        listed = deployment.resources().resources.list_by_resource_group(deployment.resource_group)
        return [resource.as_dict() for resource in listed]
