from ipaddress import IPv4Network
from itertools import islice
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roachmesh import addressing, names, sizes, topology
from roachmesh.errors import InvalidTopology
from roachmesh.plan import Plan, make_plan


def plan_of(*regions: dict[str, Any], **more: Any) -> Plan:
    return make_plan(
        topology.parse({"regions": [{"platform": "vm", **region} for region in regions], **more})
    )


def test_the_default_plan_has_the_seeds_addresses() -> None:
    plan = make_plan(topology.DEFAULT)

    assert [str(region.vnet) for region in plan.regions] == ["10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16"]
    assert [str(region.subnet) for region in plan.regions] == ["10.1.1.0/24", "10.2.1.0/24", "10.3.1.0/24"]
    assert [str(node.address) for node in plan.regions[0].nodes] == ["10.1.1.4", "10.1.1.5", "10.1.1.6"]


def test_the_default_plan_has_the_seeds_clusters() -> None:
    plan = make_plan(topology.DEFAULT)

    seen = [
        (region.name, str(one.pods), str(one.services), one.id)
        for region in plan.clusters
        if (one := region.cluster)
    ]
    assert seen == [
        ("eastus", "10.10.0.0/16", "10.20.0.0/16", 1),
        ("westus", "10.11.0.0/16", "10.21.0.0/16", 2),
    ]
    assert {node.role for region in plan.clusters for node in region.nodes} == {"server"}
    assert plan.join == (
        "cockroachdb-0.cockroachdb.crdb-eastus.svc.cluster.local:26257",
        "cockroachdb-1.cockroachdb.crdb-eastus.svc.cluster.local:26257",
        "cockroachdb-0.cockroachdb.crdb-westus.svc.cluster.local:26257",
        "cockroachdb-1.cockroachdb.crdb-westus.svc.cluster.local:26257",
        "10.3.1.4:26257",
        "10.3.1.5:26257",
    )


@pytest.mark.parametrize(
    ("nodes", "servers", "roles"),
    [(1, None, "s"), (2, None, "sa"), (5, None, "sssaa"), (5, 5, "sssss"), (3, 1, "saa")],
)
def test_servers_come_first_and_are_an_odd_number(nodes: int, servers: int | None, roles: str) -> None:
    plan = plan_of({"platform": "k3s", "name": "eastus", "nodes": nodes, "servers": servers})

    assert "".join(node.role[0] for node in plan.nodes) == roles


def test_a_region_that_is_added_moves_no_range_of_another() -> None:
    regions = [{"platform": "k3s", "name": f"r{i}", "location": "eastus"} for i in range(12)]

    assert [plan_of(*regions[:count]).regions[0] for count in (1, 12)] == [plan_of(*regions).regions[0]] * 2


def test_a_cluster_without_an_id_gets_the_first_free_one() -> None:
    plan = plan_of(
        {"platform": "k3s", "name": "eastus"},
        {"platform": "k3s", "name": "westus", "cluster_id": 1},
        {"platform": "vm", "name": "uksouth"},
        {"platform": "k3s", "name": "northeurope"},
    )

    assert [region.cluster and region.cluster.id for region in plan.regions] == [2, 1, None, 3]


def test_a_derived_range_evades_the_ones_that_are_given() -> None:
    plan = plan_of({"name": "eastus"}, {"name": "westus", "vnet": "10.1.0.0/16"}, {"name": "uksouth"})

    assert [str(region.vnet) for region in plan.regions] == ["10.2.0.0/16", "10.1.0.0/16", "10.3.0.0/16"]


def test_nodes_join_two_of_each_region_or_the_one_there_is() -> None:
    plan = plan_of({"name": "eastus", "nodes": 3}, {"name": "westus", "nodes": 1})

    assert plan.join == ("10.1.1.4:26257", "10.1.1.5:26257", "10.2.1.4:26257")


def test_nodes_spread_over_the_zones_of_their_location() -> None:
    plan = plan_of({"name": "eastus", "nodes": 4}, {"name": "westus", "nodes": 2})

    assert [node.zone for node in plan.nodes] == ["1", "2", "3", "1", None, None]
    assert plan.nodes[3].locality == "region=eastus,zone=eastus-1"
    assert plan.nodes[5].locality == "region=westus,zone=westus-2"


