"""The kinds of poolers, and what they need in a region; each has a file of its own."""

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address

from roachmesh import names
from roachmesh.certificates import Purpose, pooler_purpose
from roachmesh.plan import Node, Plan, RegionPlan
from roachmesh.pooler import Backend, Pooler
from roachmesh.render import systemd
from roachmesh.render.pgbouncer import PGBOUNCER

POOLERS = {pooler.name: pooler for pooler in (PGBOUNCER,)}


def on_machine(plan: Plan, node: Node, passwords: Mapping[str, str]) -> Backend:
    """Say what a machine's pooler connects to: the nodes of its region, its own first."""
    region = plan.region_of(node)
    first = region.nodes.index(node)
    addresses = [str(one.address) for one in (*region.nodes[first:], *region.nodes[:first])]
    return _backend(plan, region, names.nodes_host(region.name), addresses, passwords)


def in_pods(plan: Plan, region: RegionPlan, passwords: Mapping[str, str]) -> Backend:
    """Say what a region's pods connect to: whatever nodes are ready, by one name."""
    return _backend(plan, region, names.public_host(region.name), (), passwords)


def _backend(
    plan: Plan, region: RegionPlan, host: str, addresses: Iterable[str], passwords: Mapping[str, str]
) -> Backend:
    connections = plan.pooler_connections(region)
    return Backend(plan.database.name, host, tuple(addresses), connections, passwords)


def purpose(plan: Plan, region: RegionPlan, public: Iterable[IPv4Address]) -> Purpose:
    """Say what the certificate of a region's poolers is for; `public` are its machines' public addresses."""
    addresses = (*(node.address for node in region.nodes), *public)
    host = names.pooler_host(region.name, plan.pooler) if region.cluster else ""
    return pooler_purpose((node.name for node in region.nodes), addresses, host)


def drop_in_path(pooler: Pooler) -> str:
    """Say where what a pooler's unit lacks is on a machine."""
    return f"{systemd.UNIT_DIR}/{pooler.service}.d/roachmesh.conf"
