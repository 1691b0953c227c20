"""What Cilium says of other clusters, and what is amiss in it."""

from typing import Any

import pytest

from roachmesh import topology
from roachmesh.plan import make_plan
from tasks.mesh import missing

EAST, WEST, _ = make_plan(topology.DEFAULT).regions
WELL = {"name": "westus", "connected": True, "ready": True, "num-nodes": 3, "status": "etcd: 1/1 connected"}


def test_a_cluster_that_knows_every_other_lacks_nothing() -> None:
    assert missing(EAST, [WEST], "agent", [WELL]) == []
    assert missing(EAST, [], "agent", []) == []


@pytest.mark.parametrize(
    ("remotes", "said"),
    [
        ([], "the agent of eastus does not know of westus"),
        ([{**WELL, "name": "elsewhere"}], "the agent of eastus does not know of westus"),
        (
            [{**WELL, "connected": False, "status": "dial tcp 10.2.1.4:32379: i/o timeout\n"}],
            "the agent of eastus is not connected to westus: dial tcp 10.2.1.4:32379: i/o timeout",
        ),
        (
            [{**WELL, "ready": False}],
            "the agent of eastus is not connected to westus: etcd: 1/1 connected",
        ),
        ([{**WELL, "num-nodes": 2}], "the agent of eastus knows 2 nodes of westus instead of 3"),
    ],
)
def test_what_a_cluster_lacks_names_both(remotes: list[dict[str, Any]], said: str) -> None:
    assert missing(EAST, [WEST], "agent", remotes) == [said]
