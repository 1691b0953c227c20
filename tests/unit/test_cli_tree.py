"""How a run is drawn at a terminal."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import StateType
from rich.console import Console

from flows import display
from flows.progress import News, Step
from flows.tree import Line, Tree

START = datetime(2026, 1, 1, tzinfo=UTC)
NOW = START + timedelta(seconds=60)


def step(name: str, state: StateType = StateType.COMPLETED, region: str = "", **fields: Any) -> Step:
    """A task that began at second 0 and took two, or still runs."""
    ended = state in (StateType.COMPLETED, StateType.FAILED, StateType.CRASHED, StateType.CANCELLED)
    known: dict[str, Any] = {
        "id": uuid4(),
        "flow_run": region or "deploy it",
        "in_subflow": bool(region),
        "name": name,
        "kind": name.split()[0],
        "state": state,
        "state_name": state.value,
        "started": START,
        "finished": START + timedelta(seconds=2) if ended else None,
        "took_s": 2.0,
        "attempt": 1,
        "message": None,
    }
    return Step(**{**known, **fields})


def drawn(*steps: Step, height: int | None = None) -> list[Line]:
    tree = Tree()
    tree.learn(News(under_way=steps, ended=()))
    return tree.lines(NOW, height)


def test_a_finished_subflow_is_one_line_with_its_count_and_time() -> None:
    assert drawn(
        step("region eastus"), step("NSG", region="region eastus"), step("VM", region="region eastus")
    ) == [Line(0, "done", "region eastus", "2 tasks", 2.0)]


def test_tasks_of_one_kind_are_one_line_named_by_what_they_have_in_common() -> None:
    lines = drawn(step("peering a <-> b"), step("peering c <-> d"), step("start a-1"), step("plan"))

    assert [(line.text, line.note) for line in lines] == [
        ("peering", "2 tasks"),
        ("start a-1", ""),
        ("plan", ""),
    ]


def test_what_runs_is_named_with_the_time_since_it_began() -> None:
    lines = drawn(
        step("region a", StateType.RUNNING),
        step("VM a-1", StateType.RUNNING, "region a"),
        step("VM a-2", StateType.PENDING, "region a", started=None, attempt=0),
        step("NSG a", region="region a"),
    )

    assert lines == [
        Line(0, "runs", "region a", "1 of 3 tasks", 60.0),
        Line(1, "runs", "VM a-1", "", 60.0),
    ]


def test_a_failed_task_is_named_with_its_message_also_in_a_stage_that_still_runs() -> None:
    failed = step("VM a-1", StateType.FAILED, "region a", message="AzureRefused: no quota")
    lines = drawn(step("region a", StateType.RUNNING), failed)

    assert Line(1, "failed", "VM a-1", "AzureRefused: no quota", 2.0) in lines
    assert lines[0].mark == "runs"


def test_a_subflow_that_failed_without_a_failed_task_says_why() -> None:
    lines = drawn(
        step("region a", StateType.CRASHED, message="out of memory"), step("NSG a", region="region a")
    )

    assert Line(1, "failed", "region a", "out of memory", 2.0) in lines


def test_a_retry_is_shown_with_its_reason_while_it_waits_and_while_it_runs() -> None:
    waiting = step("SSH a-1", StateType.SCHEDULED)
    running = step("SSH a-2", StateType.RUNNING, attempt=3)
    tree = Tree()
    tree.learn(News((waiting, running), ()))
    for one in (waiting, running):
        tree.blame(one.id, "connection refused")

    assert [line.note for line in tree.lines(NOW)[1:]] == [
        "attempt 2, since connection refused",
        "attempt 3, since connection refused",
    ]


@pytest.mark.parametrize("height", [3, 5, 10, 23, 60])
def test_it_is_never_taller_than_the_terminal_and_what_failed_stays(height: int) -> None:
    regions = [f"region r{number}" for number in range(40)]
    running = [step(name, StateType.RUNNING) for name in regions[20:]]
    steps = [step(name) for name in regions[:20]] + running
    steps += [step(f"VM {name}-{n}", StateType.RUNNING, name) for name in regions for n in range(9)]
    steps.append(step("VM lost", StateType.FAILED, regions[-1], message="gone"))

    lines = drawn(*steps, height=height)

    assert len(lines) <= height
    assert any(line.text == "VM lost" for line in lines)


def test_nothing_is_cut_from_the_last_picture() -> None:
    steps = [step(f"VM a-{number}", StateType.FAILED, "region a", message="no") for number in range(90)]

    assert len(drawn(step("region a", StateType.FAILED), *steps)) == 91


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_line_of_the_live_picture_is_one_line_on_the_terminal(width: int) -> None:
    console = Console(width=width, force_terminal=True, legacy_windows=False, file=None)
    lines = [Line(1, "failed", "VM " + "x" * 90, "why\n[bold] " + "y" * 300, 12.0), Line(0, "done", "plan")]

    with console.capture() as captured:
        console.print(display.draw(lines, width - 4))

    assert len(captured.get().splitlines()) == 2


def test_a_line_for_an_ended_task_is_one_line_whatever_it_says() -> None:
    said = str(step("VM a-1", StateType.FAILED, message="Drifted: two things\n  one\n  the other"))

    assert said.endswith(" 2.0 s  Drifted: two things one the other")
