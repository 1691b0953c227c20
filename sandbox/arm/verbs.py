"""What PUT, PATCH, GET, DELETE and lists do, whatever the type."""

from dataclasses import replace

from sandbox.arm import responses, writing
from sandbox.arm.cloud import Cloud
from sandbox.arm.errors import (
    ArmError,
    child_not_found,
    group_being_deleted,
    group_not_found,
    parent_not_found,
    resource_not_found,
)
from sandbox.arm.ids import ResourceId
from sandbox.arm.operations import Operation
from sandbox.arm.resource_type import Answer, Call, ResourceType
from sandbox.arm.store import Resource, new_etag


def put(cloud: Cloud, call: Call, kind: ResourceType, resource_id: ResourceId) -> Answer:
    """Create or replace a resource."""
    resource_id = _writable(cloud, resource_id)
    present = cloud.store.find(resource_id)
    _check_preconditions(call, resource_id, present)
    _check_stays(cloud, present)
    location = writing.location_of(cloud, kind, resource_id, call.body)
    operation = cloud.operations.start(
        location=location,
        namespace=kind.namespace,
        shows="Updating" if present or kind.namespace == "Microsoft.Network" else "Creating",
        seconds=0 if kind.synchronous else kind.write_s,
    )
    with cloud.store.all_or_nothing():
        resource = writing.write(cloud, kind, resource_id, call.body, operation, present)
        work = kind.begin(cloud, resource, present)
    operation.version = cloud.store.version
    if work:
        cloud.operations.run(operation, work)
    resource = cloud.store.find(resource_id) or resource
    if kind.synchronous:
        return responses.one(cloud, kind, resource)
    status = 200 if present else kind.created_status
    return responses.written(cloud, call, kind, resource, operation, status)


def patch(cloud: Cloud, call: Call, kind: ResourceType, resource_id: ResourceId) -> Answer:
    """Change tags; other changes go by PUT here."""
    resource_id = _writable(cloud, resource_id)
    resource = existing(cloud, resource_id)
    _check_preconditions(call, resource_id, resource)
    if set(call.body) - {"tags"}:
        raise ArmError(400, "NotEmulatedBySandbox", "The sandbox changes nothing but tags by PATCH.")
    changed = replace(resource, tags=writing.tags_of(call.body), etag=new_etag())
    cloud.store.put(changed)
    return responses.one(cloud, kind, changed)


def get(cloud: Cloud, kind: ResourceType, resource_id: ResourceId) -> Answer:
    """Show a resource."""
    return responses.one(cloud, kind, existing(cloud, resource_id))


def delete(cloud: Cloud, call: Call, kind: ResourceType, resource_id: ResourceId) -> Answer:
    """Remove a resource; absent is as good as deleted."""
    resource_id = _writable(cloud, resource_id)
    resource = cloud.store.find(resource_id)
    if resource is None:
        return Answer(204)
    _check_preconditions(call, resource_id, resource)
    kind.check_delete(cloud, resource)
    location = cloud.store.location_of(resource) or "global"
    operation = cloud.operations.start(
        location=location, namespace=kind.namespace, shows="Deleting", seconds=kind.delete_s
    )
    cloud.store.put(replace(resource, operation=operation, etag=new_etag()))
    if kind.synchronous:
        kind.end(cloud, resource)
        return Answer(200)
    end(cloud, kind, resource, operation)
    return responses.accepted(cloud, call, operation)


def end(cloud: Cloud, kind: ResourceType, resource: Resource, operation: Operation) -> None:
    """Let a resource go: by its own work, or when the clock says that Azure would be done."""

    def go() -> None:
        work = kind.end(cloud, resource)
        operation.version = cloud.store.version
        if work:
            cloud.operations.run(operation, work)

    cloud.operations.afterwards(operation, go)


def list_in(cloud: Cloud, kind: ResourceType, group: str | None) -> Answer:
    """All resources of a type, in one group or in the subscription."""
    if group is not None:
        _existing_group(cloud, group)
    wanted = [
        found
        for found in cloud.store.of_type(kind.name)
        if group is None or found.id.group.lower() == group.lower()
    ]
    return responses.listing([responses.document(cloud, kind, found) for found in wanted])


def list_children(cloud: Cloud, kind: ResourceType, parent: ResourceId) -> Answer:
    """All children of one kind."""
    found = cloud.store.children(existing(cloud, parent).id, kind.name.rsplit("/", 1)[1])
    return responses.listing([responses.document(cloud, kind, child) for child in found])


def existing(cloud: Cloud, resource_id: ResourceId) -> Resource:
    """The resource, or the 404 that Azure gives for it: whose fault it is decides who answers."""
    group = _existing_group(cloud, resource_id.group)
    found = cloud.store.find(resource_id)
    if found:
        return found
    if resource_id.parent is None:
        raise resource_not_found(f"{resource_id.type}/{resource_id.name}", group)
    if not cloud.store.find(resource_id.parent):
        raise parent_not_found(resource_id.parent.name)
    raise child_not_found(str(resource_id))


def _existing_group(cloud: Cloud, name: str) -> str:
    group = cloud.store.groups.get(name.lower())
    if group is None:
        raise group_not_found(name)
    return group.name


def _writable(cloud: Cloud, resource_id: ResourceId) -> ResourceId:
    """Refuse writes to what is going, and give the id the casing of what exists."""
    group = cloud.store.groups.get(resource_id.group.lower())
    if group is None:
        raise group_not_found(resource_id.group)
    if group.deleting:
        raise group_being_deleted(group.name)
    present = cloud.store.find(resource_id)
    if present:
        return present.id
    if resource_id.parent is None:
        return replace(resource_id, group=group.name)
    parent = cloud.store.find(resource_id.parent)
    if parent is None:
        raise parent_not_found(resource_id.parent.name)
    return parent.id.child(*resource_id.path[-1])


def _check_stays(cloud: Cloud, present: Resource | None) -> None:
    """Refuse to write what is being deleted; the code is believed."""
    if present and cloud.operations.provisioning_state(present.operation) == "Deleting":
        raise ArmError(409, "AnotherOperationInProgress", f"Resource {present.id} is being deleted.")


def _check_preconditions(call: Call, resource_id: ResourceId, present: Resource | None) -> None:
    """Refuse a write that was meant for another version.

    Source: facts/azure.md; the code is believed, the status 412 is what the SDK's models name.
    """
    match, none_match = call.headers.get("if-match"), call.headers.get("if-none-match")
    stale = match not in (None, "*") and (present is None or present.etag != match)
    missing = match == "*" and present is None
    if stale or missing or (none_match == "*" and present):
        message = f"Precondition failed for resource {resource_id}: its ETag is another one."
        raise ArmError(412, "PreconditionFailed", message)
