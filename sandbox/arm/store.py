"""What exists: resource groups and resources, who refers to whom, all behind one lock."""

import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from sandbox.arm.ids import ResourceId, parse
from sandbox.arm.operations import Operation

Json = dict[str, Any]


def new_etag() -> str:
    """A weak ETag as Azure's network provider writes them; every write gets a new one."""
    return f'W/"{uuid.uuid4()}"'


@dataclass(frozen=True)
class ResourceGroup:
    """A resource group; `deleting` from the moment its deletion was accepted."""

    name: str
    location: str
    tags: Mapping[str, str]
    managed_by: str | None = None
    deleting: bool = False


@dataclass(frozen=True)
class Deployment:
    """A template that was deployed into a group, and the paths of what it made."""

    name: str
    group: str
    operation: Operation
    resources: tuple[str, ...]

    @property
    def key(self) -> str:
        """What the store files it under."""
        return f"{self.group}/{self.name}".lower()


@dataclass(frozen=True)
class Resource:
    """A resource as it was last written; a write replaces it, nothing in it is changed in place.

    Attributes:
        properties: What the writer gave plus what was allocated; what others imply is not in it.
        envelope: Top-level fields beside the usual ones (`sku`, `zones`), unknown ones too.
        hidden: What is kept and never shown: custom data, the power state.
        operation: The last write; it tells the provisioning state.
    """

    id: ResourceId
    properties: Json
    location: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    envelope: Json = field(default_factory=dict)
    hidden: Json = field(default_factory=dict)
    etag: str = field(default_factory=new_etag)
    guid: str = field(default_factory=lambda: str(uuid.uuid4()))
    operation: Operation | None = None


class Store:
    """Resources by id, type, parent and referrer. Hold `lock` around every use."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.version = 0
        self.groups: dict[str, ResourceGroup] = {}
        self.deployments: dict[str, Deployment] = {}
        self._resources: dict[str, Resource] = {}
        self._by_type: dict[str, dict[str, Resource]] = {}
        self._children: dict[str, dict[str, Resource]] = {}
        self._referrers: dict[str, dict[str, Resource]] = {}
        self._undo: list[tuple[ResourceId, Resource | None]] | None = None

    def find(self, resource_id: ResourceId | str) -> Resource | None:
        """The resource with this id, if it exists."""
        return self._resources.get(str(resource_id).lower())

    def get(self, resource_id: ResourceId | str) -> Resource:
        """The resource with this id, which is known to exist."""
        return self._resources[str(resource_id).lower()]

    def of_type(self, type_name: str) -> list[Resource]:
        """All resources of a type, oldest first."""
        return list(self._by_type.get(type_name.lower(), {}).values())

    def in_group(self, group: str) -> list[Resource]:
        """All resources of a group, children included, oldest first."""
        return [found for found in self._resources.values() if found.id.group.lower() == group.lower()]

    def top_level(self) -> list[Resource]:
        """All resources that are nobody's children."""
        return [found for found in self._resources.values() if found.id.parent is None]

    def children(self, parent: ResourceId, kind: str) -> list[Resource]:
        """The children of one kind (`subnets`), oldest first."""
        found = self._children.get(parent.key, {}).values()
        return [child for child in found if child.id.path[-1][0].lower() == kind.lower()]

    def descendants(self, parent: ResourceId) -> list[Resource]:
        """All children, whatever their kind, and theirs."""
        found = list(self._children.get(parent.key, {}).values())
        return [below for child in found for below in [child, *self.descendants(child.id)]]

    def referrers(self, target: ResourceId, type_name: str | None = None) -> list[Resource]:
        """The resources whose properties name `target`, oldest first."""
        found = self._referrers.get(target.key, {}).values()
        return [one for one in found if type_name is None or one.id.type.lower() == type_name.lower()]

    def location_of(self, resource: Resource) -> str | None:
        """The region of a resource; a child is where its parent is."""
        root = self.find(resource.id.root)
        return resource.location or (root.location if root else None)

    def put(self, resource: Resource) -> None:
        """Write a resource; it keeps its place in every listing."""
        previous = self.find(resource.id)
        self._note(resource.id, previous)
        if previous:
            for target in references(previous):
                self._referrers.get(target.key, {}).pop(resource.id.key, None)
        self._index(resource)

    def note_change(self) -> None:
        """Let the fabric look again: something else than a resource has changed."""
        self.version += 1

    def touch(self, resource_id: ResourceId) -> None:
        """Give a resource a new ETag: something that it shows has changed elsewhere."""
        found = self.find(resource_id)
        if found:
            self.put(replace(found, etag=new_etag()))

    def remove(self, resource_id: ResourceId) -> None:
        """Forget a resource; its children are the caller's business."""
        previous = self._resources.pop(resource_id.key, None)
        if previous is None:
            return
        self._note(resource_id, previous)
        self._by_type[resource_id.type.lower()].pop(resource_id.key)
        if resource_id.parent:
            self._children[resource_id.parent.key].pop(resource_id.key)
        for target in references(previous):
            self._referrers.get(target.key, {}).pop(resource_id.key, None)

    @contextmanager
    def all_or_nothing(self) -> Iterator[None]:
        """Undo every put and remove within, if an error leaves the block: a refused write leaves no trace."""
        if self._undo is not None:
            yield  # the outermost block decides
            return
        self._undo = []
        try:
            yield
        except BaseException:
            undo, self._undo = self._undo, None
            for resource_id, previous in reversed(undo):
                if previous is None:
                    self.remove(resource_id)
                else:
                    self.put(previous)
            raise
        finally:
            self._undo = None

    def _note(self, resource_id: ResourceId, previous: Resource | None) -> None:
        self.version += 1
        if self._undo is not None:
            self._undo.append((resource_id, previous))

    def _index(self, resource: Resource) -> None:
        key = resource.id.key
        self._resources[key] = resource
        self._by_type.setdefault(resource.id.type.lower(), {})[key] = resource
        if resource.id.parent:
            self._children.setdefault(resource.id.parent.key, {})[key] = resource
        for target in references(resource):
            self._referrers.setdefault(target.key, {})[key] = resource


def references(resource: Resource) -> list[ResourceId]:
    """Every `{"id": ...}` in a resource's properties that is not a part of the resource itself."""
    own = f"{resource.id.key}/"
    found = (parse(text) for text in _ids(resource.properties) if not f"{text}/".lower().startswith(own))
    return [target for target in found if target]


def _ids(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("id"), str):
            yield value["id"]
        for inner in value.values():
            yield from _ids(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _ids(inner)
