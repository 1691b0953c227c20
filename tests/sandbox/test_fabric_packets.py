"""What happens to packets: real ones, between namespaces that stand for machines."""

import socket
import time
from dataclasses import replace

import pytest

from sandbox.fabric import names
from sandbox.fabric.sockets import in_namespace
from tests.sandbox.fabric_lab import (
    PORT,
    TOO_LONG_S,
    Lab,
    caller,
    eventually,
    group,
    half,
    rule,
    virtual_network,
)

pytestmark = pytest.mark.machines

NXDOMAIN = 3


# One subnet


def test_machines_of_one_subnet_reach_each_other(lab: Lab) -> None:
    lab.apply([virtual_network(1)], [lab.interface("a4"), lab.interface("a5")])
    assert lab.reaches("a4", "a5")
    assert lab.pings("a4", "10.1.1.5")


def test_the_default_rules_admit_what_comes_from_the_same_network(lab: Lab) -> None:
    lab.apply([virtual_network(1, security_group=group())], [lab.interface("a4"), lab.interface("a5")])
    assert lab.reaches("a4", "a5")


def test_traffic_within_a_subnet_is_filtered_too(lab: Lab) -> None:
    denied = group(rule(4096, "Deny"))
    lab.apply([virtual_network(1, security_group=denied)], [lab.interface("a4"), lab.interface("a5")])
    assert not lab.reaches("a4", "a5")
    assert not lab.pings("a4", "10.1.1.5")


def test_the_smaller_priority_wins(lab: Lab) -> None:
    both = group(rule(200, "Deny"), rule(100, protocol="Tcp", ports=("26257", "8080-8090")))
    lab.apply([virtual_network(1, security_group=both)], [lab.interface("a4"), lab.interface("a5")])
    assert [port for port in (8079, 8080, 8090, 8091, PORT) if lab.reaches("a4", "a5", port)] == [
        8080,
        8090,
        PORT,
    ]
    assert not lab.datagram_arrives("a4", "a5", sender="10.1.1.4")


def test_subnet_and_interface_must_both_allow(lab: Lab) -> None:
    closed = replace(lab.interface("a5"), security_group=group(rule(100, "Deny", ports=("1-26257",))))
    lab.apply([virtual_network(1, security_group=group())], [lab.interface("a4"), closed])
    assert not lab.reaches("a4", "a5")
    assert lab.reaches("a4", "a5", PORT + 1)


def test_outbound_rules_hold_packets_back_at_their_source(lab: Lab) -> None:
    mute = replace(lab.interface("a4"), security_group=group(rule(100, "Deny", direction="Outbound")))
    lab.apply([virtual_network(1)], [mute, lab.interface("a5")])
    assert not lab.reaches("a4", "a5")
    assert lab.reaches("a5", "a4"), "answers to what came in are let out"


def test_an_edited_rule_judges_the_next_flow(lab: Lab) -> None:
    interfaces = [lab.interface("a4"), lab.interface("a5")]
    lab.apply([virtual_network(1, security_group=group())], interfaces)
    with lab.listening("a5") as listener, lab.connect("a4", "10.1.1.5") as established:
        lab.apply([virtual_network(1, security_group=group(rule(100, "Deny")))], interfaces)
        assert not lab.gets_through("a4", "10.1.1.5")
        accepted, _ = listener.accept()
        with accepted:
            established.sendall(b"still here")
            assert accepted.recv(16) == b"still here"


def test_a_forged_source_address_is_dropped(lab: Lab) -> None:
    lab.apply([virtual_network(1)], [lab.interface("a4"), lab.interface("a5")])
    assert lab.datagram_arrives("a4", "a5", sender="10.1.1.4")
    assert not lab.datagram_arrives("a4", "a5", sender="10.1.1.9")


def test_an_interface_with_ip_forwarding_may_send_for_others(lab: Lab) -> None:
    lab.apply([virtual_network(1)], [lab.forwarding("a4"), lab.interface("a5")])
    assert lab.datagram_arrives("a4", "a5", sender="10.10.3.9")


def test_the_gateway_and_the_platform_answer_nothing_but_names(lab: Lab) -> None:
    lab.apply([virtual_network(1)], [lab.interface("a4")])
    assert not lab.pings("a4", "10.1.1.1")
    assert not lab.pings("a4", "168.63.129.16")
    assert not lab.gets_through("a4", "168.63.129.16", 80)


