"""Read from the kernel what stands of a fabric, and speak to `ip`."""

import json
from collections import defaultdict
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from sandbox.commands import run
from sandbox.fabric import names
from sandbox.fabric.layout import THIS_COMPUTER, Layout, Route, Rule, Table
from sandbox.instance import Instance

PROTOCOL = "98"  # marks our routes, so that we never touch another's
RULES = 100  # the preference of ours: after the rule for a namespace's own addresses, before that for all


def read(instance: Instance) -> Layout:
    """Return what stands now of this instance, and clear away what was killed in the making."""
    names.forget_half_made(instance)
    found = Layout()
    for namespace in names.all_of(instance):
        links = ask(namespace, "link", "show")
        if not _is_finished(links):
            run("ip", "netns", "del", namespace)
            continue
        found.namespaces.add(namespace)
        found.ends |= {(namespace, link["ifname"]) for link in links}
        if names.routes_packets(namespace):  # a machine may do to its end what it likes
            found.links |= {
                (namespace, link["ifname"]): link["ifalias"] for link in links if "ifalias" in link
            }
            routes = _our_routes(namespace)
            found.routes |= set(_of_all(namespace, routes))
            found.tables |= {(namespace, number) for number in _whole_tables(namespace, routes)}
            found.rules |= set(_rules(namespace))
            found.addresses |= {(namespace, address) for address in _own_addresses(namespace)}
    here = {link["ifname"] for link in ask(THIS_COMPUTER, "link", "show")}
    found.ends |= {(THIS_COMPUTER, name) for name in here & {names.on_this_computer(instance)}}
    found.routes |= {
        route
        for route in _of_all(THIS_COMPUTER, _our_routes(THIS_COMPUTER))
        if route.destination == instance.public_network
    }
    return found


def _is_finished(links: Iterable[dict[str, Any]]) -> bool:
    """Tell whether a namespace got to the last step of its making, which comes before any link."""
    return any(link["ifname"] == "lo" and "UP" in link["flags"] for link in links)


class Batch:
    """Lines for `ip -batch`, one process per namespace, in the order in which namespaces came up."""

    def __init__(self) -> None:
        self._lines: dict[str, list[str]] = defaultdict(list)

    def add(self, namespace: str, line: str) -> None:
        """Ask for one more step in a namespace."""
        self._lines[namespace].append(line)

    def run(self) -> None:
        """Take all steps."""
        for namespace, lines in self._lines.items():
            run("ip", *_inside(namespace), "-batch", "-", stdin="\n".join(lines))


def _our_routes(namespace: str) -> list[dict[str, Any]]:
    """Return our routes, those of all tables."""
    return ask(namespace, "route", "show", "table", "all", "proto", PROTOCOL)


def _of_all(namespace: str, routes: Iterable[dict[str, Any]]) -> Iterable[Route]:
    """Yield the routes that hold for packets from all links."""
    for route in routes:
        if "table" not in route:
            via = IPv4Address(route["gateway"]) if "gateway" in route else None
            yield Route(namespace, _destination(route), route["dev"], via)


def _whole_tables(namespace: str, routes: Iterable[dict[str, Any]]) -> Iterable[int]:
    """Yield the tables whose content makes up their number, and clear away what is left of others."""
    lines: dict[int, set[str]] = defaultdict(set)
    for route in routes:
        if "table" in route:
            lines[int(route["table"])].add(_table_line(route))
    for number, found in lines.items():
        if Table(frozenset(found)).number == number:
            yield number
        else:
            run("ip", *_inside(namespace), "route", "flush", "table", str(number))


def _table_line(route: dict[str, Any]) -> str:
    destination = _destination(route)
    if "gateway" in route:
        return f"{destination} via {route['gateway']} dev {route['dev']} onlink"
    return f"{route['type']} {destination}"


def _rules(namespace: str) -> Iterable[Rule]:
    for rule in ask(namespace, "rule", "show"):
        if rule["priority"] == RULES:
            yield Rule(namespace, rule["iif"], int(rule["table"]))


def _destination(route: dict[str, Any]) -> IPv4Network:
    return IPv4Network("0.0.0.0/0" if route["dst"] == "default" else route["dst"])


def _own_addresses(namespace: str) -> Iterable[IPv4Address]:
    for link in ask(namespace, "-4", "addr", "show", "dev", "lo"):
        addresses = (IPv4Address(info["local"]) for info in link.get("addr_info", []))
        yield from (address for address in addresses if not address.is_loopback)


def ask(namespace: str, *question: str) -> list[dict[str, Any]]:
    """Return what `ip` answers in a namespace."""
    answer = run("ip", *_inside(namespace), "-json", *question)
    found: list[dict[str, Any]] = json.loads(answer or "[]")
    return found


def _inside(namespace: str) -> list[str]:
    return ["-n", namespace] if namespace else []
