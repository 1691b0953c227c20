"""What is said of poolers that were used from every region."""

from typing import Any

from roachmesh.pooler_test import Use, as_markdown, faults


def use(source: str, target: str, **changed: Any) -> Use:
    well = {"problem": None, "seen": ("eastus", "westus"), "retries": 1}
    times = {"connect_ms": 12.0, "write_ms": 90.04, "read_ms": 1.0}
    return Use(source=source, target=target, **{**well, **times, **changed})


def all_well(**changed: Any) -> list[Use]:
    pairs = [("eastus", "westus"), ("westus", "eastus"), ("westus", "westus")]
    return [use("eastus", "eastus", **changed), *(use(*pair) for pair in pairs)]


def test_poolers_that_serve_everybody_have_no_faults() -> None:
    assert faults(all_well()) == []


def test_a_pooler_that_refuses_is_named_with_what_it_said_and_has_no_times() -> None:
    gone = {"problem": "connection refused", "seen": (), "retries": None}
    uses = all_well(**gone, connect_ms=None, write_ms=None, read_ms=None)

    assert faults(uses) == ["eastus -> pooler of eastus: connection refused"]
    assert as_markdown(uses).startswith("- eastus -> pooler of eastus: connection refused\n\n")
    assert "| eastus | 🟥 | 🟩 90.0 |" in as_markdown(uses)


def test_rows_that_another_region_wrote_and_a_pooler_does_not_show_are_missed() -> None:
    assert faults(all_well(seen=("eastus",))) == ["eastus -> pooler of eastus: no rows from westus"]


def test_a_transaction_that_had_to_lose_and_did_not_is_a_fault() -> None:
    assert faults(all_well(retries=0)) == [
        "eastus -> pooler of eastus: a transaction that had to be repeated was not refused"
    ]
