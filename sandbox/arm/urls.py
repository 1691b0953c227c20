"""The one routing table: which path and method is answered by which function."""

import logging
import re
from collections.abc import Callable
from dataclasses import replace

from sandbox.arm import (
    api_versions,
    catalogue,
    deployments,
    faulty,
    ids,
    images,
    resource_groups,
    resource_lists,
    responses,
    verbs,
)
from sandbox.arm.cloud import Cloud
from sandbox.arm.errors import ArmError, not_emulated
from sandbox.arm.ids import ResourceId
from sandbox.arm.operations import Operation
from sandbox.arm.resource_type import Answer, Call, ResourceType
from sandbox.arm.resources import (
    availability_sets,
    disks,
    network_interfaces,
    peerings,
    public_addresses,
    route_tables,
    routes,
    security_groups,
    security_rules,
    subnets,
    virtual_machines,
    virtual_networks,
)

log = logging.getLogger(__name__)

ALL_TYPES = [
    security_groups.TYPE,
    security_rules.TYPE,
    route_tables.TYPE,
    routes.TYPE,
    virtual_networks.TYPE,
    subnets.TYPE,
    peerings.TYPE,
    public_addresses.TYPE,
    network_interfaces.TYPE,
    disks.TYPE,
    availability_sets.TYPE,
    virtual_machines.TYPE,
]
TYPES = {kind.name.lower(): kind for kind in ALL_TYPES}

Handler = Callable[..., Answer]
SUBSCRIPTION = "/subscriptions/(?P<subscription>[^/]+)"
GROUP = f"{SUBSCRIPTION}/resourcegroups/(?P<name>[^/]+)"
DEPLOYMENTS = f"{GROUP}/providers/microsoft.resources/deployments"
IMAGES = (
    rf"{SUBSCRIPTION}/providers/microsoft.compute/locations/(?P<location>[^/]+)/publishers/(?P<publisher>[^/]+)"
    r"/artifacttypes/vmimage/offers/(?P<offer>[^/]+)/skus/(?P<sku>[^/]+)/versions"
)
OPERATION = rf"{SUBSCRIPTION}/providers/(?P<namespace>[^/]+)/locations/[^/]+"


def _operation(cloud: Cloud, call: Call, operation_id: str, **_: str) -> Answer:
    return responses.operation_status(cloud, call, _found(cloud, operation_id))


def _operation_result(cloud: Cloud, call: Call, operation_id: str, **_: str) -> Answer:
    return responses.operation_result(cloud, call, _found(cloud, operation_id))


def _provider(cloud: Cloud, call: Call, namespace: str) -> Answer:
    return catalogue.provider(cloud, call, namespace, ALL_TYPES)


def _providers(cloud: Cloud, call: Call) -> Answer:
    return catalogue.providers(cloud, call, ALL_TYPES)


def _deploy(cloud: Cloud, call: Call, name: str, deployment: str) -> Answer:
    return deployments.put(cloud, call, name, deployment, lambda inner: _resource(cloud, inner))


def _list_type(cloud: Cloud, call: Call, namespace: str, type_name: str, name: str | None = None) -> Answer:
    kind = _kind(call, f"{namespace}/{type_name}")
    return _expanded(cloud, call, kind, verbs.list_in(cloud, kind, name))


ROUTES: list[tuple[str, str, Handler]] = [
    ("GET", "/metadata/endpoints", catalogue.endpoints),
    ("GET", faulty.PATH, faulty.listed),
    ("POST", faulty.PATH, faulty.add),
    ("DELETE", rf"{faulty.PATH}(?:/(?P<number>\d+))?", faulty.clear),
    ("GET", "/subscriptions", catalogue.subscriptions),
    ("GET", "/tenants", catalogue.tenants),
    ("GET", SUBSCRIPTION, catalogue.subscription),
    ("GET", f"{SUBSCRIPTION}/locations", catalogue.locations),
    ("GET", f"{SUBSCRIPTION}/providers", _providers),
    ("GET", f"{SUBSCRIPTION}/providers/(?P<namespace>[^/]+)", _provider),
    ("POST", f"{SUBSCRIPTION}/providers/(?P<namespace>[^/]+)/register", _provider),
    ("GET", f"{OPERATION}/operations/(?P<operation_id>[^/]+)", _operation),
    ("GET", f"{OPERATION}/operationresults/(?P<operation_id>[^/]+)", _operation_result),
    ("GET", f"{SUBSCRIPTION}/operationresults/(?P<operation_id>[^/]+)", _operation_result),
    ("GET", f"{SUBSCRIPTION}/resources", resource_lists.list_resources),
    ("GET", f"{SUBSCRIPTION}/resourcegroups", resource_groups.list_all),
    ("GET", f"{GROUP}/resources", resource_lists.list_resources),
    ("PUT", GROUP, resource_groups.put),
    ("GET", GROUP, resource_groups.get),
    ("HEAD", GROUP, resource_groups.head),
    ("PATCH", GROUP, resource_groups.patch),
    ("DELETE", GROUP, resource_groups.delete),
    ("PUT", f"{DEPLOYMENTS}/(?P<deployment>[^/]+)", _deploy),
    ("GET", f"{DEPLOYMENTS}/(?P<deployment>[^/]+)", deployments.get),
    ("GET", DEPLOYMENTS, deployments.list_all),
    ("GET", IMAGES, images.versions),
    ("GET", rf"{IMAGES}/(?P<version>[^/]+)", images.version),
    ("GET", rf"{SUBSCRIPTION}/providers/(?P<namespace>[^/]+)/(?P<type_name>[^/]+)", _list_type),
    ("GET", rf"{GROUP}/providers/(?P<namespace>[^/]+)/(?P<type_name>[^/]+)", _list_type),
]
COMPILED = [(method, re.compile(path, re.IGNORECASE), handler) for method, path, handler in ROUTES]


