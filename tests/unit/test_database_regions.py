"""What is said to CockroachDB so that a database has its regions."""

from typing import Any

import pytest

from roachmesh.database_regions import DatabaseFound, statements
from roachmesh.errors import InvalidTopology
from roachmesh.plan import DatabasePlan, make_plan
from roachmesh.topology import parse

REGIONS = ("eastus", "westus", "northeurope")
THREE = frozenset(REGIONS)


def planned(count: int = 3, **database: Any) -> DatabasePlan:
    regions = [{"platform": "vm", "name": name} for name in REGIONS[:count]]
    return make_plan(parse({"regions": regions, "database": database})).database


def test_what_is_left_out_survives_as_much_as_the_regions_can() -> None:
    assert [planned(count).survival for count in (1, 2, 3)] == ["zone", "zone", "region"]
    assert planned().primary_region == "eastus"
    assert planned(survival="zone", primary_region="westus").survival == "zone"


def test_a_database_that_is_not_there_is_made_in_the_order_that_is_taken() -> None:
    assert statements(planned(), None) == [
        'CREATE DATABASE "movr"',
        'ALTER DATABASE "movr" SET PRIMARY REGION "eastus"',
        'ALTER DATABASE "movr" ADD REGION "westus"',
        'ALTER DATABASE "movr" ADD REGION "northeurope"',
        'ALTER DATABASE "movr" SURVIVE REGION FAILURE',
    ]


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (DatabaseFound("eastus", THREE, "region"), []),
        (DatabaseFound("eastus", THREE | {"mars"}, "region"), []),
        (DatabaseFound("eastus", THREE, "zone"), ["SURVIVE REGION FAILURE"]),
        (DatabaseFound("westus", THREE, "region"), ['SET PRIMARY REGION "eastus"']),
        (
            DatabaseFound("westus", frozenset({"westus"}), "zone"),
            [
                'ADD REGION "eastus"',
                'ADD REGION "northeurope"',
                'SET PRIMARY REGION "eastus"',
                "SURVIVE REGION FAILURE",
            ],
        ),
    ],
)
def test_only_what_differs_is_said(found: DatabaseFound, said: list[str]) -> None:
    assert statements(planned(), found) == [f'ALTER DATABASE "movr" {what}' for what in said]


def test_one_region_is_a_database_of_one_region() -> None:
    assert statements(planned(1), DatabaseFound("eastus", frozenset({"eastus"}), "zone")) == []


def test_two_regions_cannot_survive_the_loss_of_one() -> None:
    with pytest.raises(InvalidTopology) as refused:
        planned(2, survival="region")

    assert str(refused.value) == (
        "database.survival: to survive the loss of a region takes 3 regions, and here are 2; "
        "write `survival: zone`, or more regions."
    )
