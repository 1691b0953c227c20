"""What ARM has to know of one resource type. Each file in resources/ defines one or two."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sandbox.arm.cloud import Cloud
from sandbox.arm.errors import invalid_reference
from sandbox.arm.operations import Work
from sandbox.arm.shapes import Shape
from sandbox.arm.store import Json, Resource


@dataclass(frozen=True)
class Call:
    """One request, read and decoded."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Json
    base_url: str

    @property
    def api_version(self) -> str:
        """The api-version parameter; the pipeline has seen to it that there is one."""
        return self.query.get("api-version", "")


@dataclass(frozen=True)
class Answer:
    """One response; `body` None is an empty one."""

    status: int
    body: Json | list[Json] | None = None
    headers: dict[str, str] = field(default_factory=dict)


def _accept(cloud: Cloud, wanted: Resource, present: Resource | None) -> None:
    """Accept everything."""


def _allow(cloud: Cloud, resource: Resource) -> None:
    """Allow it to be deleted."""


def _nothing_more(cloud: Cloud, resource: Resource) -> Json:
    """Show what was written."""
    return {}


def _no_work(cloud: Cloud, resource: Resource, present: Resource | None) -> Work | None:
    """Be done as soon as the fabric carries it."""
    return None


def _forget(cloud: Cloud, resource: Resource) -> Work | None:
    """Remove it and its children from the store."""
    for child in cloud.store.descendants(resource.id):
        cloud.store.remove(child.id)
    cloud.store.remove(resource.id)
    return None


Action = Callable[[Cloud, Resource, Call], Answer]


@dataclass(frozen=True)
class ResourceType:
    """One type, as the functions of its file. What is not given is what most types do.

    Attributes:
        name: `Microsoft.Network/virtualNetworks/subnets`, in Azure's casing.
        write_s: Seconds a write typically takes on Azure; the sandbox scales them.
        delete_s: The same for a deletion.
        shape: Of the properties, as far as they are read.
        read_only: Properties that Azure shows and ignores when they are sent back.
        write_only: Properties (with dots) that are kept hidden and never shown.
        children: Lists among the properties whose members are resources of their own.
        kept_children: Those of `children` that a write without the list leaves alone.
        any_region: References may cross regions.
        waits: A reference to what is still being written is for the client to try again (429), not wrong.
        zonal: May be given `zones`, where the region has any.
        synchronous: Writes answer 200 at once, without an operation.
        created_status: What the answer to a creation says.
        check: Refuse what Azure refuses; fill in what Azure fills in.
        show: What Azure shows beside what was written, among the properties.
        show_outside: The same, beside the properties.
        check_delete: Refuse while it is in use.
        begin: Start the real work behind a write, if there is any.
        end: Remove it, or start the work that does.
        actions: By method and last word of the path, as in `("POST", "start")`.
    """

    name: str
    write_s: float = 3
    delete_s: float = 10
    shape: Shape = field(default_factory=dict)
    read_only: tuple[str, ...] = ()
    write_only: tuple[str, ...] = ()
    children: Mapping[str, "ResourceType"] = field(default_factory=dict)
    kept_children: tuple[str, ...] = ()
    any_region: bool = False
    waits: bool = True
    zonal: bool = False
    synchronous: bool = False
    created_status: int = 201
    has_etag: bool = True
    check: Callable[[Cloud, Resource, Resource | None], None] = _accept
    show: Callable[[Cloud, Resource], Json] = _nothing_more
    show_outside: Callable[[Cloud, Resource], Json] = _nothing_more
    check_delete: Callable[[Cloud, Resource], None] = _allow
    begin: Callable[[Cloud, Resource, Resource | None], Work | None] = _no_work
    end: Callable[[Cloud, Resource], Work | None] = _forget
    actions: Mapping[tuple[str, str], Action] = field(default_factory=dict)

    @property
    def namespace(self) -> str:
        """The provider: Microsoft.Network."""
        return self.name.split("/")[0]

    @property
    def is_child(self) -> bool:
        """Tell a subnet from a network."""
        return self.name.count("/") > 1


def reference(properties: Mapping[str, Any], key: str) -> str | None:
    """The id in `{"subnet": {"id": ...}}`; None if there is none."""
    value = properties.get(key)
    return value.get("id") if isinstance(value, dict) else None


def referenced(
    cloud: Cloud, owner: Resource, properties: Mapping[str, Any], key: str, type_name: str
) -> Resource | None:
    """The resource that `key` names, None if it names none; one of another type is refused."""
    text = reference(properties, key)
    if text is None:
        return None
    found = cloud.store.find(text)
    if found is None or found.id.type.lower() != f"microsoft.{type_name}".lower():
        raise invalid_reference(text, str(owner.id))
    return found
