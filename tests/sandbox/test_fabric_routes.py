"""User-defined routes: packets to and from pods, which are addresses that no interface has."""

import os
import socket
import subprocess
from contextlib import suppress
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from sandbox.fabric import names
from sandbox.fabric.model import Loss, Network, NetworkInterface, Subnet, UserDefinedRoute, VirtualNetwork
from sandbox.fabric.routes import effective
from sandbox.fabric.sockets import in_namespace
from tests.sandbox.fabric_lab import PORT, TOO_LONG_S, Lab, caller, group, half, route, rule, virtual_network
from tests.sandbox.traces import asked

PODS = {"a4": "10.10.4.9", "a5": "10.10.5.9", "b4": "10.11.4.9"}
ROUTES = (
    route("10.10.4.0/24", "10.1.1.4"),
    route("10.10.5.0/24", "10.1.1.5"),
    route("10.11.4.0/24", "10.2.1.4"),
)


def nodes(lab: Lab, *machines: str) -> list[NetworkInterface]:
    return [lab.forwarding(machine) for machine in machines]


def start_pods(lab: Lab) -> None:
    """Give every node a pod; a second time changes nothing."""
    for machine, address in PODS.items():
        namespace = names.machine(lab.instance, machine)
        if namespace in names.all_of(lab.instance):
            subprocess.run(
                ["ip", "-n", namespace, "addr", "replace", f"{address}/32", "dev", "lo"], check=True
            )


def seen(lab: Lab, source: str, address: str, *, at: str, sender: str | None = None) -> str | None:
    """The address that a connection seems to come from; None if it does not come about.

    Args:
        lab: Where.
        source: The machine that connects, in the name of its pod unless `sender` is another address.
        address: What it connects to.
        at: The machine that has that address, or a pod with it.
        sender: The address that it connects from.
    """
    mine = (sender or PODS[source], 0)
    with lab.listening(at) as listener:
        try:
            with lab.inside(
                source, lambda: socket.create_connection((address, PORT), TOO_LONG_S, source_address=mine)
            ):
                accepted, (found, _) = listener.accept()
                accepted.close()
        except OSError:
            return None
    return str(found)


def peered(lab: Lab, *, forwarded: bool = True, access: bool = True, guard: bool = False) -> None:
    """Two networks with the same routes, two nodes and one, and b5, which is no node."""
    options = {"routes": ROUTES, "security_group": group() if guard else None}
    lab.apply(
        [
            virtual_network(1, half(2, forwarded=True, access=access), **options),
            virtual_network(2, half(1, forwarded=forwarded), **options),
        ],
        [*nodes(lab, "a4", "a5", "b4"), lab.interface("b5")],
    )
    start_pods(lab)


# One subnet


@pytest.mark.machines
def test_without_routes_pods_of_one_subnet_do_not_reach_each_other(lab: Lab) -> None:
    lab.apply([virtual_network(1)], nodes(lab, "a4", "a5"))
    start_pods(lab)
    assert lab.reaches("a4", "a5")
    assert seen(lab, "a4", PODS["a5"], at="a5") is None
    assert seen(lab, "a4", "10.1.1.5", at="a5") is None, "the answer has no way back"


@pytest.mark.machines
def test_with_routes_they_do_and_addresses_stay_as_they_are(lab: Lab) -> None:
    lab.apply([virtual_network(1, routes=ROUTES)], nodes(lab, "a4", "a5"))
    start_pods(lab)
    assert seen(lab, "a4", PODS["a5"], at="a5") == PODS["a4"]
    assert seen(lab, "a5", PODS["a4"], at="a4") == PODS["a5"]
    assert seen(lab, "a4", "10.1.1.5", at="a5") == PODS["a4"]
    assert seen(lab, "a4", PODS["a5"], at="a5", sender="10.1.1.4") == "10.1.1.4"
    assert lab.reaches("a4", "a5"), "and nodes reach each other as before"