def route(cloud: Cloud, call: Call) -> Answer:
    """Answer a request: by the table, or as a resource, its children or an action on it."""
    _check_subscription(cloud, call)
    for method, pattern, handler in COMPILED:
        match = pattern.fullmatch(call.path)
        if match and method == call.method:
            given = {key: value for key, value in match.groupdict().items() if key != "subscription"}
            return handler(cloud, call, **given)
    return _resource(cloud, call)


def _resource(cloud: Cloud, call: Call) -> Answer:
    resource_id = ids.parse(call.path)
    if resource_id:
        return _one(cloud, call, resource_id)
    head, _, last = call.path.rpartition("/")
    parent = ids.parse(head)
    if parent is None:
        raise _lacking(f"{call.method} {call.path}")
    kind = _kind(call, parent.type)
    action = kind.actions.get((call.method, last.lower()))
    if action:
        return action(cloud, verbs.existing(cloud, _canonical(parent, kind)), call)
    child = _kind(call, f"{parent.type}/{last}")
    if call.method != "GET":
        raise _not_allowed(call)
    return verbs.list_children(cloud, child, _canonical(parent, kind))


def _one(cloud: Cloud, call: Call, resource_id: ResourceId) -> Answer:
    kind = _kind(call, resource_id.type)
    resource_id = _canonical(resource_id, kind)
    match call.method:
        case "PUT":
            return verbs.put(cloud, call, kind, resource_id)
        case "PATCH":
            return verbs.patch(cloud, call, kind, resource_id)
        case "DELETE":
            return verbs.delete(cloud, call, kind, resource_id)
        case "GET":
            return _expanded(cloud, call, kind, verbs.get(cloud, kind, resource_id))
        case "HEAD":
            return Answer(204 if cloud.store.find(resource_id) else 404)
    raise _not_allowed(call)


def _expanded(cloud: Cloud, call: Call, kind: ResourceType, answer: Answer) -> Answer:
    """Add what `$expand=instanceView` asks for, to one machine or a list of them."""
    wanted = call.query.get("$expand", "").lower() == "instanceview" or call.query.get("statusonly") == "true"
    if kind is not virtual_machines.TYPE or not wanted or not isinstance(answer.body, dict):
        return answer
    items = answer.body.get("value", [answer.body])
    expanded = []
    for item in items:
        machine = cloud.store.find(item["id"])
        expanded.append(virtual_machines.with_instance_view(cloud, machine, item) if machine else item)
    return replace(answer, body={"value": expanded} if "value" in answer.body else expanded[0])


def _canonical(resource_id: ResourceId, kind: ResourceType) -> ResourceId:
    """The id with Azure's casing of the provider and the types."""
    namespace, *types = kind.name.split("/")
    names = [name for _, name in resource_id.path]
    return replace(resource_id, namespace=namespace, path=tuple(zip(types, names, strict=True)))


def _kind(call: Call, type_name: str) -> ResourceType:
    kind = TYPES.get(type_name.lower())
    if kind is None:
        raise _lacking(f"{call.method} of {type_name}")
    api_versions.check_of_type(kind.name, call.api_version, str(call.body.get("location", "")))
    return kind


def _lacking(what: str) -> ArmError:
    """Refuse what Azure may have: a 404 would say that there is none of it."""
    log.warning("asked for what the sandbox does not emulate: %s", what)
    return not_emulated(what)


def _check_subscription(cloud: Cloud, call: Call) -> None:
    match = re.match(f"{SUBSCRIPTION}(/|$)", call.path, re.IGNORECASE)
    if match and match["subscription"].lower() != cloud.subscription_id:
        message = f"The subscription '{match['subscription']}' could not be found."
        raise ArmError(404, "SubscriptionNotFound", message)


def _found(cloud: Cloud, operation_id: str) -> Operation:
    operation = cloud.operations.find(operation_id)
    if operation is None:
        raise ArmError(404, "OperationNotFound", f"The operation '{operation_id}' was not found.")
    return operation


def _not_allowed(call: Call) -> ArmError:
    message = f"The requested resource does not support http method '{call.method}'."
    return ArmError(405, "MethodNotAllowed", message)
