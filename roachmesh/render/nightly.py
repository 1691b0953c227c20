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
    """A night, its stages in the order in which they ran; none follows one that failed but destroy."""

    began: datetime
    stages: tuple[Stage, ...]

    @property
    def took_s(self) -> float:
        """Seconds of all stages."""
        return sum(stage.took_s for stage in self.stages)

    @property
    def verdict(self) -> str:
        """Say how it went."""
        amiss = [f"{stage.outcome}: {stage.name}" for stage in self.stages if stage.outcome != "done"]
        return ", ".join(amiss) or "well"


def markdown(
    plan: Plan, tonight: Night, earlier: Sequence[Night], cost: Cost, stood_s: float, kept_until: str | None
) -> str:
    """Write a night's report.

    Args:
        plan: What was built.
        tonight: Its stages, all of them.
        earlier: The nights before, the latest first.
        cost: The plan's.
        stood_s: For how long it was there, from the beginning of its making.
        kept_until: When the wreck may be swept, if it was kept.
    """
    return "\n\n".join(
        (
            f"# {plan.topology}: {tonight.began:%Y-%m-%d %H:%M} UTC, {tonight.verdict}",
            *_failures(tonight),
            *_kept(plan, kept_until),
            f"Built: CockroachDB {plan.cockroachdb.version} on {len(plan.nodes)} nodes: {_regions(plan)}.",
            "## Stages",
            _stages(tonight, earlier),
            "## Trend",
            _trend([tonight, *earlier]),
            "## Cost",
            _cost(cost, stood_s, so_far=kept_until is not None),
        )
    )


def _failures(night: Night) -> list[str]:
    return [
        f"**{stage.name} failed**{f' ([its run]({stage.page}))' if stage.page else ''}:\n\n"
        f"```text\n{stage.why}\n```"
        for stage in night.stages
        if stage.outcome == "failed"
    ]


def _kept(plan: Plan, until: str | None) -> list[str]:
    if until is None:
        return []
    return [
        f"What stands of it was kept, in {plan.resource_group}: the next night clears it away, and `sweep` "
        f"from {until} on."
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


def _cost(cost: Cost, stood_s: float, *, so_far: bool) -> str:
    usd = cost.usd_per_hour * Decimal(stood_s) / 3600
    so = " so far" if so_far else ""
    more = "" if cost.complete else ", and what has no known price"
    return (
        f"{usd:.{2 if usd >= 1 else 4}f} USD at most{so}{more}: {stood_s / 60:.0f} minutes from the "
        f"beginning of its making, at {cost.usd_per_hour:.2f} USD an hour by Azure's list prices of "
        f"{cost.date}, without traffic."
    )
