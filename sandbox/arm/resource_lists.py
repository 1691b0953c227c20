"""Lists of resources whatever their type, and the filters that they understand."""

import re

from sandbox.arm import responses
from sandbox.arm.cloud import Cloud
from sandbox.arm.errors import ArmError, group_not_found
from sandbox.arm.resource_type import Answer, Call
from sandbox.arm.resources import disks
from sandbox.arm.store import Json, Resource

FILTERS = {"resourcegroup", "resourcetype", "name", "location", "tagname", "tagvalue"}


def list_resources(cloud: Cloud, call: Call, name: str | None = None) -> Answer:
    """All top-level resources, of one group or of the subscription."""
    if name is not None and name.lower() not in cloud.store.groups:
        raise group_not_found(name)
    wanted = filter_of(call)
    if name is not None:
        wanted["resourcegroup"] = name
    found = [resource for resource in cloud.store.top_level() if _matches(resource, wanted)]
    return responses.listing([_entry(cloud, resource) for resource in found])


def filter_of(call: Call) -> dict[str, str]:
    """Read `$filter=resourceGroup eq 'a' and tagName eq 'b'`; anything else is refused."""
    text = call.query.get("$filter", "")
    found = {key.lower(): value for key, value in re.findall(r"(\w+) eq '([^']*)'", text, re.IGNORECASE)}
    rest = re.sub(r"\w+ eq '[^']*'|\band\b|\s", "", text, flags=re.IGNORECASE)
    if rest or set(found) - FILTERS:
        raise ArmError(
            400, "InvalidFilterInQueryString", f"Invalid $filter '{text}' specified in the query string."
        )
    return found


def has_tag(tags: dict[str, str], wanted: dict[str, str]) -> bool:
    """Tell whether tags hold what a filter asks of them; names of tags ignore case."""
    name = wanted.get("tagname")
    if name is None:
        return True
    value = {key.lower(): text for key, text in tags.items()}.get(name.lower())
    return value is not None and wanted.get("tagvalue", value) == value


def _matches(resource: Resource, wanted: dict[str, str]) -> bool:
    given = {
        "resourcegroup": resource.id.group,
        "resourcetype": resource.id.type,
        "name": resource.id.name,
        "location": resource.location or "",
    }
    same = all(given[key].lower() == value.lower() for key, value in wanted.items() if key in given)
    return same and has_tag(dict(resource.tags), wanted)


def _entry(cloud: Cloud, resource: Resource) -> Json:
    shown: Json = {
        "id": str(resource.id),
        "name": resource.id.name,
        "type": resource.id.type,
        "location": resource.location,
        "tags": dict(resource.tags),
        "provisioningState": cloud.operations.provisioning_state(resource.operation),
    }
    shown |= {key: resource.envelope[key] for key in ("sku", "zones") if key in resource.envelope}
    return shown | (disks.show_outside(cloud, resource) if resource.id.type == disks.TYPE.name else {})
