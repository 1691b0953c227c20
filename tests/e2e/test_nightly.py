"""A night of a worker's, in the sandbox: built, proven, taken down and reported; one that fails, kept."""

import re
from typing import Any

import pytest

from tests.e2e.conftest import World, fault

pytestmark = [pytest.mark.machines, pytest.mark.timeout(900)]

TOPOLOGY: dict[str, Any] = {
    "name": "small",
    "pooler": "none",
    "regions": [{"platform": "vm", "name": "westus", "nodes": 1}],
}
GROUP = re.compile(r"/roachmesh-small-nightly(\?|$)")


def night(world: World, state: str, **more: Any) -> str:
    """Run a night; gives its report."""
    return world.artifact("nightly", world.run("nightly", {"topology": TOPOLOGY, **more}, state))


def test_a_night_that_fails_is_kept_and_the_next_clears_it_away(world: World) -> None:
    fault("add", "refuse", "type=virtualMachines", "code=SkuNotAvailable")
    try:
        said = night(world, "FAILED", keep_on_failure=True)
    finally:
        fault("clear")
    assert "failed: deploy" in said
    assert "SkuNotAvailable" in said

    before = len(world.arm_writes())
    said = night(world, "COMPLETED")

    assert re.search(r"\| clear away \| done", said)
    assert said.count("failed: deploy") == 1
    assert "UTC, well" in said
    groups = [line for line in world.arm_writes()[before:] if GROUP.search(line)]
    assert [line.split()[0] for line in groups] == [
        "DELETE",
        "PUT",
        "PUT",
        "DELETE",
    ]  # the night's mark, then the key's
