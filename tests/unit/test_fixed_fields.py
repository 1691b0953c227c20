"""What cannot be changed on machines and clusters that stand, found in the machines' tags."""

from typing import Any

import pytest

from roachmesh.fixed_fields import changes, tags
from roachmesh.plan import Plan, make_plan
from roachmesh.topology import parse


def k3s(name: str, **fields: Any) -> dict[str, Any]:
    return {"platform": "k3s", "name": name, **fields}


def planned(*regions: dict[str, Any]) -> Plan:
    return make_plan(parse({"regions": regions}))


def machines(plan: Plan) -> dict[str, dict[str, str]]:
    """The tags of a plan's machines once it is deployed."""
    return {node.name: tags(plan.region_of(node), node) for node in plan.nodes}


@pytest.mark.parametrize(
    ("stands", "wanted", "said"),
    [
        (
            [k3s("eastus", nodes=1)],
            [{"platform": "vm", "name": "eastus", "nodes": 1}],
            ["regions[0].platform: crdb-eastus-1 is a k3s server and stays one; write `platform: k3s`."],
        ),
        (
            [{"platform": "vm", "name": "eastus", "nodes": 1}],
            [k3s("eastus", nodes=2)],
            ["regions[0].platform: crdb-eastus-1 is a plain machine and stays one; write `platform: vm`."],
        ),
        (
            [k3s("eastus", nodes=5)],
            [k3s("eastus", nodes=5, servers=5)],
            ["regions[0].servers: crdb-eastus-4 is a k3s agent and stays one; write `servers: 3`."],
        ),
        (
            [k3s("eastus", nodes=3)],
            [k3s("eastus", nodes=3, servers=1)],
            ["regions[0].servers: crdb-eastus-2 is a k3s server and stays one; write `servers: 3`."],
        ),
        (
            [k3s("eastus", nodes=5)],
            [k3s("eastus", nodes=3)],
            ["regions[0].nodes: crdb-eastus-5 stands, with a pod and its data; write `nodes: 5`."],
        ),
        (
            [k3s("eastus", nodes=2)],
            [k3s("eastus", nodes=3)],
            ["regions[0].servers: crdb-eastus-2 is a k3s agent and stays one; write `servers: 1`."],
        ),
        (
            [k3s("eastus", pods="10.10.0.0/16", services="10.20.0.0/16")],
            [k3s("eastus", pods="10.12.0.0/16", services="10.22.0.0/16", servers=1)],
            [
                "regions[0].servers: crdb-eastus-2 is a k3s server and stays one; write `servers: 3`.",
                "regions[0].pods: the cluster of eastus keeps 10.10.0.0/16; write `pods: 10.10.0.0/16`.",
                "regions[0].services: the cluster of eastus keeps 10.20.0.0/16; "
                "write `services: 10.20.0.0/16`.",
            ],
        ),
        (
            [k3s("eastus"), k3s("westus", cluster_id=7)],
            [k3s("eastus"), k3s("westus")],
            ["regions[1].cluster_id: the cluster of westus keeps 7; write `cluster_id: 7`."],
        ),
    ],
)
def test_a_change_is_refused_with_the_field_and_what_to_write(
    stands: list[dict[str, Any]], wanted: list[dict[str, Any]], said: list[str]
) -> None:
    assert changes(planned(*wanted).regions, machines(planned(*stands))) == said


def test_what_a_region_derives_is_kept_when_one_before_it_goes() -> None:
    stands = machines(planned(k3s("eastus"), k3s("westus")))

    assert changes(planned(k3s("westus", vnet="10.2.0.0/16")).regions, stands) == [
        "regions[0].pods: the cluster of westus keeps 10.11.0.0/16; write `pods: 10.11.0.0/16`.",
        "regions[0].services: the cluster of westus keeps 10.21.0.0/16; write `services: 10.21.0.0/16`.",
        "regions[0].cluster_id: the cluster of westus keeps 2; write `cluster_id: 2`.",
    ]


@pytest.mark.parametrize(
    "wanted",
    [
        [k3s("eastus")],
        [k3s("eastus", nodes=5)],
        [k3s("eastus", nodes=5, servers=5)],
        [k3s("eastus"), k3s("westus")],
        [k3s("eastus", size="Standard_D8s_v5")],
    ],
)
def test_everything_else_may_change(wanted: list[dict[str, Any]]) -> None:
    assert changes(planned(*wanted).regions, machines(planned(k3s("eastus")))) == []


def test_a_server_that_is_gone_does_not_change_how_many_to_write() -> None:
    stands = machines(planned(k3s("eastus", nodes=5)))
    del stands["crdb-eastus-3"]

    assert changes(planned(k3s("eastus", nodes=5, servers=5)).regions, stands) == [
        "regions[0].servers: crdb-eastus-4 is a k3s agent and stays one; write `servers: 3`."
    ]


def test_machines_that_are_gone_or_have_no_such_tags_tell_nothing() -> None:
    other = planned(k3s("eastus", pods="10.12.0.0/16", servers=1))

    assert changes(other.regions, {}) == []
    assert changes(other.regions, {node.name: {"theirs": "1"} for node in other.nodes}) == []