# Peering


def test_networks_reach_each_other_when_both_halves_exist(lab: Lab) -> None:
    guard = group()
    lab.apply(
        [
            virtual_network(1, half(2), security_group=guard),
            virtual_network(2, half(1), security_group=guard),
        ],
        [lab.interface("a4"), lab.interface("b4")],
    )
    assert lab.reaches("a4", "b4")
    assert lab.reaches("b4", "a4")


def test_half_a_peering_carries_nothing(lab: Lab) -> None:
    lab.apply([virtual_network(1, half(2)), virtual_network(2)], [lab.interface("a4"), lab.interface("b4")])
    assert not lab.reaches("a4", "b4")
    assert not lab.reaches("b4", "a4")


def test_a_half_without_access_stops_packets(lab: Lab) -> None:
    lab.apply(
        [virtual_network(1, half(2, access=False)), virtual_network(2, half(1))],
        [lab.interface("a4"), lab.interface("b4")],
    )
    assert not lab.reaches("a4", "b4")


def test_a_peer_without_access_is_no_part_of_the_virtual_network_tag(lab: Lab) -> None:
    guard = group()
    lab.apply(
        [virtual_network(1, half(2, access=False), security_group=guard), virtual_network(2, half(1))],
        [lab.interface("a4"), lab.interface("b4")],
    )
    assert not lab.reaches("b4", "a4")


def test_peering_is_not_transitive(lab: Lab) -> None:
    lab.apply(
        [virtual_network(1, half(2)), virtual_network(2, half(1), half(3)), virtual_network(3, half(2))],
        [lab.interface("a4"), lab.interface("b4"), lab.interface("c4")],
    )
    assert lab.reaches("a4", "b4")
    assert lab.reaches("b4", "c4")
    assert not lab.reaches("a4", "c4")


@pytest.mark.parametrize("allowed", [True, False])
def test_forwarded_traffic_crosses_where_the_receiving_half_allows_it(lab: Lab, allowed: bool) -> None:
    lab.apply(
        [virtual_network(1, half(2)), virtual_network(2, half(1, forwarded=allowed))],
        [lab.forwarding("a4"), lab.interface("b4")],
    )
    assert lab.datagram_arrives("a4", "b4", sender="10.10.3.9") is allowed
    assert lab.datagram_arrives("a4", "b4", sender="10.1.7.7"), "what lies in the peer's range is its own"


# The internet, as far as there is one


def test_a_public_address_is_translated_both_ways(lab: Lab) -> None:
    guard = group(rule(100, source=str(lab.instance.host_address), protocol="Tcp", ports=("22",)))
    lab.apply([virtual_network(1, security_group=guard)], [lab.interface("a4", public=0)])
    from_here = (str(lab.public(0)), 22)
    with lab.listening("a4", 22) as listener, socket.create_connection(from_here, timeout=TOO_LONG_S):
        assert caller(listener) == str(lab.instance.host_address)
    mirror = in_namespace(
        names.edge(lab.instance), lambda: socket.create_server((str(lab.instance.mirror_address), 443))
    )
    with mirror, lab.connect("a4", lab.instance.mirror_address, 443):
        assert caller(mirror) == str(lab.public(0))


def test_the_internet_gets_in_only_where_a_rule_lets_it(lab: Lab) -> None:
    lab.apply([virtual_network(1, security_group=group())], [lab.interface("a4", public=0)])
    with lab.listening("a4", 22), pytest.raises(TimeoutError):
        socket.create_connection((str(lab.public(0)), 22), timeout=TOO_LONG_S)


def test_a_public_address_without_any_security_group_is_closed(lab: Lab) -> None:
    lab.apply([virtual_network(1)], [lab.interface("a4", public=0), lab.interface("a5")])
    assert lab.reaches("a5", "a4")
    with lab.listening("a4", 22), pytest.raises(TimeoutError):
        socket.create_connection((str(lab.public(0)), 22), timeout=TOO_LONG_S)


def test_public_addresses_reach_each_other_within_and_across_networks(lab: Lab) -> None:
    guard = group(rule(100, source="Internet", ports=(str(PORT),), protocol="Tcp"))
    lab.apply(
        [virtual_network(1, security_group=guard), virtual_network(2, security_group=guard)],
        [lab.interface("a4", public=0), lab.interface("a5", public=1), lab.interface("b4", public=2)],
    )
    for target, number in (("a5", 1), ("b4", 2), ("a4", 0)):
        with lab.listening(target) as listener, lab.connect("a4", lab.public(number)):
            assert caller(listener) == str(lab.public(0))


