"""The benchmark's pure parts: what Azure alone would take, whose time it was, what is written down."""

import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from bench import picture, regions
from bench.az import InSequence, kind
from bench.az_commands import az_commands
from bench.azure import WRITE_S
from bench.critical_path import critical_path, mesh_rounds
from bench.layers import LAYERS, Interval, Layer, Trace, divide, shares
from bench.measurement import Measurement
from bench.report import Report
from roachmesh.inventory import INTERFACE, PEERING, UNKNOWN_OPERATORS, VIRTUAL_MACHINE, Inventory
from roachmesh.render.timeline import Span


def inventory(count: int) -> Inventory:
    return Inventory(plan=regions.plan(count), subscription_id="s", operators=UNKNOWN_OPERATORS)


def measurement(count: int = 3) -> Measurement:
    spent: dict[Layer, float] = dict.fromkeys(LAYERS, 0.0) | {"Azure": 6.0, "Prefect": 3.0, "requests": 1.0}
    return Measurement(count, 28, 43, 10.0, 7.0, 8.0, spent, (("VM crdb-eastus-1", 5.0), ("NSG eastus", 0.5)))


def test_one_region_waits_for_the_chain_from_its_security_group_to_its_machine() -> None:
    alone = critical_path(inventory(1), WRITE_S)

    assert alone.at_best_s == alone.in_our_order_s == 3 + 5 + 7 + 49


def test_what_nothing_waits_for_lengthens_no_chain() -> None:
    slower = {**WRITE_S, "Microsoft.Network/publicIPAddresses": 8.0}

    assert critical_path(inventory(1), slower) == critical_path(inventory(1), WRITE_S)


def test_many_regions_wait_for_the_mesh_since_a_network_takes_one_write_at_a_time() -> None:
    alone = critical_path(inventory(10), WRITE_S)

    assert alone.at_best_s == 3 + 5 + 9 * 2 * 10
    assert alone.in_our_order_s == 64 + 9 * 2 * 10


def test_a_mesh_that_takes_no_time_leaves_the_machines() -> None:
    at_once = {**WRITE_S, PEERING: 0.0}

    assert critical_path(inventory(10), at_once).at_best_s == 64
    assert critical_path(inventory(10), {**at_once, VIRTUAL_MACHINE: 0.0, INTERFACE: 0.0}).at_best_s == 8


@pytest.mark.parametrize(("networks", "rounds"), [(1, 0), (2, 1), (3, 3), (4, 3), (5, 5), (50, 49)])
def test_in_a_round_everybody_meets_one_other(networks: int, rounds: int) -> None:
    assert mesh_rounds(networks) == rounds


def test_of_what_overlaps_the_first_layer_has_the_time_and_all_of_it_is_somebodys() -> None:
    intervals: dict[Layer, list[Interval]] = {
        "Roachmesh": [(1.0, 9.0)],
        "SDK": [(2.0, 8.0)],
        "Azure": [(3.0, 5.0), (7.0, 12.0)],
    }

    spent = divide((0.0, 10.0), intervals)

    assert spent == {"Prefect": 1.0, "Roachmesh": 1.0, "SDK": 3.0, "Azure": 5.0}


def test_what_lies_between_the_tasks_of_the_path_is_prefects() -> None:
    first, second = span(0, 2), span(3, 6)
    trace = Trace({(first.id, "Azure"): [(0.0, 2.0)], (second.id, "Azure"): [(3.0, 6.0)]})

    spent = shares([first, second], trace, makespan_s=7.0)

    assert (spent["Azure"], spent["Prefect"], sum(spent.values())) == (5.0, 2.0, 7.0)


def test_the_table_has_a_row_for_each_run_and_marks_what_was_only_computed() -> None:
    az = {3: InSequence(51, 80.0, 40.0, was_run=True), 10: InSequence(240, 800.0, 200.0, was_run=False)}
    rows = Report([measurement(3), measurement(10)], az, 0.1).table().splitlines()

    assert len({row.count("|") for row in rows}) == 1
    assert "| 1.25 | 60.0% |" in rows[2]
    assert rows[2].endswith("| 80.0 s | 40.0 s | 10.0 |")
    assert rows[3].endswith("| ~ 800.0 s | ~ 200.0 s | ~ 100.0 |")


def test_without_az_the_document_says_so_and_has_no_such_column() -> None:
    document = Report([measurement()], {}, 0.1).document("pictures/benchmark.svg")

    assert "There was no `az`" in document
    assert "`az` in sequence |" not in document
    assert "(pictures/benchmark.svg)" in document


def test_the_longest_tasks_of_the_path_are_named() -> None:
    document = Report([measurement()], {}, 0.1).document("x.svg")

    assert document.index("- VM crdb-eastus-1: 5.0 s") < document.index("- NSG eastus: 0.5 s")


def test_the_picture_is_as_long_as_the_run_and_says_what_az_takes() -> None:
    az = {3: InSequence(51, 80.0, 40.0, was_run=True)}
    root: Any = ET.fromstring(picture.svg([measurement(3), measurement(10)], az))  # noqa: S314 -- ours
    bars = [one for one in root if one.get("height") == str(picture.BAR)]
    scale = (picture.WIDTH - picture.LEFT - picture.RIGHT) / 1.25

    assert len(bars) == 2 * len(LAYERS)
    assert [one.text for one in root if (one.text or "").startswith("1.25")] == ["1.25, az: 10", "1.25"]
    assert sum(float(one.get("width")) for one in bars) == pytest.approx(2 * 1.25 * scale, abs=1)


def test_az_makes_every_resource_of_the_plan() -> None:
    commands = list(az_commands(inventory(3)))
    made = [words[words.index("-n") + 1] for words in commands if "create" in words]

    assert {one.path[-1] for one in inventory(3).everything()} <= set(made)
    assert kind(commands[0]) == "group create"


def span(began: float, ended: float) -> Span:
    times = [datetime.fromtimestamp(seconds, UTC) for seconds in (began, ended)]
    return Span(
        id=uuid4(), name="VM", kind="vm", run="bench", in_subflow=False, began=times[0], ended=times[1]
    )