@pytest.mark.machines
@pytest.mark.parametrize("bound", ["a4", "a5"])
def test_both_interfaces_must_forward(lab: Lab, bound: str) -> None:
    interfaces = [lab.interface(one) if one == bound else lab.forwarding(one) for one in ("a4", "a5")]
    lab.apply([virtual_network(1, routes=ROUTES)], interfaces)
    start_pods(lab)
    assert seen(lab, "a4", PODS["a5"], at="a5") is None
    node_to_pod = {machine: seen(lab, "a4" if machine == "a5" else "a5", PODS[machine], at=machine,
                                 sender="10.1.1.4" if machine == "a5" else "10.1.1.5")
                   for machine in ("a4", "a5")}  # fmt: skip
    assert [machine for machine, found in node_to_pod.items() if found is None] == [bound]


@pytest.mark.machines
def test_forwarding_that_is_taken_away_stops_open_connections_too(lab: Lab) -> None:
    network = [virtual_network(1, routes=ROUTES)]
    lab.apply(network, nodes(lab, "a4", "a5"))
    start_pods(lab)
    with lab.listening("a5") as listener, lab.connect("a4", PODS["a5"]) as established:
        accepted, _ = listener.accept()
        with accepted:
            accepted.settimeout(TOO_LONG_S)
            lab.apply(network, [lab.forwarding("a4"), lab.interface("a5")])
            established.sendall(b"lost")
            with pytest.raises(TimeoutError):
                accepted.recv(16)


@pytest.mark.machines
def test_a_route_is_followed_where_a_packet_is_sent_and_nowhere_else(lab: Lab) -> None:
    bystanders = Subnet("net1/other", IPv4Network("10.1.2.0/24"))
    network = virtual_network(1, routes=ROUTES)
    network = replace(network, subnets=(*network.subnets, bystanders))
    stranger = replace(lab.interface("a9"), subnet="net1/other", address=IPv4Address("10.1.2.9"))
    lab.apply([network], [*nodes(lab, "a4", "a5"), stranger])
    start_pods(lab)
    assert not lab.gets_through("a9", PODS["a5"]), "another subnet has no table"
    for address, machine in ((PODS["a4"], "a4"), ("10.10.4.77", "a4")):
        # The node's own range: it comes back to it, once, and goes no further.
        assert not lab.gets_through(machine, address)
    assert lab.reaches("a9", "a5")


# What a table says


@pytest.mark.machines
def test_the_longest_prefix_counts_and_a_users_route_before_azures(lab: Lab) -> None:
    routes = (
        route("10.10.0.0/16", "10.1.1.4"),
        route("10.10.5.0/24", "10.1.1.5"),
        route("10.10.5.9/32", "None"),
        route("10.1.0.0/16", "None"),  # instead of what Azure has for the network itself
        *(route(f"10.1.1.{host}/32", "VnetLocal") for host in (4, 5, 6)),
    )
    lab.apply([virtual_network(1, routes=routes)], nodes(lab, "a4", "a5", "a6", "a7"))
    start_pods(lab)
    for address in ("10.10.5.8", "10.10.6.6"):
        for machine in ("a4", "a5"):
            namespace = names.machine(lab.instance, machine)
            subprocess.run(
                ["ip", "-n", namespace, "addr", "replace", f"{address}/32", "dev", "lo"], check=True
            )
    own = "10.1.1.6"
    assert seen(lab, "a6", "10.10.5.8", at="a5", sender=own) == own
    assert seen(lab, "a6", "10.10.6.6", at="a4", sender=own) == own
    assert seen(lab, "a6", "10.10.5.9", at="a5", sender=own) is None
    assert lab.reaches("a6", "a4")
    assert not lab.reaches("a6", "a7")


@pytest.mark.machines
@pytest.mark.parametrize("next_hop", ["10.1.1.77", "10.3.1.4", "192.0.2.1", "None", "VnetLocal", "Internet"])
def test_a_next_hop_that_is_nobody_gets_nothing(lab: Lab, next_hop: str) -> None:
    networks = [virtual_network(1, routes=(route("10.10.5.0/24", next_hop),)), virtual_network(3)]
    lab.apply(networks, [*nodes(lab, "a4", "a5"), lab.forwarding("c4")])
    start_pods(lab)
    assert seen(lab, "a4", PODS["a5"], at="a5", sender="10.1.1.4") is None
    assert lab.reaches("a4", "a5")


