from typing import Any

import pytest

from roachmesh import topology, warnings
from roachmesh.plan import make_plan
from roachmesh.render.picture import mermaid


def vm(name: str, **more: Any) -> dict[str, Any]:
    return {"platform": "vm", "name": name, **more}


THREE = [vm("eastus"), vm("northeurope"), vm("uksouth")]

REGRETTED = [
    ({"regions": [vm("eastus", nodes=1)]}, "1 node cannot hold 3 replicas"),
    ({"regions": [vm("eastus")]}, "No region's loss is survived: an outage takes the database"),
    ({"regions": THREE[:2]}, "an outage takes one of two regions, and the database with it"),
    ({"regions": [vm("westus"), *THREE[1:]]}, "westus: without availability zones"),
    ({"regions": [vm("eastus", zones=["2"]), *THREE[1:]]}, "eastus: all its nodes stand in zone 2."),
    ({"regions": [vm("eastus", size="Standard_D2s_v5"), *THREE[1:]]}, "Standard_D2s_v5 has 2 vCPUs"),
    ({"regions": THREE, "access": {"operator_cidrs": ["198.51.0.0/16"]}}, "SSH is open to 198.51.0.0/16"),
    ({"regions": THREE, "access": {"nodeport_cidrs": ["0.0.0.0/0"]}}, "application are open to 0.0.0.0/0"),
    ({"regions": THREE, "image": {"offer": "debian-12"}}, "The image Debian:debian-12 is not what"),
]


@pytest.mark.parametrize(("fields", "sentence"), REGRETTED)
def test_what_people_regret_is_said_once(fields: dict[str, Any], sentence: str) -> None:
    [said] = warnings.find(make_plan(topology.parse(fields)))

    assert sentence in said


def test_three_ordinary_regions_are_worth_no_warning() -> None:
    assert list(warnings.find(make_plan(topology.parse({"regions": THREE})))) == []


def test_the_picture_of_many_regions_has_one_mesh_instead_of_every_peering() -> None:
    few, many = (
        mermaid(make_plan(topology.parse({"regions": [vm(f"r{i}", location="eastus") for i in range(n)]})))
        for n in (4, 9)
    )

    assert few.count("<-- ") == 6
    assert many.count("<--> mesh") == 9
    assert "36 peerings" in many
