from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roachmesh import prices, topology
from roachmesh.cost import Cost, RegionCost, estimate
from roachmesh.plan import make_plan
from roachmesh.prices import Price, Snapshot

SHIPPED = prices.shipped()


def snapshot_with(**groups: Mapping[str, Any]) -> Snapshot:
    """Give the shipped snapshot with some fields of some groups replaced."""
    content = SHIPPED.model_dump()
    for group, fields in groups.items():
        content[group] |= fields
    return Snapshot.model_validate(content)


def cost_of(*regions: dict[str, Any], snapshot: Snapshot = SHIPPED) -> Cost:
    plan = make_plan(topology.parse({"regions": [{"platform": "vm", **region} for region in regions]}))
    return estimate(plan, snapshot)


def priced(region: RegionCost) -> list[tuple[str, str, int, str, str | None, str | None]]:
    return [
        (
            line.what,
            line.item,
            line.count,
            line.per,
            None if line.price_usd is None else str(line.price_usd),
            None if line.usd_per_month is None else str(line.usd_per_month),
        )
        for line in region.lines
    ]


def traffic(cost: Cost) -> list[tuple[str, str | None, str, str | None]]:
    return [
        (
            price.what,
            price.zone,
            " ".join(price.regions),
            None if price.usd_per_gb is None else str(price.usd_per_gb),
        )
        for price in cost.traffic
    ]


def test_the_default_plan_costs_what_a_hand_reckons() -> None:
    cost = estimate(make_plan(topology.DEFAULT), SHIPPED)

    eastus, westus, northeurope = cost.regions
    assert priced(eastus) == [
        ("machines", "Standard_D4s_v5", 3, "hour", "0.192", "420.480"),
        ("system disks", "Premium SSD P6 LRS", 3, "month", "10.207", "30.621"),
        ("data disks", "Premium SSD P10 LRS", 3, "month", "19.71", "59.13"),
        ("public addresses", "Standard static IPv4", 3, "hour", "0.005", "10.950"),
    ]
    assert priced(westus)[0] == ("machines", "Standard_D4s_v5", 3, "hour", "0.224", "490.560")
    assert priced(northeurope)[0] == ("machines", "Standard_D4s_v5", 3, "hour", "0.214", "468.660")
    assert eastus.usd_per_month == Decimal("521.181")
    assert northeurope.usd_per_month == Decimal("569.361")
    assert eastus.usd_per_hour == pytest.approx(Decimal("0.7139465753"))


def test_a_total_that_lacks_a_price_says_so_and_names_it() -> None:
    cost = estimate(make_plan(topology.DEFAULT), SHIPPED)

    assert not cost.complete
    assert cost.unknown == (
        "no price known for Premium SSD P6 LRS in westus",
        "no price known for Premium SSD P10 LRS in westus",
    )
    # 521.181 + (490.56 + 10.95) + 569.361
    assert cost.usd_per_month == Decimal("1592.052")


def test_a_cost_tells_the_day_and_the_source_of_its_prices() -> None:
    cost = cost_of({"name": "eastus"})

    assert (cost.date, cost.source, cost.currency) == (SHIPPED.date, SHIPPED.source, "USD")
    assert cost.complete
    assert cost.unknown == ()


def test_an_unknown_size_is_named_and_the_rest_is_priced() -> None:
    cost = cost_of({"name": "eastus", "size": "Standard_M416ms_v2", "nodes": 1})

    assert cost.unknown == ("no price known for Standard_M416ms_v2 in eastus",)
    assert not cost.complete
    # 10.207 + 19.71 + 0.005 * 730
    assert cost.usd_per_month == Decimal("33.567")


def test_a_location_without_prices_costs_nothing_that_is_known() -> None:
    cost = cost_of({"name": "austriaeast", "nodes": 2})

    assert cost.usd_per_month == 0
    assert cost.unknown == (
        "no price known for Standard_D4s_v5 in austriaeast",
        "no price known for Premium SSD P6 LRS in austriaeast",
        "no price known for Premium SSD P10 LRS in austriaeast",
        "no price known for Standard static IPv4 in austriaeast",
        "no price known for internet, outbound, after 100 GB a month (austriaeast)",
    )


@pytest.mark.parametrize(
    ("size_gib", "tier"),
    [
        *[(4, "P1"), (5, "P2"), (32, "P4"), (33, "P6"), (64, "P6"), (65, "P10"), (128, "P10"), (129, "P15")],
        *[(1024, "P30"), (1025, "P40"), (4095, "P50"), (4096, "P50"), (16385, "P80"), (32767, "P80")],
    ],
)
def test_a_disk_is_billed_as_the_next_tier_up(size_gib: int, tier: str) -> None:
    cost = cost_of({"name": "eastus", "data_disk_gib": size_gib})

    assert cost.regions[0].lines[2].item == f"Premium SSD {tier} LRS"