@settings(max_examples=30)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=12))
def test_every_node_has_an_address_of_its_own_inside_its_subnet(counts: list[int]) -> None:
    plan = plan_of(*({"name": f"r{i}", "location": "eastus", "nodes": n} for i, n in enumerate(counts)))

    addresses = [node.address for node in plan.nodes]
    assert len(set(addresses)) == sum(counts)
    for region in plan.regions:
        usable = list(region.subnet)[4:-1]
        assert all(node.address in usable for node in region.nodes)


def test_more_regions_than_azure_peers_are_refused() -> None:
    regions = [{"name": f"r{i}", "location": "eastus"} for i in range(502)]

    with pytest.raises(InvalidTopology) as refused:
        plan_of(*regions)

    assert str(refused.value) == (
        "regions: there are 502 and Azure peers a network with 500 others at most; write 501 or fewer."
    )


def test_as_many_regions_as_azure_peers_are_planned() -> None:
    vnets = IPv4Network("10.0.0.0/8").subnets(new_prefix=24)
    regions = [
        {"name": f"r{i}", "location": "eastus", "vnet": str(vnet), "nodes": 1}
        for i, vnet in enumerate(islice(vnets, 501))
    ]

    assert len(plan_of(*regions).regions) == 501


networks = st.builds(
    lambda address, prefix: IPv4Network((address, prefix), strict=False),
    st.integers(0x0A000000, 0x0A00FFFF),
    st.integers(16, 32),
)


@given(st.lists(networks, max_size=12))
def test_ranges_that_overlap_are_found_without_comparing_every_pair(ranges: list[IPv4Network]) -> None:
    pairs = {(i, j) for j in range(len(ranges)) for i in range(j) if ranges[i].overlaps(ranges[j])}

    found = set(addressing.overlaps(ranges))

    assert found <= pairs
    assert bool(found) == bool(pairs)
    culprits = [index for pair in found for index in pair]
    assert {index for pair in pairs for index in pair} == set(culprits)


@given(st.integers(1, 200))
def test_the_prefix_that_is_proposed_has_room_and_half_of_it_has_not(nodes: int) -> None:
    prefix = addressing.prefix_for(nodes)

    assert addressing.capacity(IPv4Network((0x0A000000, prefix))) >= nodes
    if prefix < addressing.SMALLEST:
        assert addressing.capacity(IPv4Network((0x0A000000, prefix + 1))) < nodes


@pytest.mark.parametrize(
    ("size", "vcpus"),
    [
        ("Standard_D4s_v5", 4),
        ("Standard_DS2_v2", 2),
        ("Standard_E96-24ds_v5", 24),
        ("Standard_NC24ads_A100_v4", 24),
        ("Standard_M416ms_v2", 416),
        ("Standard_B12ms", 12),
        ("Standard_B2s_v2", 2),
        ("Standard_DC4as_cc_v5", 4),
    ],
)
def test_the_size_names_its_vcpus_and_is_accepted(size: str, vcpus: int) -> None:
    assert sizes.read(size).vcpus == vcpus
    assert plan_of({"name": "eastus", "size": size}).regions[0].size == size


def test_names_at_their_limits_are_within_azures() -> None:
    """Source: "Naming rules and restrictions for Azure resources"."""
    region = plan_of({"name": "r" * 24, "location": "eastus", "nodes": 200}, name="t" * 24).regions[0]
    node = region.nodes[-1].name

    assert len(node) <= 64
    assert len(names.resource_group("t" * 24)) <= 90
    for make in (names.public_address, names.interface, names.os_disk, names.data_disk):
        assert len(make(node)) <= 80
    for make in (names.security_group, names.route_table, names.availability_set, names.peering):
        assert len(make(region.name)) <= 80
    assert len(names.virtual_network(region.name)) <= 64


def test_a_vnet_too_small_for_a_second_24_is_its_own_subnet() -> None:
    plan = plan_of({"name": "eastus", "vnet": "192.168.5.0/26"})

    assert plan.regions[0].subnet == IPv4Network("192.168.5.0/26")
