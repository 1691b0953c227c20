"""What a topology may not say, although each of its fields is well-formed.

Each problem is a line: the field's path, what is wrong, what to write instead.
"""

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Network
from itertools import combinations

from roachmesh import addressing
from roachmesh.topology import Topology

MAX_PEERINGS = 500  # per virtual network; source: "Azure networking limits"
MIN_VCPUS = 2


def find(topology: Topology, vnets: Sequence[IPv4Network], subnets: Sequence[IPv4Network]) -> list[str]:
    """List everything that cannot work; `vnets` and `subnets` are the regions' ranges, derived or given."""
    return [
        *_names(topology),
        *_counts(topology),
        *_sizes(topology),
        *_subnets(topology, vnets, subnets),
        *_overlaps(vnets),
    ]


def _names(topology: Topology) -> Iterator[str]:
    seen: set[str] = set()
    for i, region in enumerate(topology.regions):
        if region.name in seen:
            yield f"regions[{i}].name: {region.name!r} is used twice; give each region its own."
        seen.add(region.name)
        if region.location is None and "-" in region.name:
            yield f"regions[{i}].location: {region.name!r} is no Azure location; write one, such as eastus."


def _counts(topology: Topology) -> Iterator[str]:
    count = len(topology.regions)
    if count - 1 > MAX_PEERINGS:
        yield (
            f"regions: {count} regions need {count - 1} peerings each and Azure allows {MAX_PEERINGS}; "
            f"write at most {MAX_PEERINGS + 1} regions."
        )


def _sizes(topology: Topology) -> Iterator[str]:
    for i, region in enumerate(topology.regions):
        if vcpus_of(region.size) < MIN_VCPUS:
            yield (
                f"regions[{i}].size: {region.size} has {vcpus_of(region.size)} vCPU and CockroachDB needs "
                f"{MIN_VCPUS}; write Standard_D4s_v5, for instance."
            )


def vcpus_of(size: str) -> int:
    """Read the vCPUs from an Azure size: the first number after the family's letters.

    Source: "Azure virtual machine sizes naming conventions".
    """
    family_and_more = size.removeprefix("Standard_")
    number = family_and_more.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    return int(number[: len(number) - len(number.lstrip("0123456789"))])


def _subnets(
    topology: Topology, vnets: Sequence[IPv4Network], subnets: Sequence[IPv4Network]
) -> Iterator[str]:
    for i, (region, vnet, subnet) in enumerate(zip(topology.regions, vnets, subnets, strict=True)):
        if not addressing.is_private(vnet):
            yield f"regions[{i}].vnet: {vnet} is not private; write a range such as 10.{i + 1}.0.0/16."
        if not subnet.subnet_of(vnet):
            yield f"regions[{i}].subnet: {subnet} is not inside {vnet}; write a part of it."
        room = addressing.capacity(subnet)
        if room < region.nodes:
            yield (
                f"regions[{i}].subnet: {subnet} has room for {room} nodes and {region.nodes} are asked "
                "for; write a larger range."
            )


def _overlaps(vnets: Sequence[IPv4Network]) -> Iterator[str]:
    for (i, one), (j, other) in combinations(enumerate(vnets), 2):
        if one.overlaps(other):
            yield (
                f"regions[{j}].vnet: {other} overlaps regions[{i}].vnet {one}; peered networks cannot "
                "share addresses, write a range of its own."
            )
