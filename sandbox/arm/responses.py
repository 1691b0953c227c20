"""How answers look: resource documents, lists, headers of long-running operations."""

import copy

from sandbox.arm import operations
from sandbox.arm.cloud import Cloud
from sandbox.arm.errors import ArmError
from sandbox.arm.operations import Operation
from sandbox.arm.resource_type import Answer, Call, ResourceType
from sandbox.arm.store import Json, Resource, ResourceGroup


def document(cloud: Cloud, kind: ResourceType, resource: Resource, state: str | None = None) -> Json:
    """A resource as a GET shows it, its children within."""
    properties = copy.deepcopy(resource.properties)
    for name, child_kind in kind.children.items():
        children = cloud.store.children(resource.id, name)
        properties[name] = [document(cloud, child_kind, child) for child in children]
    properties.update(kind.show(cloud, resource))
    properties["provisioningState"] = state or cloud.operations.provisioning_state(resource.operation)
    shown: Json = {"name": resource.id.name, "id": str(resource.id), "type": resource.id.type}
    if kind.has_etag:
        shown["etag"] = resource.etag
    if resource.location:
        shown |= {"location": resource.location, "tags": dict(resource.tags)}
    return {**shown, **resource.envelope, **kind.show_outside(cloud, resource), "properties": properties}


def group_document(cloud: Cloud, group: ResourceGroup) -> Json:
    """A resource group as a GET shows it."""
    shown: Json = {
        "id": f"/subscriptions/{cloud.subscription_id}/resourceGroups/{group.name}",
        "name": group.name,
        "type": "Microsoft.Resources/resourceGroups",
        "location": group.location,
        "tags": dict(group.tags),
        "properties": {"provisioningState": "Deleting" if group.deleting else "Succeeded"},
    }
    return {**shown, "managedBy": group.managed_by} if group.managed_by else shown


def listing(items: list[Json]) -> Answer:
    """All items in one page: `value` is always there, `nextLink` never."""
    return Answer(200, {"value": items})


def one(cloud: Cloud, kind: ResourceType, resource: Resource, status: int = 200) -> Answer:
    """A single resource."""
    headers = {"ETag": resource.etag} if kind.has_etag else {}
    return Answer(status, document(cloud, kind, resource), headers)


def written(
    cloud: Cloud, call: Call, kind: ResourceType, resource: Resource, operation: Operation, status: int
) -> Answer:
    """The answer to an accepted PUT: the whole body, in the state it has meanwhile."""
    body = document(cloud, kind, resource, state=operation.shows)
    headers = {"Azure-AsyncNotification": "Enabled", **operation_headers(cloud, call, operation)}
    return Answer(status, body, headers)


def accepted(cloud: Cloud, call: Call, operation: Operation) -> Answer:
    """The answer to an accepted DELETE or action: no body, two places to ask."""
    location = _operation_url(cloud, call, operation, "operationResults")
    return Answer(202, None, {"Location": location, **operation_headers(cloud, call, operation)})


def operation_status(cloud: Cloud, call: Call, operation: Operation) -> Answer:
    """What the Azure-AsyncOperation address tells."""
    status = cloud.operations.status(operation)
    headers = poll_headers(cloud, operation) if status == "InProgress" else {}
    return Answer(200, operations.status_document(operation, status, call.path), headers)


def operation_result(cloud: Cloud, call: Call, operation: Operation) -> Answer:
    """What the Location address tells: 202 with itself until it is over."""
    status = cloud.operations.status(operation)
    if status == "InProgress":
        here = f"{call.base_url}{call.path}?api-version={call.api_version}"
        return Answer(202, None, {"Location": here, **poll_headers(cloud, operation)})
    if status == "Failed" and operation.error:
        raise operation.error
    return Answer(204 if operation.shows == "Deleting" else 200, operation.result)


def operation_headers(cloud: Cloud, call: Call, operation: Operation) -> dict[str, str]:
    """Where to ask how an operation goes, and when."""
    url = _operation_url(cloud, call, operation, "operations")
    return {"Azure-AsyncOperation": url, **poll_headers(cloud, operation)}


def poll_headers(cloud: Cloud, operation: Operation) -> dict[str, str]:
    """When to ask again: milliseconds, so that the sandbox is not waited for."""
    return {"x-ms-retry-after-ms": str(cloud.operations.retry_after_ms(operation))}


def refused(error: ArmError) -> Answer:
    """An error in ARM's envelope."""
    return Answer(error.status, {"error": error.body()}, error.headers)


def _operation_url(cloud: Cloud, call: Call, operation: Operation, what: str) -> str:
    return (
        f"{call.base_url}/subscriptions/{cloud.subscription_id}/providers/{operation.namespace}"
        f"/locations/{operation.location}/{what}/{operation.id}?api-version={call.api_version}"
    )
