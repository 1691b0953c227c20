from ipaddress import IPv4Address
from itertools import permutations

import pytest

from roachmesh.reachability import Endpoint, Observation, as_markdown, describe, describe_packets, unreachable

POD = "cluster.local"


def pod(region: str, number: int) -> Endpoint:
    host = f"crdb-{region}-{number}.network-test.crdb-{region}.svc.{POD}"
    address = IPv4Address(f"10.1{len(region)}.{number}.7")
    return Endpoint(
        name=f"pod on crdb-{region}-{number}", region=region, address=address, host=host, answers=True
    )


def machine(number: int) -> Endpoint:
    address = IPv4Address(f"10.3.1.{3 + number}")
    return Endpoint(
        name=f"crdb-northeurope-{number}", region="northeurope", address=address, host=None, answers=False
    )


ENDPOINTS = [
    *(pod(region, number) for region in ("eastus", "westus") for number in (1, 2, 3)),
    *(machine(number) for number in (1, 2, 3)),
]
LOST = {"port 26257": "no answer in 5 s", "port 8080": "no answer in 5 s"}


def seen(
    source: Endpoint,
    target: Endpoint,
    problems: dict[str, str] | None = None,
    packet_bytes: int | None = 1500,
) -> Observation:
    return Observation(
        source=source,
        target=target,
        problems=problems or {},
        round_trip_ms=None if problems else 1.5,
        packet_bytes=None if problems else packet_bytes,
    )


def everything(problems: dict[tuple[str, str], dict[str, str]]) -> list[Observation]:
    """Every ordered pair; the problems of some by the beginnings of their names."""
    return [
        seen(
            a,
            b,
            next(
                (p for (s, t), p in problems.items() if a.name.startswith(s) and b.name.startswith(t)), None
            ),
        )
        for a, b in permutations(ENDPOINTS, 2)
    ]


def test_pairs_that_work_are_no_trouble() -> None:
    assert unreachable(everything({})) == []
    assert describe(everything({})) == []


def test_a_pair_that_fails_is_named_with_what_fails_and_what_was_said() -> None:
    refused = everything(
        {("pod on crdb-westus-2", "crdb-northeurope-1"): {"port 8080": "Connection refused"}}
    )

    assert len(unreachable(refused)) == 1
    assert describe(refused) == ["pod on crdb-westus-2 -> crdb-northeurope-1: port 8080: Connection refused"]


def test_two_regions_of_which_no_pair_can_talk_are_named_once() -> None:
    cut = {("pod on crdb-eastus", "pod on crdb-westus"): {**LOST, "name": "Try again"}}

    assert describe(everything(cut)) == [
        "eastus -> westus: all 9 pairs, ports 8080 and 26257: no answer in 5 s; name: Try again"
    ]


def test_an_end_that_nobody_reaches_and_that_reaches_nobody_is_named_once_for_each() -> None:
    one = "pod on crdb-eastus-2"

    assert describe(everything({(one, ""): LOST, ("", one): LOST})) == [
        f"all 8 others -> {one}, ports 8080 and 26257: no answer in 5 s",
        f"{one} -> all 8 others, ports 8080 and 26257: no answer in 5 s",
    ]


def test_a_lost_route_names_the_pairs_of_its_region_and_node_and_no_others() -> None:
    lost = {("pod on crdb-westus", "pod on crdb-eastus-2"): LOST}

    assert describe(everything(lost)) == [
        "westus -> pod on crdb-eastus-2: all 3 pairs, ports 8080 and 26257: no answer in 5 s"
    ]


def test_a_machine_that_resolves_no_names_is_named_with_the_regions_that_it_does_not_find() -> None:
    lost = {("crdb-northeurope-1", "pod on"): {"name": "Name or service not known"}}

    assert describe(everything(lost)) == [
        f"crdb-northeurope-1 -> {region}: all 3 pairs, name: Name or service not known"
        for region in ("eastus", "westus")
    ]


def test_addresses_that_are_translated_are_named_by_an_example() -> None:
    east, west = ENDPOINTS[:3], ENDPOINTS[3:6]
    translated = [
        seen(a, b, {"source address": f"arrives from 10.1.1.4 instead of {a.address}"})
        for a in east
        for b in west
    ]

    assert describe([*translated, seen(west[0], east[0])]) == [
        "eastus -> westus: all 9 pairs, source address: "
        "for instance arrives from 10.1.1.4 instead of 10.16.1.7"
    ]


def test_the_matrix_shows_times_and_problems_by_the_names_of_pods_and_machines() -> None:
    text = as_markdown(everything({("pod on crdb-eastus-1", "crdb-northeurope-1"): LOST}))

    first, _, *rows = text.splitlines()
    assert first == "| from, to: ms | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 |"
    assert rows[0] == f"| 1 pod on crdb-eastus-1 |  {'| 🟩 1.50 ' * 5}| 🟥 26257, 8080 | 🟩 1.50 | 🟩 1.50 |"
    assert rows[8].startswith("| 9 crdb-northeurope-3 | 🟩 1.50 ")
    assert "- pod on crdb-eastus-1 -> crdb-northeurope-1: ports 8080 and 26257: no answer in 5 s" in text


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ([None, None], ""),
        ([1500, None], "Packets of 1500 bytes pass unfragmented."),
        ([1500, 1450], "Packets of 1450 to 1500 bytes pass unfragmented."),
        (
            [1500, 1350],
            "Packets of 1350 to 1500 bytes pass unfragmented. Fewer than 1400 cost speed; something on "
            "the way wraps packets:\n- crdb-northeurope-2 -> crdb-northeurope-1: 1350",
        ),
    ],
)
def test_small_packets_are_a_warning_and_no_failure(sizes: list[int | None], said: str) -> None:
    one, other = machine(1), machine(2)
    both = [seen(one, other, packet_bytes=sizes[0]), seen(other, one, packet_bytes=sizes[1])]

    assert describe_packets(both) == said
    assert unreachable(both) == []


def test_a_node_alone_has_no_matrix() -> None:
    assert as_markdown([]) == "There is one node, and no other to reach."
