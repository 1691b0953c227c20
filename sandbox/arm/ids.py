"""Resource ids: matched without regard to case, echoed in the casing of their first writer."""

import re
from dataclasses import dataclass, replace

PATTERN = re.compile(
    r"/subscriptions/(?P<subscription>[^/]+)/resourceGroups/(?P<group>[^/]+)"
    r"/providers/(?P<namespace>[^/]+)/(?P<path>.+)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class ResourceId:
    """One resource's id; `path` is its (type, name) pairs, a child's parent first."""

    subscription: str
    group: str
    namespace: str
    path: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        path = "".join(f"/{kind}/{name}" for kind, name in self.path)
        return (
            f"/subscriptions/{self.subscription}/resourceGroups/{self.group}/providers/{self.namespace}{path}"
        )

    @property
    def key(self) -> str:
        """What the store files it under."""
        return str(self).lower()

    @property
    def name(self) -> str:
        """The last name: a subnet's own, not its network's."""
        return self.path[-1][1]

    @property
    def type(self) -> str:
        """For example `Microsoft.Network/virtualNetworks/subnets`."""
        return "/".join([self.namespace, *(kind for kind, _ in self.path)])

    @property
    def parent(self) -> "ResourceId | None":
        """The resource that this one is a child of; None at the top level."""
        return replace(self, path=self.path[:-1]) if len(self.path) > 1 else None

    @property
    def owner(self) -> "ResourceId":
        """The same, of what is known to be a child."""
        if self.parent is None:
            raise ValueError(f"{self} is nobody's child")
        return self.parent

    @property
    def root(self) -> "ResourceId":
        """The top-level resource: the one that has a location."""
        return replace(self, path=self.path[:1])

    def child(self, kind: str, name: str) -> "ResourceId":
        """The id of a child resource."""
        return replace(self, path=(*self.path, (kind, name)))


def parse(text: str) -> ResourceId | None:
    """Read an id of the form `.../providers/NAMESPACE/TYPE/NAME[/TYPE/NAME...]`; None if it is none."""
    match = PATTERN.fullmatch(text)
    if not match:
        return None
    parts = match["path"].split("/")
    if len(parts) % 2 or not all(parts):
        return None
    path = tuple(zip(parts[::2], parts[1::2], strict=True))
    return ResourceId(match["subscription"], match["group"], match["namespace"], path)
