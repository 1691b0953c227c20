"""What is a topology's in a resource group, and how it goes: only what carries our tag."""

from collections import Counter
from collections.abc import Sequence
from functools import partial

from azure.core.exceptions import ResourceNotFoundError

from blocks.logger import logger
from roachmesh import names
from roachmesh.errors import AzureBusy, AzureRefused
from roachmesh.inventory import RESOURCE_GROUP, VIRTUAL_MACHINE, Body
from tasks.azure_errors import azure_errors
from tasks.azure_resource import OPERATIONS, SETTLE_EVERY_S, Clients, delete, owner_of
from tasks.threads import ask_all
from tasks.wait import wait_until

DELETE_TIMEOUT_S = 1800.0
# What says of a group that it has machines of ours, or will go with them.
MARKS = (names.TAG_SSH_KEY, names.TAG_EXPIRES, names.TAG_NIGHT)


def read_group(clients: Clients, name: str) -> Body | None:
    """Read a resource group in the wire's words; None when there is none."""
    with azure_errors(name):
        try:
            found: Body = clients.resources().resource_groups.get(name).as_dict()
        except ResourceNotFoundError:
            return None
    return found


def is_going(group: Body) -> bool:
    """Tell whether a resource group is being deleted."""
    return bool(group["properties"]["provisioningState"] == "Deleting")


def list_resources(clients: Clients, group: str) -> list[Body]:
    """List what is in a resource group, in the wire's words."""
    with azure_errors(group):
        listed = clients.resources().resources.list_by_resource_group(group)
        return [resource.as_dict() for resource in listed]


def is_ours(topology: str, resource: Body, all_resources: Sequence[Body]) -> bool:
    """Tell what carries a topology's tag; a machine's system disk is made by Azure and counts as its."""
    owner_id = resource.get("managedBy", "").lower()
    owners = [
        one
        for one in all_resources
        if one["type"] == VIRTUAL_MACHINE and one["id"].lower() == owner_id and _is_system_disk(resource)
    ]
    return owner_of(owners[0] if owners else resource) == topology


def _is_system_disk(resource: Body) -> bool:
    return str(resource["name"]).startswith(names.os_disk(""))


def describe(clients: Clients, topology: str, group: str) -> list[str]:
    """Say what of a topology is in its resource group, a line for the group and one for each type."""
    resources = list_resources(clients, group)
    ours = [resource for resource in resources if is_ours(topology, resource, resources)]
    counts = Counter(resource["type"].rpartition("/")[2] for resource in ours)
    strangers = len(resources) - len(ours)
    stays = f" (stays: {strangers} resources in it are not ours)" if strangers else ""
    return [
        f"resource group {group}{stays}",
        *(f"  {count:4} {kind}" for kind, count in sorted(counts.items())),
    ]


def remove(clients: Clients, topology: str, group: Body) -> int:
    """Delete everything of a topology in its resource group; returns how many resources went.

    The group goes as a whole if all that is in it is ours. Otherwise ours go one by one, and it stays. What
    somebody else deletes meanwhile, or a run that died has begun to delete, is waited for: none went then.

    Raises:
        AzureRefused: something of somebody else's still uses something of ours.
        AzureBusy: the deletion that was waited for failed, and the group stands again.
    """
    name = group["name"]
    try:
        if not is_going(group):
            return _delete_ours(clients, topology, group)
    except (AzureBusy, AzureRefused):  # a group that goes, or is gone, refuses what is asked of it
        found = read_group(clients, name)
        if found and not is_going(found):
            raise
    _wait_until_gone(clients, name)
    return 0


def _wait_until_gone(clients: Clients, name: str) -> None:
    def ended() -> tuple[Body | None] | None:
        found = read_group(clients, name)
        return None if found and is_going(found) else (found,)

    what = f"the end of resource group {name}, which is being deleted"
    (found,) = wait_until(ended, what=what, timeout_s=DELETE_TIMEOUT_S, every_s=SETTLE_EVERY_S)
    if found:
        raise AzureBusy("somebody's deletion of it failed, and it stands again.", where=name)


def _delete_ours(clients: Clients, topology: str, group: Body) -> int:
    name = group["name"]
    resources = list_resources(clients, name)
    ours = [resource for resource in resources if is_ours(topology, resource, resources)]
    if len(ours) < len(resources):
        logger().warning("%s stays: %d resources in it are not ours", name, len(resources) - len(ours))
        _delete_one_by_one(clients, name, ours)
        _unmark(clients, group)
        return len(ours)
    delete(clients, RESOURCE_GROUP, (name,), DELETE_TIMEOUT_S)
    return len(resources)


def _delete_one_by_one(clients: Clients, group: str, resources: Sequence[Body]) -> None:
    """Delete what nothing else uses any more first: types in the reverse order of their making.

    Machines take their system disks with them.
    """
    for kind in reversed(OPERATIONS):
        paths = [
            (group, resource["name"])
            for resource in resources
            if resource["type"].lower() == kind.lower() and not _is_system_disk(resource)
        ]
        ask_all(partial(_delete_at, clients, kind), paths)


def _delete_at(clients: Clients, kind: str, path: tuple[str, ...]) -> None:
    delete(clients, kind, path, DELETE_TIMEOUT_S)


def _unmark(clients: Clients, group: Body) -> None:
    """Take the key's name and the expiry off a group that stays: nothing is left that either is about."""
    tags = {name: value for name, value in group["tags"].items() if name not in MARKS}
    body = {"location": group["location"], "tags": tags}
    with azure_errors(group["name"]):
        clients.resources().resource_groups.create_or_update(group["name"], body)
