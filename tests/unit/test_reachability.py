from roachmesh import topology
from roachmesh.plan import make_plan
from roachmesh.reachability import Observation, as_markdown, describe, unreachable

ONE, OTHER = make_plan(topology.DEFAULT).nodes[:2]


def observation(*, error: str | None = None, seen_as: str | None = None) -> Observation:
    return Observation(source=ONE, target=OTHER, port=26257, error=error, round_trip_ms=1.5, seen_as=seen_as)


def test_a_connection_that_arrives_from_its_own_address_is_well() -> None:
    assert unreachable([observation(seen_as="10.1.1.4"), observation()]) == []


def test_a_connection_that_fails_is_named_by_its_pair() -> None:
    failed = observation(error="no answer in 5 s")
    works = Observation(source=OTHER, target=ONE, port=26257, error=None, round_trip_ms=1.5, seen_as=None)

    assert unreachable([failed, works]) == [failed]
    assert describe([failed, works]) == ["crdb-eastus-1 -> crdb-eastus-2: port 26257: no answer in 5 s"]


def test_two_regions_of_which_no_pair_can_talk_are_named_once() -> None:
    east, west = (make_plan(topology.DEFAULT).regions[i].nodes for i in (0, 1))
    lost = [
        Observation(source=a, target=b, port=port, error="no answer", round_trip_ms=None, seen_as=None)
        for a in east
        for b in west
        for port in (26257, 8080)
    ]

    assert describe(lost) == ["eastus -> westus: all 9 pairs, ports 8080 and 26257: no answer"]
    assert len(describe([*lost[:-1], lost[-1].model_copy(update={"error": None})])) == 9


def test_an_address_that_was_translated_on_the_way_is_a_problem() -> None:
    assert observation(seen_as="198.18.0.40").problem == "arrives from 198.18.0.40 instead of 10.1.1.4"


def test_the_matrix_shows_times_and_problems() -> None:
    assert "🟥 26257 |" in as_markdown([observation(), observation(error="refused")])
    assert "🟩 1.50" in as_markdown([observation()])
