"""A run's timeline: its stages, its critical path, and what stays readable at fifty regions."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from roachmesh.render.timeline import BUSY, CRITICAL, IDLE, WIDTH, Span, common_name, critical_path, markdown

START = datetime(2026, 11, 22, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def span(
    name: str, began: float, ended: float, *, region: str = "", after: Sequence[Span] = (), **more: Any
) -> Span:
    return Span(
        id=uuid4(),
        name=name,
        kind=name.split()[0],
        run=f"region {region}" if region else "deploy",
        in_subflow=bool(region),
        began=at(began),
        ended=at(ended),
        inputs=frozenset(one.id for one in after),
        **more,
    )


# The plan, then two regions side by side, then the peering, for which both are waited for.
PLAN = span("plan", 0, 1)
NSG = span("NSG eastus", 1.1, 2, region="eastus", after=[PLAN])
RUN = [
    PLAN,
    NSG,
    span("NSG westus", 1.1, 2.05, region="westus", after=[PLAN]),
    span("disk crdb-eastus-1", 1.1, 2.08, region="eastus", after=[PLAN]),
    span("VM crdb-eastus-1", 2.1, 8, region="eastus", after=[PLAN, NSG]),
    span("VM crdb-westus-1", 2.1, 5, region="westus"),
    span("peering eastus <-> westus", 9, 10, after=[PLAN]),
]


def rows(text: str) -> dict[str, tuple[str, str, str]]:
    """The chart's lines by the stage's first word: the bar, the figures, the stage with its remarks."""
    chart = text.partition("```text\n")[2].partition("\n```")[0].splitlines()[1:]
    cut = [(line[:WIDTH], " ".join(line[WIDTH : WIDTH + 21].split()), line[WIDTH + 23 :]) for line in chart]
    return {row[2].split()[0].rstrip(","): row for row in cut}


def test_the_critical_path_goes_through_what_was_waited_for_and_not_through_what_ended_meanwhile() -> None:
    path = [one.name for one in critical_path(RUN)]

    assert path == ["plan", "NSG eastus", "VM crdb-eastus-1", "peering eastus <-> westus"]


def test_nothing_ran_nothing_is_critical() -> None:
    assert critical_path([]) == []


def test_a_stage_says_when_it_began_what_it_took_and_its_share() -> None:
    shown = rows(markdown(RUN, at(0), at(10)))

    assert shown["VM"][1:] == ("2.1 s 5.9 s 59%", "VM x 2")
    assert shown["NSG"][1:] == ("1.1 s 0.9 s 9%", "NSG x 2")
    assert shown["disk"][1:] == ("1.1 s 1.0 s", "disk crdb-eastus-1")
    assert shown["between"][1:] == ("1.2 s 12%", "between tasks")


def test_a_bar_shows_what_is_critical_and_what_only_ran() -> None:
    run = [span("VM a", 0, 5, region="a"), span("VM b", 0, 10, region="b"), span("short", 10, 10.01)]
    shown = rows(markdown([*run, span("SSH a", 5, 7.5, region="a")], at(0), at(15)))

    assert shown["VM"][0] == CRITICAL * 20 + IDLE * 10
    assert shown["SSH"][0] == IDLE * 10 + BUSY * 5 + IDLE * 15
    assert shown["short"][0] == IDLE * 20 + CRITICAL + IDLE * 9


def test_what_went_another_way_is_said() -> None:
    run = [
        span("VM a", 0, 5, outcome="failed"),
        span("VM b", 0, 5, outcome="reused"),
        span("VM c", 0, 5, outcome="unfinished"),
        span("VM d", 0, 5, attempts=3),
        span("VM e", 0, 5),
    ]
    shown = rows(markdown(run, at(0), at(5)))

    assert shown["VM"][2] == "VM x 5, 1 failed, 1 cut off, 1 from earlier results, 1 tried again"


def test_fifty_regions_are_as_readable_as_two() -> None:
    def run(regions: int) -> list[Span]:
        inside = [
            span(f"{kind} crdb-{region}-{node}", i * 10, i * 10 + 9, region=str(region))
            for region in range(regions)
            for node in range(3)
            for i, kind in enumerate(("VM", "SSH", "store", "install"))
        ]
        return [*inside, span("init", 60, 61)]

    few, many = (markdown(run(regions), at(0), at(61)) for regions in (2, 50))

    assert len(many.splitlines()) == len(few.splitlines())
    assert len(many) < 2000


def test_no_bar_leaves_its_axis_although_a_clock_does() -> None:
    shown = rows(markdown([span("early", -3, 1), span("late", 9, 99)], at(0), at(10)))

    assert shown["early"][0] == CRITICAL * 3 + IDLE * 27
    assert shown["late"][0] == IDLE * 27 + CRITICAL * 3


def test_tasks_of_one_kind_are_called_by_what_their_names_share() -> None:
    assert common_name(["public IP crdb-a-1", "public IP crdb-b-1"]) == "public IP"
    assert common_name(["peering a <-> b", "peering a <-> c", "peering b <-> c"]) == "peering"
    assert common_name(["cockroach init"]) == "cockroach init"


def test_tasks_that_are_not_recorded_yet_are_owned_up_to() -> None:
    assert "3 tasks more ended" in markdown(RUN, at(0), at(10), unseen=3)
    assert "more ended" not in markdown(RUN, at(0), at(10))