def test_without_a_public_address_there_is_no_way_out_and_it_says_so_at_once(lab: Lab) -> None:
    lab.apply([virtual_network(1)], [lab.interface("a4")])
    started = time.monotonic()
    with pytest.raises(OSError, match="unreachable"):
        lab.connect("a4", lab.instance.mirror_address, 443)
    assert time.monotonic() - started < TOO_LONG_S / 2


def test_the_world_outside_is_unreachable_at_once(lab: Lab) -> None:
    lab.apply([virtual_network(1)], [lab.interface("a4", public=0)])
    for address in ("203.0.113.1", lab.public(99), "10.9.9.9"):
        started = time.monotonic()
        with pytest.raises(OSError, match="unreachable"):
            lab.connect("a4", address, 443)
        assert time.monotonic() - started < TOO_LONG_S / 2


def test_machines_cannot_open_connections_to_this_computer(lab: Lab) -> None:
    lab.apply([virtual_network(1)], [lab.interface("a4", public=0)])
    with socket.create_server((str(lab.instance.host_address), PORT)):
        assert not lab.gets_through("a4", lab.instance.host_address)


# Names and time


def test_the_resolver_knows_the_machines_of_its_own_network(lab: Lab) -> None:
    lab.apply([virtual_network(1), virtual_network(2)], [lab.interface("a4"), lab.interface("b4")])
    assert lab.resolve("a4", "host-a4.internal.cloudapp.net") == (0, ["10.1.1.4"])
    assert lab.resolve("a4", "host-b4.internal.cloudapp.net") == (NXDOMAIN, [])
    assert lab.resolve("b4", "host-b4.internal.cloudapp.net") == (0, ["10.2.1.4"])


def test_the_resolver_learns_and_forgets_machines(lab: Lab) -> None:
    lab.apply([virtual_network(1)], [lab.interface("a4")])
    assert lab.resolve("a4", "host-a5.internal.cloudapp.net")[0] == NXDOMAIN
    lab.apply([virtual_network(1)], [lab.interface("a4"), lab.interface("a5")])
    assert eventually(lambda: lab.resolve("a4", "host-a5.internal.cloudapp.net") == (0, ["10.1.1.5"]))
    lab.apply([virtual_network(1)], [lab.interface("a4")])
    assert eventually(lambda: lab.resolve("a4", "host-a5.internal.cloudapp.net")[0] == NXDOMAIN)


def test_the_resolver_knows_the_sandbox_and_no_other_name(lab: Lab) -> None:
    lab.apply(
        [virtual_network(1, security_group=group(rule(100, "Deny", direction="Outbound")))],
        [lab.interface("a4")],
    )
    assert lab.resolve("a4", "artifacts.sandbox.test") == (0, [str(lab.instance.mirror_address)])
    assert lab.resolve("a4", "2.debian.pool.ntp.org") == (0, [str(lab.instance.time_address)])
    assert lab.resolve("a4", "example.com") == (NXDOMAIN, [])


def test_a_rule_that_names_the_resolver_silences_it(lab: Lab) -> None:
    silenced = group(rule(100, "Deny", direction="Outbound", destination="AzurePlatformDNS"))
    lab.apply(
        [virtual_network(1)], [replace(lab.interface("a4"), security_group=silenced), lab.interface("a5")]
    )
    assert lab.resolve("a5", "host-a4.internal.cloudapp.net")[0] == 0
    with pytest.raises(TimeoutError):
        lab.resolve("a4", "host-a4.internal.cloudapp.net")


def test_the_time_server_tells_this_computers_time(lab: Lab) -> None:
    lab.apply([virtual_network(1)], [lab.interface("a4", public=0)])
    asker = lab.inside("a4", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    with asker:
        asker.settimeout(TOO_LONG_S)
        asker.sendto(b"\x23" + bytes(47), (str(lab.instance.time_address), 123))
        answer = asker.recv(64)
    since_1900 = int.from_bytes(answer[40:44], "big")
    assert abs(since_1900 - 2_208_988_800 - time.time()) < 2
    assert answer[1] < 16, "an unsynchronised server would not be believed"