@pytest.mark.machines
def test_a_default_route_through_an_appliance_leaves_the_network_itself_alone(lab: Lab) -> None:
    networks = [
        virtual_network(1, half(2), routes=(route("0.0.0.0/0", "10.2.1.4"),)),
        virtual_network(2, half(1)),
    ]
    lab.apply(networks, [*nodes(lab, "a4", "a5", "b4"), lab.interface("b5")])
    namespace = names.machine(lab.instance, "b4")
    subprocess.run(["ip", "-n", namespace, "addr", "replace", "203.0.113.7/32", "dev", "lo"], check=True)
    assert seen(lab, "a4", "203.0.113.7", at="b4", sender="10.1.1.4") == "10.1.1.4"
    assert lab.reaches("a4", "a5")
    assert lab.reaches("a4", "b5"), "and its peer"


@pytest.mark.machines
def test_a_pod_reaches_the_internet_only_in_the_name_of_its_node(lab: Lab) -> None:
    node = replace(lab.forwarding("a4"), public_address=lab.public(0))
    lab.apply([virtual_network(1, routes=ROUTES)], [node])
    start_pods(lab)
    outside = str(lab.instance.mirror_address)
    mirror = in_namespace(names.edge(lab.instance), lambda: socket.create_server((outside, 443)))

    def connect() -> None:
        socket.create_connection((outside, 443), TOO_LONG_S, source_address=(PODS["a4"], 0)).close()

    with mirror:
        with pytest.raises(OSError, match=r"timed out|unreachable"):
            lab.inside("a4", connect)
        masquerade = (
            "table ip t { chain c { type nat hook postrouting priority srcnat; oifname eth0 masquerade; }; }"
        )
        nft = ["nsenter", f"--net={names.path(names.machine(lab.instance, 'a4'))}", "nft"]
        subprocess.run([*nft, masquerade], check=True)
        try:
            lab.inside("a4", connect)
            assert caller(mirror) == str(lab.public(0))
        finally:
            subprocess.run([*nft, "delete table ip t"], check=True)


# Peering


@pytest.mark.machines
def test_pods_reach_pods_and_machines_across_a_peering(lab: Lab) -> None:
    peered(lab)
    assert seen(lab, "a4", PODS["b4"], at="b4") == PODS["a4"]
    assert seen(lab, "b4", PODS["a5"], at="a5") == PODS["b4"]
    assert seen(lab, "a4", "10.2.1.5", at="b5") == PODS["a4"]
    assert seen(lab, "b5", PODS["a4"], at="a4", sender="10.2.1.5") == "10.2.1.5"


@pytest.mark.machines
def test_packets_of_pods_cross_only_where_the_receiving_half_allows_forwarded_traffic(lab: Lab) -> None:
    peered(lab, forwarded=False)
    assert seen(lab, "a4", PODS["b4"], at="b4") is None
    assert seen(lab, "a4", "10.2.1.5", at="b5") is None
    assert seen(lab, "a4", PODS["b4"], at="b4", sender="10.1.1.4") == "10.1.1.4", "a node's are its own"


@pytest.mark.machines
def test_without_access_a_route_across_the_peering_leads_nowhere(lab: Lab) -> None:
    peered(lab, access=False)
    assert seen(lab, "a4", PODS["b4"], at="b4") is None
    assert seen(lab, "a4", PODS["a5"], at="a5") == PODS["a4"]


# Security groups


@pytest.mark.machines
def test_the_default_rules_admit_the_prefixes_of_the_subnets_own_routes(lab: Lab) -> None:
    peered(lab, guard=True)
    assert seen(lab, "a4", PODS["b4"], at="b4") == PODS["a4"]
    assert seen(lab, "a4", "10.2.1.5", at="b5") == PODS["a4"]
    one_less = tuple(one for one in ROUTES if one.prefix != IPv4Network("10.10.4.0/24"))
    lab.apply(
        [
            virtual_network(1, half(2, forwarded=True), routes=ROUTES, security_group=group()),
            virtual_network(2, half(1, forwarded=True), routes=one_less, security_group=group()),
        ],
        [*nodes(lab, "a4", "a5", "b4"), lab.interface("b5")],
    )
    assert seen(lab, "a4", "10.2.1.5", at="b5") is None
    assert seen(lab, "a5", "10.2.1.5", at="b5") == PODS["a5"]


