"""How a body becomes a resource: what is stripped, what is checked for every type, what is kept."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from sandbox.arm import ids, shapes
from sandbox.arm.cloud import Cloud
from sandbox.arm.errors import ArmError, invalid_reference, not_provisioned
from sandbox.arm.ids import ResourceId
from sandbox.arm.locations import REGIONS, canonical
from sandbox.arm.operations import Operation
from sandbox.arm.resource_type import ResourceType
from sandbox.arm.store import Json, Resource

USUAL = {"id", "name", "type", "etag", "location", "tags", "properties"}
COUNTED = {"subnets", "securityRules", "routes"}
NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,78}[A-Za-z0-9_])?")


def write(
    cloud: Cloud,
    kind: ResourceType,
    resource_id: ResourceId,
    body: Json,
    operation: Operation,
    present: Resource | None,
) -> Resource:
    """Check a body, store what it describes, and its children with it.

    Args:
        cloud: Where.
        kind: What.
        resource_id: In Azure's casing.
        body: The request's, untouched by this.
        operation: The write that this is part of.
        present: What it replaces; None if it is new.
    """
    if not NAME.fullmatch(resource_id.name):
        message = f"Resource name {resource_id.name} is invalid."
        raise ArmError(400, "InvalidResourceName", message)
    body = shapes.without_nulls(body)
    shapes.check_shape(body, shapes.ENVELOPE | {"properties": _shape(kind)}, "")
    properties = _properties(kind, body)
    children = {name: properties.pop(name, None) for name in kind.children}
    wanted = Resource(
        id=resource_id,
        properties=properties,
        location=None if kind.is_child else location_of(cloud, kind, resource_id, body),
        tags={} if kind.is_child else tags_of(body),
        envelope={key: value for key, value in body.items() if key not in USUAL},
        operation=operation,
    )
    if present:
        wanted = replace(wanted, guid=present.guid, hidden=present.hidden)
    wanted = _hide(kind, wanted)
    _check_zones(kind, wanted)
    _resolve_references(cloud, kind, wanted)
    kind.check(cloud, wanted, present)
    cloud.store.put(wanted)
    for name, child_kind in kind.children.items():
        if children[name] is not None or name not in kind.kept_children:
            _write_children(cloud, child_kind, wanted, name, children[name] or [], operation)
    if resource_id.parent:
        cloud.store.touch(resource_id.parent)
    return wanted


def location_of(cloud: Cloud, kind: ResourceType, resource_id: ResourceId, body: Json) -> str:
    """Where the resource will be: known, and where it was before."""
    present = cloud.store.find(resource_id.root)
    if kind.is_child:
        return (present.location if present else None) or "global"
    given = body.get("location")
    if not isinstance(given, str) or not given:
        raise ArmError(400, "LocationRequired", "The location property is required for this definition.")
    location = canonical(given)
    if location not in REGIONS:
        message = (
            f"The provided location '{given}' is not available for resource type '{kind.name}'. "
            f"List of available regions for the resource type is '{','.join(REGIONS)}'."
        )
        raise ArmError(400, "LocationNotAvailableForResourceType", message)
    if present and present.location != location:
        message = (
            f"The resource '{resource_id.name}' already exists in location '{present.location}' in resource "
            f"group '{resource_id.group}'. A resource with the same name cannot be created in location "
            f"'{location}'. Please select a new resource name."
        )
        raise ArmError(409, "InvalidResourceLocation", message)
    return location


def tags_of(body: Json) -> dict[str, str]:
    """The tags of a body, within ARM's limits.

    Source: the limits are those of the page on tags (50 names, 512 and 256 characters);
    the codes are believed.
    """
    tags = body.get("tags") or {}
    if not isinstance(tags, dict) or not all(isinstance(value, str) for value in tags.values()):
        raise ArmError(400, "InvalidRequestContent", "The request content was invalid: tags must be strings.")
    if len(tags) > 50:
        raise ArmError(400, "InvalidTags", f"There are {len(tags)} tags; the maximum allowed is 50.")
    for name, value in tags.items():
        if len(name) > 512 or re.search(r"[<>%&\\?/]", name):
            raise ArmError(400, "InvalidTagNameCharacters", f"The tag name '{name}' is not allowed.")
        if len(value) > 256:
            message = f"Tag value is too large: {len(value)} characters. The maximum allowed is 256."
            raise ArmError(400, "TagValueTooLarge", message)
    return dict(tags)


def _shape(kind: ResourceType) -> shapes.Shape:
    return kind.shape | dict.fromkeys(kind.children, shapes.CHILDREN)


def _properties(kind: ResourceType, body: Json) -> Json:
    ignored = {*kind.read_only, "provisioningState", "resourceGuid"}
    given = body.get("properties", {})
    return {name: value for name, value in given.items() if name not in ignored}


def _hide(kind: ResourceType, wanted: Resource) -> Resource:
    """Move what must never be shown out of the properties."""
    hidden = dict(wanted.hidden)
    for dotted in kind.write_only:
        *path, last = dotted.split(".")
        place: Any = wanted.properties
        for step in path:
            place = place.get(step) if isinstance(place, dict) else None
        if isinstance(place, dict) and place.get(last) is not None:
            hidden[f"new {dotted}"] = place.pop(last)
    return replace(wanted, hidden=hidden)


def _check_zones(kind: ResourceType, wanted: Resource) -> None:
    """Refuse zones where there are none.

    Source: the first code is seen in kubernetes-sigs/cluster-api-provider-azure#294; the second believed.
    """
    zones = wanted.envelope.get("zones") or []
    if not zones:
        return
    short = kind.name.rsplit("/", 1)[1]
    if not kind.zonal or not REGIONS.get(wanted.location or "", False):
        message = f"The resource type '{short}' does not support availability zones at location"
        raise ArmError(400, "ResourceTypeNotSupportAvailabilityZones", f"{message} '{wanted.location}'.")
    unknown = set(zones) - {"1", "2", "3"}
    if unknown:
        message = f"The zone(s) '{','.join(sorted(unknown))}' for resource '{wanted.id}' is not supported."
        raise ArmError(400, "InvalidAvailabilityZone", message)


def _resolve_references(cloud: Cloud, kind: ResourceType, wanted: Resource) -> None:
    """See that everything referred to exists, in the same region, and take over its casing."""
    location = wanted.location or cloud.store.location_of(wanted)
    own = f"{wanted.id.key}/"
    for holder in _references(wanted.properties):
        text = holder["id"]
        if f"{text}/".lower().startswith(own):
            continue
        parsed = ids.parse(text)
        found = cloud.store.find(parsed) if parsed else None
        elsewhere = found and not kind.any_region and cloud.store.location_of(found) != location
        if found is None or elsewhere:
            raise invalid_reference(text, str(wanted.id))
        _check_provisioned(cloud, kind, wanted, found)
        holder["id"] = str(found.id)


def _check_provisioned(cloud: Cloud, kind: ResourceType, wanted: Resource, found: Resource) -> None:
    """Refuse to build on what is being written; a subnet or a rule in the making counts for its parent."""
    if found.id.namespace != "Microsoft.Network":
        return
    parts = [part for part in cloud.store.descendants(found.id) if part.id.path[-1][0] in COUNTED]
    for part in (found, *parts):
        state = cloud.operations.provisioning_state(part.operation)
        if part.operation is not wanted.operation and state in ("Updating", "Deleting"):
            raise not_provisioned(str(found.id), str(wanted.id), state, retryable=kind.waits)


def _references(value: Any) -> Iterator[Json]:
    if isinstance(value, dict):
        if isinstance(value.get("id"), str):
            yield value
        for inner in value.values():
            yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)


def _write_children(
    cloud: Cloud, kind: ResourceType, parent: Resource, name: str, bodies: list[Json], operation: Operation
) -> None:
    """Make the children what the list says.

    All go first, so that only the outcome is judged: two rules may swap their priorities.
    """
    wanted = {str(body.get("name", "")).lower() for body in bodies}
    before = {child.id.name.lower(): child for child in cloud.store.children(parent.id, name)}
    for child_name, child in before.items():
        if child_name in wanted:
            cloud.store.remove(child.id)
        else:
            kind.check_delete(cloud, child)
            kind.end(cloud, child)
    for body in bodies:
        child_name = str(body.get("name", ""))
        present = before.get(child_name.lower())
        child_id = present.id if present else parent.id.child(name, child_name)
        write(cloud, kind, child_id, body, operation, present)
