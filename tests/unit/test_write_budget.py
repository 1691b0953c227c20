import pytest

from blocks import write_budget
from blocks.write_budget import TokenBucket


def test_a_burst_passes_at_once_and_the_rest_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_budget.time, "monotonic", lambda: 100.0)
    bucket = TokenBucket(per_second=8, burst=2)

    assert [bucket.take() for _ in range(4)] == [0, 0, 1 / 8, 2 / 8]


def test_tokens_come_back_with_time_but_never_more_than_the_burst(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(write_budget.time, "monotonic", lambda: now)
    bucket = TokenBucket(per_second=8, burst=2)
    for _ in range(2):
        bucket.take()

    now = 1000.0

    assert [bucket.take() for _ in range(3)] == [0, 0, 1 / 8]