@pytest.mark.machines
def test_rules_see_the_addresses_of_pods(lab: Lab) -> None:
    def apply(*rules_of_a5: object, outbound: object = None) -> None:
        guarded = replace(lab.forwarding("a5"), security_group=group(*rules_of_a5))
        sender = lab.forwarding("a4")
        if outbound:
            sender = replace(sender, security_group=group(outbound))
        lab.apply([virtual_network(1, routes=ROUTES)], [sender, guarded])
        start_pods(lab)

    apply(rule(100, "Deny", source="10.10.4.0/24"))
    assert seen(lab, "a4", PODS["a5"], at="a5") is None
    assert seen(lab, "a4", PODS["a5"], at="a5", sender="10.1.1.4") == "10.1.1.4"
    apply(rule(100, "Deny", destination="10.10.5.0/24"))
    assert seen(lab, "a4", PODS["a5"], at="a5") is None
    assert seen(lab, "a4", "10.1.1.5", at="a5") == PODS["a4"]
    apply(outbound=rule(100, "Deny", direction="Outbound", destination="10.10.5.0/24"))
    assert seen(lab, "a4", PODS["a5"], at="a5") is None
    assert seen(lab, "a4", "10.1.1.5", at="a5") == PODS["a4"]


# Losses


@pytest.mark.machines
def test_packets_of_some_prefixes_can_be_lost(lab: Lab) -> None:
    peered(lab)
    pods = (IPv4Network("10.10.0.0/16"), IPv4Network("10.11.0.0/16"))
    there = (IPv4Network("10.2.1.4/32"), IPv4Network("10.2.1.5/32"), IPv4Network("10.11.4.0/24"))
    loss = Loss(frozenset({"nic-a4", "nic-a5"}), there, only=pods)
    networks = [virtual_network(n, half(3 - n, forwarded=True), routes=ROUTES) for n in (1, 2)]
    interfaces = [*nodes(lab, "a4", "a5", "b4"), lab.interface("b5")]
    lab.fabric.apply(Network(tuple(networks), tuple(interfaces), (loss,)))
    assert seen(lab, "a4", PODS["b4"], at="b4") is None
    assert seen(lab, "a4", "10.2.1.5", at="b5") is None
    assert seen(lab, "a4", PODS["a5"], at="a5") == PODS["a4"]
    assert seen(lab, "a4", "10.2.1.4", at="b4", sender="10.1.1.4") == "10.1.1.4"


# From what stands to what is wanted


def tables(lab: Lab) -> dict[str, tuple[object, object]]:
    """All routes and rules of routers."""
    return {
        name: (
            asked("ip", "-n", name, "route", "show", "table", "all", "proto", "98"),
            asked("ip", "-n", name, "rule"),
        )
        for name in names.all_of(lab.instance)
        if names.routes_packets(name)
    }


@pytest.mark.machines
def test_another_process_leaves_tables_as_they_are(lab: Lab) -> None:
    peered(lab)
    before = tables(lab)
    assert any("throw" in str(found) for found in before.values())
    peered(Lab(lab.instance))
    assert tables(lab) == before


@pytest.mark.machines
def test_what_a_killed_process_left_of_a_table_is_made_whole(lab: Lab) -> None:
    peered(lab)
    before = tables(lab)
    router = names.router(lab.instance, "net1")
    for found in before[router][0]:
        if found.get("table") and "10.10.5.0" in found["dst"]:
            subprocess.run(
                ["ip", "-n", router, "route", "del", found["dst"], "table", found["table"]], check=True
            )
    left = "blackhole 10.9.0.0/24 table 7 proto 98".split()
    subprocess.run(["ip", "-n", router, "route", "add", *left], check=True)
    subprocess.run(["ip", "-n", router, *"rule add iif gone lookup 7 pref 100".split()], check=True)
    peered(Lab(lab.instance))
    assert tables(lab) == before
    assert seen(lab, "a4", PODS["a5"], at="a5") == PODS["a4"]


