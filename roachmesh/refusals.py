"""What a topology may not say, although each of its fields is well-formed.

Each mistake is the field's location and a sentence: what is wrong, and what to write instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import IPv4Network
from typing import TYPE_CHECKING

from roachmesh import addressing, locations
from roachmesh.wording import Location, shown

if TYPE_CHECKING:  # it refuses what is found here
    from roachmesh.topology import Region

Mistake = tuple[Location, str]

MAX_PEERINGS = 500  # per virtual network; source: "Azure networking limits"
MAX_TAG_LENGTH = 256  # source: "Use tags to organize your Azure resources", limitations


def in_region(region: Region) -> Iterator[Mistake]:
    """Find what does not fit together within a region."""
    if region.location is None and not locations.is_known(region.name):
        yield (
            ("location",),
            f"is missing, and the name {shown(region.name)} is no Azure location; write one, such as "
            f"{locations.nearest(region.name)}.",
        )
    yield from _zones(region)
    yield from _subnet(region)


def across(
    names: Mapping[int, str], places: Mapping[int, str], vnets: Mapping[int, IPv4Network | None]
) -> Iterator[Mistake]:
    """Find what does not fit together among regions, each given by its index in the topology.

    Args:
        names: The regions' names.
        places: Their locations.
        vnets: Their networks; None for those that are to be derived.
    """
    for index, earlier in _twice(names.items()):
        yield (
            ("regions", index, "name"),
            f"{shown(names[index])} is the name of regions[{earlier}] already; give each its own.",
        )
    yield from _clouds(places)
    try:
        addressing.derive_vnets(vnets.values())
    except ValueError as exc:
        yield ("regions",), f"{exc} for the regions without a `vnet`; write a `vnet` for each."
    given = {index: vnet for index, vnet in vnets.items() if vnet is not None}
    yield from _overlaps(list(given), list(given.values()))


def refuse_too_many(regions: object) -> object:
    """Pass on regions that can all be peered, before any of them is looked at.

    Raises:
        ValueError: they are too many.
    """
    if isinstance(regions, list | tuple) and len(regions) > MAX_PEERINGS + 1:
        raise ValueError(
            f"there are {len(regions)} and Azure peers a network with {MAX_PEERINGS} others at most; write "
            f"{MAX_PEERINGS + 1} or fewer."
        )
    return regions


def refuse_operators(operators: tuple[IPv4Network, ...]) -> tuple[IPv4Network, ...]:
    """Pass on the ranges that SSH may come from.

    Raises:
        ValueError: together they are more than Azure takes.
    """
    for one, other in addressing.overlaps(operators):
        wider = max(operators[one], operators[other], key=lambda network: network.num_addresses)
        raise ValueError(
            f"{operators[one]} and {operators[other]} overlap, which Azure refuses; write only {wider}."
        )
    length = len(",".join(map(str, operators)))
    if length > MAX_TAG_LENGTH:
        raise ValueError(
            f"these {len(operators)} ranges take {length} characters in the resource group's tag and Azure "
            f"allows {MAX_TAG_LENGTH}; write fewer, wider ranges."
        )
    return operators


def _zones(region: Region) -> Iterator[Mistake]:
    location = region.location or region.name
    zones = region.zones or ()
    for index, _ in _twice(enumerate(zones)):
        yield ("zones", index), f"{shown(zones[index])} is written twice; write each zone once."
    if zones and locations.is_known(location) and not locations.zones(location):
        yield ("zones",), f"{location} has no availability zones; leave `zones` out."


def _subnet(region: Region) -> Iterator[Mistake]:
    if region.vnet is None:
        if region.subnet is not None:
            whole = region.subnet if region.subnet.prefixlen <= 16 else region.subnet.supernet(new_prefix=16)
            yield (
                ("vnet",),
                f"is missing beside `subnet` {region.subnet}; write the range around it, such as {whole}.",
            )
        return
    subnet = region.subnet or addressing.derive_subnet(region.vnet)
    if not subnet.subnet_of(region.vnet):
        inside = addressing.derive_subnet(region.vnet)
        yield (
            ("subnet",),
            f"{subnet} is not inside `vnet` {region.vnet}; write a part, such as {inside}.",
        )
    room = addressing.capacity(subnet)
    if room < region.nodes:
        field = "subnet" if region.subnet else "vnet"
        yield (
            (field,),
            f"{subnet} has room for {room} nodes and {region.nodes} are asked for; write a "
            f"/{addressing.prefix_for(region.nodes)} or larger.",
        )


def _clouds(places: Mapping[int, str]) -> Iterator[Mistake]:
    clouds = {index: locations.cloud(place) for index, place in places.items() if locations.is_known(place)}
    first = next(iter(clouds), None)
    for index, cloud in clouds.items():
        if first is not None and cloud != clouds[first]:
            yield (
                ("regions", index, "location"),
                f"{places[index]} is in {cloud} and regions[{first}] in {clouds[first]}, and a subscription "
                "is in one cloud only; write a location of the same.",
            )


def _overlaps(indexes: Sequence[int], vnets: Sequence[IPv4Network]) -> Iterator[Mistake]:
    try:
        free = f", such as {addressing.derive_vnets([*vnets, None])[-1]}"
    except ValueError:
        free = ""
    for one, other in addressing.overlaps(vnets):
        yield (
            ("regions", indexes[other], "vnet"),
            f"{vnets[other]} overlaps {vnets[one]} of regions[{indexes[one]}] and peered networks cannot "
            f"share addresses; write a range of its own{free}.",
        )


def _twice(values: Iterable[tuple[int, str]]) -> Iterator[tuple[int, int]]:
    """Give the index of each repeated value, and the one where it stands first."""
    first: dict[str, int] = {}
    for index, value in values:
        if value in first:
            yield index, first[value]
        first.setdefault(value, index)
