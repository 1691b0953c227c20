"""Security rules as nftables: what is rendered, without a kernel."""

from ipaddress import IPv4Network, collapse_addresses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.fabric import rules
from sandbox.fabric.model import SecurityGroup, SecurityRule
from sandbox.fabric.rules import Direction
from sandbox.fabric.tags import EVERYWHERE, NOT_PUBLIC, AddressSpace, UnknownTag
from tests.sandbox.fabric_lab import DEFAULT_RULES, rule

SPACE = AddressSpace((IPv4Network("10.1.0.0/16"), IPv4Network("10.2.0.0/16")))


def rendered(*some: SecurityRule, direction: Direction = "Inbound") -> list[str]:
    """The rules of a chain, without its frame and comments."""
    lines = rules.chain(SecurityGroup(some), direction, SPACE).splitlines()[1:-1]
    return [line.split(" comment ")[0].strip() for line in lines]


def test_a_chain_ends_with_what_no_rule_allowed() -> None:
    assert rendered() == ["drop"]


def test_rules_stand_by_priority_whatever_their_order() -> None:
    assert rendered(rule(300, "Deny"), rule(100, protocol="Tcp"), rule(200, protocol="Udp")) == [
        "meta l4proto tcp return",
        "meta l4proto udp return",
        "drop",
        "drop",
    ]


def test_a_chain_holds_one_direction_only() -> None:
    assert rendered(rule(100, protocol="Udp"), direction="Outbound") == ["drop"]


@pytest.mark.parametrize(
    ("given_rule", "expected"),
    [
        (rule(1, source="10.9.0.0/16"), "ip saddr { 10.9.0.0/16 } return"),
        (rule(1, source="10.9.1.2"), "ip saddr { 10.9.1.2/32 } return"),
        (rule(1, source="0.0.0.0/0"), "return"),
        (rule(1, destination="VirtualNetwork"), "ip daddr { 10.1.0.0/16, 10.2.0.0/16 } return"),
        (rule(1, source="AzureLoadBalancer"), "ip saddr { 168.63.129.16/32 } return"),
        (rule(1, source="AZURELOADBALANCER"), "ip saddr { 168.63.129.16/32 } return"),
        (rule(1, protocol="Tcp", ports=("22",)), "meta l4proto tcp th dport { 22 } return"),
        (rule(1, protocol="Udp", ports=("1-9", "53")), "meta l4proto udp th dport { 1-9, 53 } return"),
        (rule(1, protocol="Tcp", ports=("10", "1-20", "21")), "meta l4proto tcp th dport { 1-21 } return"),
        (rule(1, protocol="Tcp", ports=("0-65535",)), "meta l4proto tcp return"),
        (rule(1, protocol="Tcp", source_ports=("53",)), "meta l4proto tcp th sport { 53 } return"),
        (rule(1, "Deny", ports=("53",)), "meta l4proto { tcp, udp } th dport { 53 } drop"),
        (rule(1, protocol="Icmp", ports=("53",)), "meta l4proto icmp return"),
    ],
)
def test_a_rule_matches_what_it_says(given_rule: SecurityRule, expected: str) -> None:
    assert rendered(given_rule)[0] == expected


def test_a_rule_for_ipv6_only_matches_nothing_here() -> None:
    assert rendered(rule(1, source="fd00::/8")) == ["drop"]


def test_a_name_cannot_break_out_of_its_comment() -> None:
    assert 'comment "a__accept___"' in rules.chain(
        SecurityGroup((rule(1, name='a" accept #"'),)), "Inbound", SPACE
    )


def test_an_unknown_tag_is_refused_by_name() -> None:
    with pytest.raises(UnknownTag, match=r"'Storage\.WestUS' is no address range"):
        rendered(rule(1, source="Storage.WestUS"))


def test_the_internet_is_everything_public_but_the_virtual_network() -> None:
    space = AddressSpace((IPv4Network("10.0.0.0/8"), IPv4Network("203.0.113.0/24")))
    assert any(IPv4Network("198.18.32.32/32").subnet_of(network) for network in space.internet)
    assert not any(network.overlaps(IPv4Network("203.0.113.0/24")) for network in space.internet)
    assert not any(network.overlaps(private) for network in space.internet for private in NOT_PUBLIC)


@given(
    st.lists(
        st.builds(
            lambda address, length: IPv4Network((address, length), strict=False),
            st.integers(0, 2**32 - 1),
            st.integers(1, 32),
        ),
        max_size=6,
    )
)
def test_internet_and_virtual_network_make_up_everything(prefixes: list[IPv4Network]) -> None:
    space = AddressSpace(tuple(prefixes))
    assert list(collapse_addresses([*space.internet, *NOT_PUBLIC, *prefixes])) == [EVERYWHERE]
    assert (
        sum(network.num_addresses for network in space.internet)
        + sum(network.num_addresses for network in collapse_addresses([*NOT_PUBLIC, *prefixes]))
        == 2**32
    )


def test_groups_that_are_equal_share_a_chain() -> None:
    assert rules.chain_name(SecurityGroup(DEFAULT_RULES), "Inbound", SPACE) == rules.chain_name(
        SecurityGroup(tuple(DEFAULT_RULES)), "Inbound", SPACE
    )
