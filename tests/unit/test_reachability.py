from roachmesh import topology
from roachmesh.plan import make_plan
from roachmesh.reachability import Observation, as_markdown, unreachable

ONE, OTHER = make_plan(topology.DEFAULT).nodes[:2]


def observation(*, error: str | None = None, seen_as: str | None = None) -> Observation:
    return Observation(source=ONE, target=OTHER, port=26257, error=error, round_trip_ms=1.5, seen_as=seen_as)


def test_a_connection_that_arrives_from_its_own_address_is_well() -> None:
    assert unreachable([observation(seen_as="10.1.1.4"), observation()]) == []


def test_a_connection_that_fails_is_named_by_its_pair() -> None:
    failed = observation(error="no answer in 5 s")

    assert str(failed) == "crdb-eastus-1 -> crdb-eastus-2:26257 no answer in 5 s"
    assert unreachable([failed]) == [failed]


def test_an_address_that_was_translated_on_the_way_is_a_problem() -> None:
    assert observation(seen_as="198.18.0.40").problem == "arrives from 198.18.0.40 instead of 10.1.1.4"


def test_the_matrix_shows_times_and_problems() -> None:
    drawn = as_markdown([observation(), observation(error="refused")])

    assert "**26257: refused**" in drawn
    assert "1.50" in as_markdown([observation()])
