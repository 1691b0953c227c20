"""A night's report: what was built, how long it took against other nights, what failed, what it cost.

The trend is drawn in plain text, for the reason that the timeline is: see roachmesh/render/timeline.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from statistics import median
from typing import Literal

from roachmesh.cost import Cost
from roachmesh.plan import Plan
from roachmesh.render.markdown import table

WIDTH = 40  # characters of the longest night
SIGNS = {"clear away": "░", "deploy": "█", "verify": "▒", "destroy": "░"}


@dataclass(frozen=True)
class Stage:
    """A stage of a night.

    Attributes:
        name: "clear away" (what the last night left), "deploy", "verify" or "destroy".
        outcome: `unfinished` when the night's process ended in it.
        why: What it failed with.
        page: Where its run is seen; empty where there was none.
    """

    name: str
    took_s: float
    outcome: Literal["done", "failed", "unfinished"]
    why: str = ""
    page: str = ""


@dataclass(frozen=True)
class Night:
    """A night, its stages in the order in which they ran; none follows one that failed but destroy.

    Attributes:
        completed: Whether it came to its end; one whose process ended between two stages did not.
    """

    began: datetime
    stages: tuple[Stage, ...]
    completed: bool = True

    @property
    def took_s(self) -> float:
        """Seconds of all stages."""
        return sum(stage.took_s for stage in self.stages)

    @property
    def verdict(self) -> str:
        """Say how it went."""
        amiss = [f"{stage.outcome}: {stage.name}" for stage in self.stages if stage.outcome != "done"]
        return ", ".join(amiss) or ("well" if self.completed else "not completed")

    def outcome(self, name: str) -> str:
        """Say how a stage ended; empty where it did not run."""
        return next((stage.outcome for stage in self.stages if stage.name == name), "")


def markdown(plan: Plan, tonight: Night, earlier: Sequence[Night], cost: Cost, stood_s: float) -> str:
    """Write a night's report.

    Args:
        plan: What was built.
        tonight: Its stages, all of them.
        earlier: The nights before, the latest first.
        cost: The plan's.
        stood_s: For how long it was there, from the beginning of its making.
    """
    return "\n\n".join(
        (
            f"# {plan.topology}: {tonight.began:%Y-%m-%d %H:%M} UTC, {tonight.verdict}",
            *_failures(tonight),
            *_left(plan, tonight),
            f"Planned: CockroachDB {plan.cockroachdb.version} on {_nodes(plan)}: {_regions(plan)}.",
            "## Stages",
            _stages(tonight, earlier),
            "## Trend",
            _trend([tonight, *earlier]),
            "## Cost",
            _cost(cost, tonight, stood_s),
        )
    )


def _failures(night: Night) -> list[str]:
    return [
        f"**{stage.name} failed**{f' ([its run]({stage.page}))' if stage.page else ''}:\n\n"
        f"```text\n{stage.why}\n```"
        for stage in night.stages
        if stage.outcome == "failed"
    ]


def _nodes(plan: Plan) -> str:
    return "1 node" if len(plan.nodes) == 1 else f"{len(plan.nodes)} nodes"


def _left(plan: Plan, night: Night) -> list[str]:
    """Say what may stand when the night is over, and go on costing."""
    group = plan.resource_group
    if night.outcome("clear away") != "done":
        return [f"Nothing was built. What stood in {group} before may still stand, and cost."]
    if night.outcome("destroy") == "done":
        return []
    why = "could not be taken down" if night.outcome("destroy") else "was kept"
    return [
        f"What was made, if anything, {why}: what stands in {group} goes on costing until the next night "
        f"clears it away, or `sweep` from {plan.expires} on."
    ]


def _regions(plan: Plan) -> str:
    return ", ".join(
        f"{region.name} ({'k3s' if region.cluster else 'plain machines'}, {len(region.nodes)})"
        for region in plan.regions
    )


def _stages(tonight: Night, earlier: Sequence[Night]) -> str:
    """Compare each stage with the median of the nights in which it was done."""
    rows = []
    for stage in tonight.stages:
        before = [
            one.took_s
            for night in earlier
            for one in night.stages
            if (one.name, one.outcome) == (stage.name, "done")
        ]
        usual = median(before) if before else None
        change = f"{stage.took_s / usual - 1:+.0%}" if usual else ""
        compared = f"{usual:.0f} s of {len(before)}" if usual is not None else ""
        rows.append((stage.name, stage.outcome, f"{stage.took_s:.0f} s", compared, change))
    return table(("stage", "outcome", "took", "median before", "change"), rows)


def _trend(nights: Sequence[Night]) -> str:
    """Draw a bar for each night, the latest first, its stages one after the other."""
    longest = max(night.took_s for night in nights) or 1.0
    legend = "█ deploy  ▒ verify  ░ clear away, destroy"
    rows = [f"{'began (UTC)':<16}  {legend:<{WIDTH}}  {'took':>6}"]
    for night in nights:
        bar = _bar(night, longest)
        took = f"{night.took_s:.0f} s"
        rows.append(f"{night.began:%Y-%m-%d %H:%M}  {bar:<{WIDTH}}  {took:>6}  {night.verdict}")
    return "\n".join(("```text", *rows, "```"))


def _bar(night: Night, longest_s: float) -> str:
    cells, began_s = "", 0.0
    for stage in night.stages:
        began_s += stage.took_s
        cells += SIGNS[stage.name] * (round(began_s / longest_s * WIDTH) - len(cells))
    return cells


def _cost(cost: Cost, night: Night, stood_s: float) -> str:
    if night.outcome("clear away") != "done":
        return "Nothing was built; what stood before is not counted."
    usd = cost.usd_per_hour * Decimal(stood_s) / 3600
    so = "" if night.outcome("destroy") == "done" else " so far"
    more = "" if cost.complete else ", and what has no known price"
    return (
        f"{usd:.{2 if usd >= 1 else 4}f} USD at most{so}{more}: {stood_s / 60:.0f} minutes from the "
        f"beginning of its making, at {cost.usd_per_hour:.2f} USD an hour by Azure's list prices of "
        f"{cost.date}, without traffic."
    )
