"""What is left of an installed Cilium."""

from typing import Any

import pytest

from roachmesh.plan import make_plan
from roachmesh.topology import parse
from tasks.cilium import lost

PLAN = make_plan(parse({"regions": [{"platform": "k3s", "name": name} for name in ("eastus", "westus")]}))
ALONE = make_plan(parse({"regions": [{"platform": "k3s", "name": "eastus"}]}))
WHOLE: dict[str, Any] = {
    "cilium": {},
    "cilium-config": {},
    "clustermesh-apiserver": {},
    "cilium-clustermesh": {"data": {"westus": "YQ=="}},
    "cilium-kvstoremesh": {"data": {"westus": "YQ=="}},
}
MESH = ("clustermesh-apiserver", "cilium-clustermesh", "cilium-kvstoremesh")


class Found:
    """An API with these objects, by name."""

    def __init__(self, objects: dict[str, Any]) -> None:
        self.objects = objects

    def read(self, kind: str, name: str, namespace: str) -> Any:
        return self.objects.get(name)


def lost_of(objects: dict[str, Any], plan: Any = PLAN) -> list[str]:
    return lost(Found(objects), plan, plan.clusters[0])


def test_nothing_is_lost_of_what_stands() -> None:
    assert lost_of(WHOLE) == []
    assert lost_of({name: one for name, one in WHOLE.items() if name not in MESH}, ALONE) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"cilium": None}, ["DaemonSet cilium"]),
        ({"clustermesh-apiserver": None}, ["Deployment clustermesh-apiserver"]),
        ({"cilium-clustermesh": {"data": {}}}, ["westus in Secret cilium-clustermesh"]),
        ({"cilium-clustermesh": {}}, ["westus in Secret cilium-clustermesh"]),
        ({"cilium-kvstoremesh": None}, ["westus in Secret cilium-kvstoremesh"]),
    ],
)
def test_what_is_gone_is_named(change: dict[str, Any], said: list[str]) -> None:
    assert lost_of({**WHOLE, **change}) == said
