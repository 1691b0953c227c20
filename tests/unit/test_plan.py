from ipaddress import IPv4Address, IPv4Network
from itertools import islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roachmesh import refusals, topology
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


def test_a_derived_range_evades_the_ones_that_are_given() -> None:
    plan = plan_of({"name": "eastus"}, {"name": "westus", "vnet": "10.1.0.0/16"}, {"name": "uksouth"})

    assert [str(region.vnet) for region in plan.regions] == ["10.2.0.0/16", "10.1.0.0/16", "10.3.0.0/16"]


def test_nodes_join_two_of_each_region_or_the_one_there_is() -> None:
    plan = plan_of({"name": "eastus", "nodes": 3}, {"name": "westus", "nodes": 1})

    assert plan.join == tuple(map(IPv4Address, ("10.1.1.4", "10.1.1.5", "10.2.1.4")))


def test_nodes_spread_over_the_zones_of_their_location() -> None:
    plan = plan_of({"name": "eastus", "nodes": 4}, {"name": "westus", "nodes": 2})

    assert [node.zone for node in plan.nodes] == ["1", "2", "3", "1", None, None]
    assert plan.nodes[3].locality == "region=eastus,zone=eastus-1"
    assert plan.nodes[5].locality == "region=westus,zone=westus-2"


@given(st.lists(st.integers(1, 40), min_size=1, max_size=12))
def test_every_node_has_an_address_of_its_own_inside_its_subnet(counts: list[int]) -> None:
    plan = plan_of(*({"name": f"r{i}", "location": "eastus", "nodes": n} for i, n in enumerate(counts)))

    addresses = [node.address for node in plan.nodes]
    assert len(set(addresses)) == sum(counts)
    for region in plan.regions:
        usable = list(region.subnet)[4:-1]
        assert all(node.address in usable for node in region.nodes)


@pytest.mark.parametrize(
    ("regions", "message"),
    [
        ([{"name": "eastus"}, {"name": "eastus"}], "regions[1].name: 'eastus' is used twice"),
        ([{"name": "east-a"}], "regions[0].location: 'east-a' is no Azure location"),
        ([{"name": "eastus", "size": "Standard_B1s"}], "regions[0].size: Standard_B1s has 1 vCPU"),
        ([{"name": "eastus", "vnet": "8.8.0.0/16"}], "regions[0].vnet: 8.8.0.0/16 is not private"),
        (
            [{"name": "eastus", "subnet": "10.9.1.0/24"}],
            "regions[0].subnet: 10.9.1.0/24 is not inside 10.1.0.0/16",
        ),
        (
            [{"name": "eastus", "subnet": "10.1.1.0/29", "nodes": 4}],
            "regions[0].subnet: 10.1.1.0/29 has room for 3 nodes and 4 are asked for",
        ),
        (
            [{"name": "eastus", "vnet": "10.1.0.0/16"}, {"name": "westus", "vnet": "10.1.128.0/17"}],
            "regions[1].vnet: 10.1.128.0/17 overlaps regions[0].vnet 10.1.0.0/16",
        ),
    ],
)
def test_what_cannot_work_is_refused_with_the_fields_path(
    regions: list[dict[str, Any]], message: str
) -> None:
    with pytest.raises(InvalidTopology) as refused:
        plan_of(*regions)

    assert message in str(refused.value)


def test_more_regions_than_azure_peers_are_refused() -> None:
    vnets = IPv4Network("10.0.0.0/8").subnets(new_prefix=24)
    regions = [
        {"name": f"r{i}", "location": "eastus", "vnet": str(vnet)}
        for i, vnet in enumerate(islice(vnets, 502))
    ]

    with pytest.raises(InvalidTopology, match="502 regions need 501 peerings each and Azure allows 500"):
        plan_of(*regions)


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(InvalidTopology) as refused:
        plan_of({"name": "eastus", "size": "Standard_A1_v2"}, {"name": "eastus"})

    assert len(str(refused.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("size", "vcpus"), [("Standard_D4s_v5", 4), ("Standard_DS2_v2", 2), ("Standard_E96-24ds_v5", 96)]
)
def test_the_size_names_its_vcpus(size: str, vcpus: int) -> None:
    assert refusals.vcpus_of(size) == vcpus


def test_a_vnet_too_small_for_a_second_24_is_its_own_subnet() -> None:
    plan = plan_of({"name": "eastus", "vnet": "192.168.5.0/26"})

    assert plan.regions[0].subnet == IPv4Network("192.168.5.0/26")
