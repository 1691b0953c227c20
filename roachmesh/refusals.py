"""What a topology may not say, although each of its fields is well-formed.

Each mistake is the field's location and a sentence: what is wrong, and what to write instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Network
from typing import TYPE_CHECKING, TypeVar

from roachmesh import addressing, locations
from roachmesh.addressing import Kind
from roachmesh.wording import Location, shown

if TYPE_CHECKING:  # it refuses what is found here
    from roachmesh.topology import Application, Region, Setting, Topology, User, Variable

Mistake = tuple[Location, str]
Ranges = Mapping[tuple[int, Kind], IPv4Network | None]  # by the region's index; None for those to derive

MAX_PEERINGS = 500  # per virtual network; source: "Azure networking limits"
MAX_ROUTES = 400  # per route table; source: the same
MAX_CLUSTERS = 255  # in one mesh; source: "Setting up Cluster Mesh", limitations, Cilium's documentation
MIN_REGIONS_TO_SURVIVE_ONE = 3  # source: "Multi-Region Survival Goals", CockroachDB's documentation
OF_APPLICATION = {
    "movr": ("rate", "concurrency"),
    "image": ("image", "tag", "port", "url_variable", "environment", "replicas"),
}
K3S_ONLY = ("servers", "pods", "services", "cluster_id")
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
    if region.platform == "k3s":
        yield from _servers(region)
        yield from _pods(region)
    else:
        for field in K3S_ONLY:
            if getattr(region, field) is not None:
                yield (field,), "is for k3s only; leave it out, or write `platform: k3s`."


def across(
    names: Mapping[int, str],
    places: Mapping[int, str],
    ranges: Ranges,
    cluster_ids: Mapping[int, int],
) -> Iterator[Mistake]:
    """Find what does not fit together among regions, each given by its index in the topology.

    Args:
        names: The regions' names.
        places: Their locations.
        ranges: Their networks, pods and Services.
        cluster_ids: Those of their cluster ids that are given.
    """
    for index, earlier in _twice(names.items()):
        yield (
            ("regions", index, "name"),
            f"{shown(names[index])} is the name of regions[{earlier}] already; give each its own.",
        )
    yield from _clouds(places)
    for index, earlier in _twice(cluster_ids.items()):
        yield (
            ("regions", index, "cluster_id"),
            f"{cluster_ids[index]} is the id of regions[{earlier}] already, and a mesh tells clusters apart "
            "by it; give each its own, or leave it out.",
        )
    try:
        addressing.derive(ranges)
    except ValueError as exc:
        yield (
            ("regions",),
            f"{exc} for the regions without `vnet`, `pods` or `services`; write smaller ones for each.",
        )
    yield from _overlaps({key: network for key, network in ranges.items() if network is not None})


def k3s_nodes(counts: Mapping[int, int]) -> Iterator[Mistake]:
    """Find too many regions or nodes on k3s, given as the nodes of each such region by its index."""
    if len(counts) > MAX_CLUSTERS:
        yield (
            ("regions",),
            f"{len(counts)} are on k3s and a mesh has {MAX_CLUSTERS} clusters at most; write {MAX_CLUSTERS} "
            "or fewer, the others with `platform: vm`.",
        )
    total = sum(counts.values())
    if total > MAX_ROUTES:
        yield (
            ("regions",),
            f"{total} nodes are on k3s, each needs a route in every region, and Azure allows {MAX_ROUTES} in "
            f"a route table; write {MAX_ROUTES} nodes or fewer, the others with `platform: vm`.",
        )


def in_database(topology: Topology) -> Iterator[Mistake]:
    """Find what the regions cannot give the database."""
    primary, regions = topology.database.primary_region, [region.name for region in topology.regions]
    if primary and primary not in regions:
        yield (
            ("database", "primary_region"),
            f"{shown(primary)} is no region of this topology; write the name of one, such as {regions[0]}.",
        )
    if topology.database.survival == "region" and len(regions) < MIN_REGIONS_TO_SURVIVE_ONE:
        yield (
            ("database", "survival"),
            f"to survive the loss of a region takes {MIN_REGIONS_TO_SURVIVE_ONE} regions, and here are "
            f"{len(regions)}; write `survival: zone`, or more regions.",
        )


def in_application(application: Application) -> Iterator[Mistake]:
    """Find what does not fit together within the application."""
    for kind, fields in OF_APPLICATION.items():
        for field in fields:
            given = getattr(application, field) != type(application).model_fields[field].default
            if given and application.kind != kind:
                yield (field,), f"is for `kind: {kind}` only; leave it out, or write `kind: {kind}`."
    for index, variable in enumerate(application.environment):
        if variable.name == application.url_variable:
            yield (
                ("environment", index, "name"),
                f"{variable.name} is the `url_variable`; leave it out, or write another `url_variable`.",
            )
    if application.kind == "image":
        for field, example in (("image", "docker.io/sosedoff/pgweb"), ("tag", "'0.16.2'"), ("port", "8081")):
            if getattr(application, field) is None:
                yield (field,), f"is missing beside `kind: image`; write {field}: {example}, for instance."


def of_application(topology: Topology) -> Iterator[Mistake]:
    """Find what the rest of a topology does not give its application."""
    kind = topology.application.kind
    if kind != "none" and all(user.login != "password" for user in topology.database.users):
        yield (
            ("database", "users"),
            "none of them has a password and the application needs one; write `- {name: app}` among them.",
        )
    if kind == "image" and all(region.platform != "k3s" for region in topology.regions):
        yield (
            ("application", "kind"),
            "images run in regions on k3s and there is none; write `kind: movr`, or a region with "
            "`platform: k3s`.",
        )


Named = TypeVar("Named", "Setting", "User", "Variable")


def refuse_twice(items: tuple[Named, ...]) -> tuple[Named, ...]:
    """Pass on items whose names differ.

    Raises:
        ValueError: two have the same.
    """
    for index, _ in _twice((i, item.name) for i, item in enumerate(items)):
        raise ValueError(f"{items[index].name} is there twice; write it once.")
    return items


def refuse_pgpool(pooler: object) -> object:
    """Pass on a pooler that CockroachDB can be behind.

    Raises:
        ValueError: it is Pgpool-II.
    """
    if pooler in ("pgpool", "pgpool2", "pgpool-ii"):
        raise ValueError(
            "Pgpool-II ends every session with CockroachDB, since it insists on a version() of PostgreSQL's; "
            "write pgbouncer."
        )
    return pooler


def refuse_clients(clients: tuple[IPv4Network, ...]) -> tuple[IPv4Network, ...]:
    """Pass on the ranges that clients outside may come from.

    Raises:
        ValueError: two overlap, which Azure refuses.
    """
    for one, other in addressing.overlaps(clients):
        wider = max(clients[one], clients[other], key=lambda network: network.num_addresses)
        raise ValueError(
            f"{clients[one]} and {clients[other]} overlap, which Azure refuses; write only {wider}."
        )
    return clients


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
    refuse_clients(operators)
    length = len(",".join(map(str, operators)))
    if length > MAX_TAG_LENGTH:
        raise ValueError(
            f"these {len(operators)} ranges take {length} characters in the resource group's tag and Azure "
            f"allows {MAX_TAG_LENGTH}; write fewer, wider ranges."
        )
    return operators


def _servers(region: Region) -> Iterator[Mistake]:
    if region.servers is None:
        return
    if region.servers > region.nodes:
        yield (
            ("servers",),
            f"{region.servers} is more than the region has `nodes`, {region.nodes}; write fewer servers.",
        )
    elif region.servers % 2 == 0:
        yield (
            ("servers",),
            f"{region.servers} etcd members survive no more losses than {region.servers - 1}; write an odd "
            f"number, such as {region.servers - 1}.",
        )


def _pods(region: Region) -> Iterator[Mistake]:
    if region.pods is not None:
        room = 2 ** max(0, addressing.NODE_PODS - region.pods.prefixlen)
        if region.pods.prefixlen > addressing.NODE_PODS or room < region.nodes:
            fits = addressing.NODE_PODS - (region.nodes - 1).bit_length()
            yield (
                ("pods",),
                f"{region.pods} is too small, each of {region.nodes} nodes gets a /{addressing.NODE_PODS} of "
                f"it; write a /{fits} or larger.",
            )
    widest, smallest = addressing.SERVICES_WIDEST, addressing.SERVICES_SMALLEST
    if region.services is not None and not widest <= region.services.prefixlen <= smallest:
        yield (
            ("services",),
            f"{region.services} does not fit Kubernetes; write a range from /{widest} to /{smallest}.",
        )


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


def _overlaps(given: Mapping[tuple[int, Kind], IPv4Network]) -> Iterator[Mistake]:
    keys, networks = list(given), list(given.values())
    free = {kind: _free(kind, given) for kind in {kind for _, kind in keys}}
    for one, other in addressing.overlaps(networks):
        (earlier, its), (index, field) = keys[one], keys[other]
        whose = f"`{its}`" if earlier == index else f"regions[{earlier}].{its}"
        yield (
            ("regions", index, field),
            f"{networks[other]} overlaps {networks[one]}, {whose}, and no address may exist twice among "
            f"them; write a range of its own{free[field]}.",
        )


def _free(kind: Kind, given: Ranges) -> str:
    try:
        return f", such as {addressing.derive({**given, (-1, kind): None})[-1, kind]}"
    except ValueError:
        return ""


def _twice(values: Iterable[tuple[int, str | int]]) -> Iterator[tuple[int, int]]:
    """Give the index of each repeated value, and the one where it stands first."""
    first: dict[str | int, int] = {}
    for index, value in values:
        if value in first:
            yield index, first[value]
        first.setdefault(value, index)
