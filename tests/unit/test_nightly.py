"""A night's report: what it says of what may stand still, and of what that costs."""

from datetime import UTC, datetime

import pytest

from roachmesh import cost, prices, topology
from roachmesh.plan import make_plan
from roachmesh.render.nightly import Night, Stage, markdown

BEGAN = datetime(2026, 11, 22, tzinfo=UTC)
EXPIRES = "2026-11-25T00:00:00Z"
PLAN = make_plan(
    topology.parse(
        {
            "name": "n-nightly",
            "expires": EXPIRES,
            "regions": [{"platform": "vm", "name": "eastus", "nodes": 1}],
        }
    )
)
BEFORE = "Nothing was built. What stood in roachmesh-n-nightly before may still stand, and cost."
UNTIL = (
    "what stands in roachmesh-n-nightly goes on costing until the next night clears it away, or `sweep` from "
    f"{EXPIRES} on."
)


def night(*stages: str, completed: bool = True) -> Night:
    """A night of these stages, 10 s each; a "!" behind one says that it failed."""
    made = [Stage(one.rstrip("!"), 10.0, "failed" if one.endswith("!") else "done") for one in stages]
    return Night(BEGAN, tuple(made), completed)


def report(tonight: Night) -> str:
    return markdown(PLAN, tonight, [], cost.estimate(PLAN, prices.shipped()), stood_s=3600)


@pytest.mark.parametrize(
    ("stages", "said", "costs"),
    [
        (["clear away!"], BEFORE, "what stood before is not counted"),
        (["clear away", "deploy!"], f"What was made, if anything, was kept: {UNTIL}", "USD at most so far"),
        (
            ["clear away", "deploy", "verify", "destroy!"],
            f"What was made, if anything, could not be taken down: {UNTIL}",
            "USD at most so far",
        ),
    ],
)
def test_what_may_still_stand_is_said_and_goes_on_costing(stages: list[str], said: str, costs: str) -> None:
    written = report(night(*stages))

    assert f"\n\n{said}\n\n" in written
    assert costs in written.partition("## Cost")[2]


@pytest.mark.parametrize("stages", [["deploy", "verify"], ["deploy!"]])
def test_of_what_was_taken_down_nothing_stands(stages: list[str]) -> None:
    written = report(night("clear away", *stages, "destroy"))

    assert "roachmesh-n-nightly" not in written
    assert "so far" not in written


def test_only_a_night_that_came_to_its_end_went_well() -> None:
    assert night("clear away", "deploy").verdict == "well"
    assert night("clear away", "deploy", completed=False).verdict == "not completed"
    assert night("clear away", "deploy!", completed=False).verdict == "failed: deploy"
