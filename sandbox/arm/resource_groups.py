"""Resource groups: made at once, deleted with all that is in them."""

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from sandbox.arm import resource_lists, responses
from sandbox.arm.cloud import Cloud
from sandbox.arm.errors import ArmError, group_being_deleted, group_not_found
from sandbox.arm.locations import REGIONS, canonical
from sandbox.arm.resource_type import Answer, Call
from sandbox.arm.resources import disks, peerings, virtual_machines
from sandbox.arm.resources.machine_spec import machine_key
from sandbox.arm.store import Json, Resource, ResourceGroup
from sandbox.arm.writing import tags_of

DELETE_S = 45


def put(cloud: Cloud, call: Call, name: str) -> Answer:
    """Create a group, or change its tags: at once, without an operation."""
    present = cloud.store.groups.get(name.lower())
    if present and present.deleting:
        raise group_being_deleted(present.name)
    if not re.fullmatch(r"[\w.()-]{0,89}[\w()-]", name):
        message = f"The provided resource group name '{name}' has these invalid characters or is too long."
        raise ArmError(400, "InvalidResourceGroup", message)
    location = _location(call.body, present)
    group = ResourceGroup(
        name=present.name if present else name,
        location=location,
        tags=tags_of(call.body),
        managed_by=call.body.get("managedBy"),
    )
    cloud.store.groups[name.lower()] = group
    return Answer(200 if present else 201, responses.group_document(cloud, group))


def patch(cloud: Cloud, call: Call, name: str) -> Answer:
    """Change the tags."""
    group = existing(cloud, name)
    if group.deleting:
        raise group_being_deleted(group.name)
    if "tags" in call.body:
        group = replace(group, tags=tags_of(call.body))
    cloud.store.groups[name.lower()] = group
    return Answer(200, responses.group_document(cloud, group))


def get(cloud: Cloud, call: Call, name: str) -> Answer:
    """Show a group."""
    return Answer(200, responses.group_document(cloud, existing(cloud, name)))


def head(cloud: Cloud, call: Call, name: str) -> Answer:
    """Tell whether it exists: 204 or 404."""
    return Answer(204 if name.lower() in cloud.store.groups else 404)


def delete(cloud: Cloud, call: Call, name: str) -> Answer:
    """Delete a group with all that is in it; the name is free when that is over.

    Source: facts/azure.md section 2: only `Location`, 202 until done, then 200 without a body.
    """
    group = existing(cloud, name)
    if group.deleting:
        raise group_being_deleted(group.name)
    cloud.store.groups[name.lower()] = replace(group, deleting=True)
    operation = cloud.operations.start(
        location=group.location, namespace="Microsoft.Resources", shows="Updating", seconds=DELETE_S
    )
    cloud.operations.afterwards(
        operation, lambda: cloud.operations.run(operation, lambda: _empty(cloud, group.name))
    )
    url = f"{call.base_url}/subscriptions/{cloud.subscription_id}/operationresults/{operation.id}"
    location = f"{url}?api-version={call.api_version}"
    return Answer(202, None, {"Location": location, **responses.poll_headers(cloud, operation)})


def list_all(cloud: Cloud, call: Call) -> Answer:
    """All groups, or those with a tag."""
    wanted = resource_lists.filter_of(call)
    groups = [
        group for group in cloud.store.groups.values() if resource_lists.has_tag(dict(group.tags), wanted)
    ]
    return responses.listing([responses.group_document(cloud, group) for group in groups])


def existing(cloud: Cloud, name: str) -> ResourceGroup:
    """The group, or Azure's 404."""
    group = cloud.store.groups.get(name.lower())
    if group is None:
        raise group_not_found(name)
    return group


def _location(body: Json, present: ResourceGroup | None) -> str:
    given = body.get("location")
    if not isinstance(given, str) or not given:
        raise ArmError(400, "LocationRequired", "The location property is required for this definition.")
    location = canonical(given)
    if location not in REGIONS:
        message = (
            f"The provided location '{given}' is not available for resource group. "
            f"List of available regions is '{','.join(REGIONS)}'."
        )
        raise ArmError(400, "LocationNotAvailableForResourceGroup", message)
    if present and present.location != location:
        message = (
            f"Invalid resource group location '{given}'. "
            f"The Resource group already exists in location '{present.location}'."
        )
        raise ArmError(409, "InvalidResourceGroupLocation", message)
    return location


def _empty(cloud: Cloud, name: str) -> None:
    """Delete what is in a group, and the group; if that fails the group is there again."""
    try:
        _delete_contents(cloud, name)
    except Exception:
        with cloud.store.lock:
            cloud.store.groups[name.lower()] = replace(cloud.store.groups[name.lower()], deleting=False)
        raise


def _delete_contents(cloud: Cloud, name: str) -> None:
    """Delete the machines, all at once, then the records, then the data disks."""
    with cloud.store.lock:
        resources = cloud.store.in_group(name)
        _check_outside_users(cloud, name, resources)
    machines = [found for found in resources if found.id.type == virtual_machines.TYPE.name]
    with ThreadPoolExecutor(max_workers=16) as pool:
        list(pool.map(lambda machine: _delete_machine(cloud, machine), machines))
    for resource in resources:
        if cloud.machines and resource.id.type == disks.TYPE.name and not resource.hidden.get("system"):
            cloud.machines.delete_disk(resource.id.key)
    with cloud.store.lock:
        _disconnect_peers(cloud, name, resources)
        for resource in resources:
            cloud.store.remove(resource.id)
        for key in [key for key, one in cloud.store.deployments.items() if one.group == name]:
            del cloud.store.deployments[key]
        del cloud.store.groups[name.lower()]
    cloud.converge()


def _delete_machine(cloud: Cloud, machine: Resource) -> None:
    with cloud.turns[machine.id.key]:
        if cloud.machines:
            cloud.machines.delete(machine_key(machine.id))


def _check_outside_users(cloud: Cloud, name: str, resources: list[Resource]) -> None:
    """Refuse while resources of other groups use one of these; a peering only loses its other half."""
    held = [
        str(resource.id)
        for resource in resources
        for user in cloud.store.referrers(resource.id)
        if user.id.group.lower() != name.lower() and user.id.type != peerings.TYPE.name
    ]
    if held:
        message = (
            f"Deletion of resource group '{name}' failed as resources with identifiers "
            f"'{', '.join(held)}' could not be deleted. The provisioning state of the resource group will be "
            "rolled back."
        )
        raise ArmError(409, "ResourceGroupDeletionBlocked", message)


def _disconnect_peers(cloud: Cloud, name: str, gone: list[Resource]) -> None:
    for resource in gone:
        for peering in cloud.store.referrers(resource.id, peerings.TYPE.name):
            if peering.id.group.lower() != name.lower():
                peerings.disconnect(cloud, peering)