def test_no_tier_holds_more_than_the_largest() -> None:
    with pytest.raises(ValueError, match="no tier holds 32768 GiB"):
        SHIPPED.disks.tier(32768)


def test_one_region_has_no_peering() -> None:
    assert traffic(cost_of({"name": "eastus"})) == [
        ("internet, outbound, after 100 GB a month", "1", "eastus", "0.087")
    ]


def test_regions_of_one_zone_share_its_prices() -> None:
    assert traffic(cost_of({"name": "eastus"}, {"name": "northeurope"})) == [
        ("peering between locations, outbound", "1", "eastus northeurope", "0.035"),
        ("peering between locations, inbound", "1", "eastus northeurope", "0.035"),
        ("internet, outbound, after 100 GB a month", "1", "eastus northeurope", "0.087"),
    ]


def test_every_zone_bills_its_own_end_of_a_peering() -> None:
    cost = cost_of({"name": "eastus"}, {"name": "japaneast"}, {"name": "brazilsouth"})

    assert traffic(cost) == [
        ("peering between locations, outbound", "1", "eastus", "0.035"),
        ("peering between locations, inbound", "1", "eastus", "0.035"),
        ("peering between locations, outbound", "2", "japaneast", "0.09"),
        ("peering between locations, inbound", "2", "japaneast", "0.09"),
        ("peering between locations, outbound", "3", "brazilsouth", "0.16"),
        ("peering between locations, inbound", "3", "brazilsouth", "0.16"),
        ("internet, outbound, after 100 GB a month", "1", "eastus", "0.087"),
        ("internet, outbound, after 100 GB a month", "2", "japaneast", None),
        ("internet, outbound, after 100 GB a month", "3", "brazilsouth", "0.181"),
    ]
    assert "no price known for internet, outbound, after 100 GB a month (japaneast)" in cost.unknown


def test_regions_in_one_location_are_peered_within_it() -> None:
    one, two = {"name": "one", "location": "eastus"}, {"name": "two", "location": "eastus"}

    assert traffic(cost_of(one, two))[:-1] == [
        ("peering within a location, outbound", None, "one two", "0.01"),
        ("peering within a location, inbound", None, "one two", "0.01"),
    ]
    assert [line[0] for line in traffic(cost_of(one, two, {"name": "westus"}))] == [
        "peering within a location, outbound",
        "peering within a location, inbound",
        "peering between locations, outbound",
        "peering between locations, inbound",
        "internet, outbound, after 100 GB a month",
    ]


def test_traffic_without_a_price_leaves_the_total_complete() -> None:
    snapshot = snapshot_with(internet={"outbound_usd_per_gb": {}})
    cost = cost_of({"name": "eastus"}, snapshot=snapshot)

    assert cost.complete
    assert cost.unknown == ("no price known for internet, outbound, after 100 GB a month (eastus)",)


REGIONS = st.lists(
    st.fixed_dictionaries(
        {
            "location": st.sampled_from(["eastus", "westus", "northeurope", "japaneast", "austriaeast"]),
            "nodes": st.integers(1, 9),
            "size": st.sampled_from(["Standard_D4s_v5", "Standard_E8as_v5", "Standard_M416ms_v2"]),
            "os_disk_gib": st.integers(30, 4095),
            "data_disk_gib": st.integers(4, 32767),
        }
    ),
    min_size=1,
    max_size=5,
)


@given(REGIONS)
def test_totals_add_up(regions: list[dict[str, Any]]) -> None:
    cost = cost_of(*({"name": f"r{number}", **region} for number, region in enumerate(regions)))

    lines = [line for region in cost.regions for line in region.lines]
    known = [line.usd_per_month for line in lines if line.usd_per_month is not None]
    assert cost.usd_per_month == sum(known)
    assert cost.usd_per_month == sum(region.usd_per_month for region in cost.regions)
    assert cost.usd_per_hour * 730 == pytest.approx(cost.usd_per_month)
    assert cost.complete == (len(known) == len(lines))
    assert all(line.usd_per_hour is not None for line in lines if line.usd_per_month is not None)


@given(REGIONS, st.decimals(Decimal("0.0001"), 100, places=4))
def test_a_dearer_machine_makes_every_total_dearer(regions: list[dict[str, Any]], more: Price) -> None:
    dearer = {
        place: {size: price + more for size, price in table.items()}
        for place, table in SHIPPED.machines.usd_per_hour.items()
    }
    named = [{"name": f"r{number}", **region} for number, region in enumerate(regions)]
    before = cost_of(*named)
    after = cost_of(*named, snapshot=snapshot_with(machines={"usd_per_hour": dearer}))

    hours = sum(
        region.lines[0].count * 730 for region in before.regions if region.lines[0].price_usd is not None
    )
    assert after.usd_per_month - before.usd_per_month == more * hours
