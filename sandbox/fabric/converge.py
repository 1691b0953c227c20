"""Change in the kernel what differs from what is wanted.

Every step is safe to repeat: a fabric that was killed in the middle finds on its next start what is
whole (a link gets its digest last) and makes the rest anew.
"""

from collections.abc import Iterable, Mapping, Set
from ipaddress import IPv4Address

from sandbox.commands import run
from sandbox.fabric import names
from sandbox.fabric.kernel import PROTOCOL, RULES, Batch, ask
from sandbox.fabric.layout import THIS_COMPUTER, End, EndName, Layout, Link, Plan, Route, Rule
from sandbox.fabric.namespaces import kill_inside, without_ipv6, write_settings
from sandbox.instance import Instance

_BLACKHOLE_METRIC = "4278198272"

_ROUTING = {
    "ipv4/ip_forward": 1,
    "ipv4/conf/all/proxy_arp": 1,  # a router answers for every address behind it
    "ipv4/conf/all/rp_filter": 0,  # the packet filter knows better who may send what
    "ipv4/conf/default/rp_filter": 0,
    "ipv4/conf/all/send_redirects": 0,
    "ipv4/conf/default/send_redirects": 0,
    "ipv4/icmp_ratelimit": 0,  # every packet without a way is told so
}
_MACHINE = {"ipv4/ip_forward": 0}


def converge(current: Layout, wanted: Plan, filters: Mapping[str, str]) -> None:
    """Take away what is not wanted, then add what is missing.

    Filters are loaded between the two, so that no link is ever up without them.
    """
    links = [link for link in wanted.definitions.values() if not _stands(link, current)]
    _remove(current, wanted, links)
    _add_namespaces(wanted.namespaces - current.namespaces)
    for namespace, ruleset in filters.items():
        run("nsenter", f"--net={names.path(namespace)}", "nft", "-f", "-", stdin=ruleset)
    _make_links(links)
    _configure_far_ends(links)
    fresh = {end.key for link in links for end in (link.near, link.far)}
    known = {route for route in current.routes if (route.namespace, route.link) not in fresh}
    _configure_near_ends(links, wanted.addresses - current.addresses, wanted.routes - known)
    _change_tables(current, wanted, fresh)


def hold_back(instance: Instance) -> None:
    """Keep packets for our public addresses on this computer while there is no link to the edge."""
    run("ip", "route", "replace", *_held_back(instance))


def remove_all(instance: Instance) -> None:
    """Remove namespaces, with them all links and routes, and what is left on this computer."""
    names.forget_half_made(instance)
    batch, here = Batch(), names.on_this_computer(instance)
    if any(link["ifname"] == here for link in ask(THIS_COMPUTER, "link", "show", "type", "veth")):
        batch.add(THIS_COMPUTER, f"link del {here}")
    for namespace in names.all_of(instance):
        kill_inside(namespace)
        batch.add(THIS_COMPUTER, f"netns del {namespace}")
    held_back = ("type", "blackhole", "exact", str(instance.public_network))
    if ask(THIS_COMPUTER, "route", "show", *held_back):
        batch.add(THIS_COMPUTER, f"route del {' '.join(_held_back(instance))}")
    batch.run()


def _remove(current: Layout, wanted: Plan, links: Iterable[Link]) -> None:
    """Remove routes before links, at both ends: they would go with the links, and then be missed."""
    gone = current.namespaces - wanted.namespaces
    batch = Batch()
    for route in current.routes - wanted.routes:
        if route.namespace not in gone:
            batch.add(route.namespace, f"route del {_route(route)}")
    for namespace, address in current.addresses - wanted.addresses:
        if namespace not in gone:
            batch.add(namespace, f"addr del {address}/32 dev lo")
    batch.run()
    batch = Batch()
    for namespace, name in _stale_ends(current, wanted, links):
        batch.add(namespace, f"link del {name}")
    for namespace in gone:
        batch.add(THIS_COMPUTER, f"netns del {namespace}")
    batch.run()


def _stands(link: Link, current: Layout) -> bool:
    return current.links.get(link.near.key) == link.digest and link.far.key in current.ends