@pytest.mark.machines
def test_a_route_that_changes_does_not_disturb_the_others(lab: Lab) -> None:
    moved = (*ROUTES[:2], route("10.11.4.0/24", "10.2.1.5"))
    networks = [virtual_network(n, half(3 - n, forwarded=True), routes=moved) for n in (1, 2)]
    interfaces = nodes(lab, "a4", "a5", "b4", "b5")
    peered(lab)
    with lab.listening("a5") as listener, lab.connect("a4", PODS["a5"]) as established:
        lab.apply(networks, interfaces)
        accepted, _ = listener.accept()
        with accepted:
            established.sendall(b"still here")
            assert accepted.recv(16) == b"still here"
    assert seen(lab, "a4", PODS["b4"], at="b4") is None
    namespace = names.machine(lab.instance, "b5")
    subprocess.run(["ip", "-n", namespace, "addr", "replace", f"{PODS['b4']}/32", "dev", "lo"], check=True)
    assert seen(lab, "a4", PODS["b4"], at="b5") == PODS["a4"]
    lab.apply([virtual_network(n, half(3 - n)) for n in (1, 2)], interfaces)
    assert all("table" not in str(found) for found, _ in tables(lab).values()), "nothing of them stays"


@pytest.mark.machines
def test_an_appliance_that_is_unplugged_and_comes_back_gets_packets_again(lab: Lab) -> None:
    peered(lab)
    networks = [virtual_network(n, half(3 - n, forwarded=True), routes=ROUTES) for n in (1, 2)]
    lab.apply(networks, nodes(lab, "a4", "a5"))
    assert not lab.gets_through("a4", PODS["b4"])
    lab.apply(networks, nodes(lab, "a4", "a5", "b4"))
    start_pods(lab)
    assert seen(lab, "a4", PODS["b4"], at="b4") == PODS["a4"]
    moved = [
        replace(one, machine="b7") if one.id == "nic-b4" else one for one in nodes(lab, "a4", "a5", "b4")
    ]
    lab.apply(networks, moved)  # its link is made anew, under the same name
    with suppress(KeyError):
        namespace = names.machine(lab.instance, "b7")
        subprocess.run(
            ["ip", "-n", namespace, "addr", "replace", f"{PODS['b4']}/32", "dev", "lo"], check=True
        )
    assert seen(lab, "a4", PODS["b4"], at="b7") == PODS["a4"]


@pytest.mark.machines
def test_four_hundred_routes_are_a_matter_of_a_moment(lab: Lab) -> None:
    many = tuple(route(f"10.{100 + n // 200}.{n % 200}.0/24", "10.1.1.5") for n in range(400))
    lab.apply([virtual_network(1, security_group=group())], nodes(lab, "a4", "a5"))
    before = sum(os.times()[:4])
    lab.apply([virtual_network(1, security_group=group(), routes=many)], nodes(lab, "a4", "a5"))
    lab.apply([virtual_network(1, security_group=group(), routes=many[1:])], nodes(lab, "a4", "a5"))
    assert (
        sum(os.times()[:4]) - before < 1
    )  # of processors, this one's and its commands'; others may be at work


# What an interface's effective routes are


def test_effective_routes_are_azures_own_and_the_users_before_them() -> None:
    routes: tuple[UserDefinedRoute, ...] = (route("0.0.0.0/0", "10.1.1.4"), route("10.10.0.0/24", "10.2.1.4"))
    network, peer = virtual_network(1, half(2), routes=routes), virtual_network(2, half(1))
    found = list(effective(network, [peer], network.subnets[0]))
    assert [(str(one.prefix), one.next_hop) for one in found if one.is_active and not one.is_users] == [
        ("10.0.0.0/8", "None"),
        ("172.16.0.0/12", "None"),
        ("192.168.0.0/16", "None"),
        ("100.64.0.0/10", "None"),
        ("10.2.0.0/16", "VNetPeering"),
        ("10.1.0.0/16", "VnetLocal"),
    ]
    assert [(str(one.prefix), one.next_hop) for one in found if not one.is_active] == [
        ("0.0.0.0/0", "Internet")
    ]
    assert [(str(one.prefix), str(one.address)) for one in found if one.is_users] == [
        ("0.0.0.0/0", "10.1.1.4"),
        ("10.10.0.0/24", "10.2.1.4"),
    ]


def test_a_network_of_a_range_that_is_not_routed_is_routed_all_the_same() -> None:
    network = VirtualNetwork("net", (IPv4Network("10.0.0.0/8"),), (Subnet("s", IPv4Network("10.1.0.0/16")),))
    found = {str(one.prefix): one.next_hop for one in effective(network, [], network.subnets[0])}
    assert found["10.0.0.0/8"] == "VnetLocal"
