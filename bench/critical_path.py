"""What no program can undercut: the longest chain of operations that have to wait for each other."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from roachmesh.inventory import PEERING, VIRTUAL_NETWORK, Inventory, Resource


@dataclass(frozen=True)
class CriticalPath:
    """Seconds of the longest chain of writes.

    Attributes:
        at_best_s: In any order that Azure takes.
        in_our_order_s: With peerings after all machines, as `deploy` does it.
    """

    at_best_s: float
    in_our_order_s: float


def critical_path(inventory: Inventory, write_s: Mapping[str, float]) -> CriticalPath:
    """Find the longest chain of writes that have to wait for each other.

    A resource waits for those that its body refers to. And Azure refuses two writes to one virtual network
    at a time, of which each half of a peering is one to both.

    Args:
        inventory: What is made; it names each resource after those that it refers to.
        write_s: How long a write of each type takes.
    """
    ended: dict[str, float] = {}
    group = 0.0
    made = [one for one in inventory.everything() if one.type != PEERING]
    for resource in made:
        begins = max((ended[one] for one in _referred(resource, ended)), default=group)
        ended[resource.id] = begins + write_s[resource.type]
        if resource.region is None:
            group = ended[resource.id]
    networks_s = max(ended[one.id] for one in made if one.type == VIRTUAL_NETWORK)
    all_s = max(ended.values())
    mesh_s = 2 * mesh_rounds(len(inventory.plan.regions)) * write_s[PEERING]
    return CriticalPath(max(all_s, networks_s + mesh_s), all_s + mesh_s)


def mesh_rounds(networks: int) -> int:
    """Count the rounds in which everybody meets everybody, each one other at a time."""
    return networks - 1 if networks % 2 == 0 else networks if networks > 1 else 0


def _referred(resource: Resource, known: Mapping[str, float]) -> Iterator[str]:
    """Give the ids of the resources that a body refers to; a subnet is part of its network."""
    for text in _ids(resource.body):
        yield from (one for one in known if text == one or text.startswith(f"{one}/subnets/"))


def _ids(body: Any) -> Iterator[str]:
    if isinstance(body, dict):
        for key, value in body.items():
            if key == "id":
                yield value
            else:
                yield from _ids(value)
    elif isinstance(body, list):
        for item in body:
            yield from _ids(item)
