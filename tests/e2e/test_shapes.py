"""Topologies of other shapes, through the terminal's door: what ARM saw is what the plan lists."""

from pathlib import Path

import pytest
import yaml

from roachmesh import topology
from roachmesh.inventory import UNKNOWN_OPERATORS, Inventory
from roachmesh.plan import make_plan
from tests.e2e.conftest import World

pytestmark = [pytest.mark.machines, pytest.mark.timeout(900)]


def vm(name: str, **more: object) -> dict[str, object]:
    return {"platform": "vm", "name": name, **more}


SHAPES = [
    {"name": "one", "regions": [vm("westus", nodes=1, data_disk_gib=32)]},
    {
        "name": "five-and-one",
        "regions": [
            vm("uksouth", nodes=5, vnet="172.20.6.0/23", subnet="172.20.7.16/28", zones=["3", "1"]),
            vm("ukwest", nodes=1, vnet="192.168.255.248/29"),
        ],
    },
    {
        "name": "five-of-one",
        "regions": [
            vm(name, nodes=1) for name in ("eastus", "westus", "northeurope", "westeurope", "southeastasia")
        ],
    },
    {
        "name": "a-name-of-twenty-four-ch",
        "regions": [
            vm("region-of-twenty-four-ch", location="westus3", nodes=2, vnet="172.31.0.0/24"),
            vm("r", location="westus3", nodes=1, vnet="10.0.0.0/8", subnet="10.250.250.240/28"),
        ],
    },
    {
        "name": "seven",
        "regions": [
            vm(f"r{i}", location=location, nodes=1)
            for i, location in enumerate(
                ("eastus", "eastus2", "westus2", "uksouth", "japaneast", "brazilsouth", "westindia")
            )
        ],
    },
]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: str(shape["name"]))
def test_what_the_plan_lists_is_what_azure_is_told_and_all_of_it_goes(
    world: World, tmp_path: Path, shape: dict[str, object]
) -> None:
    file = tmp_path / "topology.yaml"
    file.write_text(yaml.safe_dump(shape))
    plan = make_plan(topology.load(file))
    planned = Inventory(
        plan=plan, subscription_id=world.cloud["subscription_id"], operators=UNKNOWN_OPERATORS
    )
    writes = len(world.arm_writes())

    said = world.roachmesh("deploy", str(file))

    told = [line.lower() for line in world.arm_writes()[writes:]]  # as Azure, ARM cares for no case in ids
    assert sorted(told) == sorted(f"PUT {resource.id}".lower() for resource in planned.everything())
    assert f"{len(plan.nodes)} nodes" in world.roachmesh("plan", str(file))
    assert "🟥" not in said
    assert f"{plan.topology} stands." in said

    world.roachmesh("destroy", str(file), "--yes")

    assert "there is no resource group" in world.roachmesh_fails("status", str(file), code=10)


def test_destroying_from_prefects_form_needs_the_name(world: World) -> None:
    shape = SHAPES[0]
    refused = world.run("destroy", {"topology": shape, "confirm": "yes"}, state="FAILED")

    assert "Write 'one' to destroy it" in refused["state"]["message"]