def _stale_ends(current: Layout, wanted: Plan, links: Iterable[Link]) -> set[EndName]:
    """Return one end of every link that is not wanted, or stands half made where one will be made."""
    stale = {key for key, digest in current.links.items() if wanted.links.get(key) != digest}
    for link in links:
        half_made = [end.key for end in (link.near, link.far) if end.key in current.ends]
        stale |= set(half_made[:1])  # the other end goes with it
    return stale


def _held_back(instance: Instance) -> list[str]:
    return ["blackhole", str(instance.public_network), "metric", _BLACKHOLE_METRIC]


def _add_namespaces(namespaces: Iterable[str]) -> None:
    batch = Batch()
    for namespace in namespaces:
        batch.add(THIS_COMPUTER, f"netns add {namespace}")
    batch.run()
    batch = Batch()
    for namespace in namespaces:
        settings = _ROUTING if names.routes_packets(namespace) else _MACHINE
        write_settings(namespace, settings | without_ipv6("all", "default"))
        batch.add(namespace, "link set lo up")  # last: it says that the namespace is finished
    batch.run()


def _make_links(links: Iterable[Link]) -> None:
    """Make both ends where they belong; this computer's own namespace has no name to send an end to."""
    batch = Batch()
    for link in links:
        here, there = (link.near, link.far) if link.far.namespace else (link.far, link.near)
        batch.add(
            here.namespace,
            f"link add {here.name} address {here.mac} type veth "
            f"peer name {there.name} address {there.mac} netns {there.namespace}",
        )
    batch.run()


def _configure_far_ends(links: Iterable[Link]) -> None:
    batch = Batch()
    for link in links:
        write_settings(link.far.namespace, without_ipv6(link.far.name))
        _configure(batch, link.far)
    batch.run()


def _configure_near_ends(
    links: Iterable[Link], addresses: Iterable[tuple[str, IPv4Address]], routes: Iterable[Route]
) -> None:
    """Finish links and what leads over them; a link that bears its digest is whole."""
    batch = Batch()
    for link in links:
        # At once: by default an answer for somebody else's address waits up to 0.8 s.
        write_settings(link.near.namespace, {f"ipv4/neigh/{link.near.name}/proxy_delay": 0})
        _configure(batch, link.near)
        batch.add(link.near.namespace, f"link set {link.near.name} alias {link.digest}")
    for namespace, address in addresses:
        batch.add(namespace, f"addr replace {address}/32 dev lo")
    for route in routes:
        batch.add(route.namespace, f"route replace {_route(route)}")
    batch.run()


def _change_tables(current: Layout, wanted: Plan, fresh: Set[EndName]) -> None:
    """Fill new tables, lead packets there, and only then take away the old ones: none is without a way."""
    batch, gone = Batch(), current.namespaces - wanted.namespaces
    touched = {namespace for namespace, _ in fresh}  # with a link, the kernel forgets the routes over it
    for (namespace, number), table in wanted.contents.items():
        if namespace in touched or (namespace, number) not in current.tables:
            for line in table.lines:
                batch.add(namespace, f"route replace {line} table {number} proto {PROTOCOL}")
    for rule in wanted.rules - current.rules:
        batch.add(rule.namespace, f"rule add {_rule(rule)}")
    for rule in current.rules - wanted.rules:
        if rule.namespace not in gone:
            batch.add(rule.namespace, f"rule del {_rule(rule)}")
    for namespace, number in current.tables - wanted.tables:
        if namespace not in gone:
            batch.add(namespace, f"route flush table {number}")
    batch.run()


def _configure(batch: Batch, end: End) -> None:
    if end.address:
        batch.add(end.namespace, f"addr add {end.address} dev {end.name}")
    batch.add(end.namespace, f"link set {end.name} up")
    for address, mac in end.neighbours:
        batch.add(end.namespace, f"neigh replace {address} lladdr {mac} dev {end.name} nud permanent")
    if end.gateway:
        batch.add(end.namespace, f"route add default via {end.gateway} dev {end.name}")


def _rule(rule: Rule) -> str:
    return f"iif {rule.link} lookup {rule.table} pref {RULES}"


def _route(route: Route) -> str:
    hop = f"via {route.via} dev {route.link} onlink" if route.via else f"dev {route.link} scope link"
    return f"{route.destination} {hop} proto {PROTOCOL}"
