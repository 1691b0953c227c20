"""The resource group: it holds everything of a topology, and remembers who operates it and has its keys."""

from ipaddress import IPv4Network

from roachmesh import names
from roachmesh.inventory import VIRTUAL_MACHINE, Body
from roachmesh.outcome import Outcome
from roachmesh.topology import Model
from tasks.azure_resource import deployed_elsewhere, ensure, read, require_ours, tags_of
from tasks.deployment import Deployment
from tasks.engine import always
from tasks.removal import list_resources, remove


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


@always("resource group {deployment.resource_group}, a night's")
def ensure_nights_group(deployment: Deployment) -> Outcome:
    """Make the resource group before `deploy` does, with a tag that only nights write and `deploy` keeps."""
    group = deployment.inventory.resource_group()
    expires = deployment.plan.expires
    tags = {
        names.TAG_TOPOLOGY: deployment.plan.topology,
        names.TAG_EXPIRES: expires,
        names.TAG_NIGHT: expires,
    }
    return ensure(deployment, group.model_copy(update={"body": {**group.body, "tags": tags}}))


@always("delete resource group {deployment.resource_group}")
def delete_resource_group(deployment: Deployment) -> int:
    """Delete everything of a topology; returns how many resources went.

    The group goes as a whole if all that is in it is ours. Otherwise ours go one by one, and it stays.

    Raises:
        NotOurs, DeployedElsewhere: the group was made by somebody else; nothing was deleted.
        AzureRefused: something of somebody else's still uses something of ours.
    """
    found = find_group(deployment)
    return remove(deployment, deployment.plan.topology, found) if found else 0


def read_machine_tags(deployment: Deployment) -> dict[str, dict[str, str]]:
    """Read the tags of the machines in the resource group, whosoever they are, by their names."""
    resources = list_resources(deployment, deployment.resource_group)
    return {one["name"]: tags_of(one) for one in resources if one["type"] == VIRTUAL_MACHINE}
