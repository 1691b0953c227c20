import pytest

from roachmesh.errors import AzureBusy, AzureRefused, NotReadyYet
from tasks.wait import wait_until


def test_the_first_answer_ends_the_wait() -> None:
    answers = iter([None, None, "there"])

    assert wait_until(lambda: next(answers), what="it", timeout_s=5, every_s=0) == "there"


def test_no_is_no_answer_yet() -> None:
    answers = iter([False, False, True])

    assert wait_until(lambda: next(answers), what="it", timeout_s=5, every_s=0) is True


def test_the_last_reason_is_told_when_the_time_is_over() -> None:
    def check() -> None:
        raise AzureBusy("still throttled")

    with pytest.raises(
        NotReadyYet, match=r"SSH on n1: not within 0 s \(last: still throttled\)\. Look there\."
    ):
        wait_until(check, what="SSH on n1", timeout_s=0, every_s=0, advice="Look there.")


def test_what_time_cannot_heal_ends_the_wait_at_once() -> None:
    def check() -> None:
        raise AzureRefused("no")

    with pytest.raises(AzureRefused):
        wait_until(check, what="it", timeout_s=60)
