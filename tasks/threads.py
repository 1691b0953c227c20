"""The same asked of many at once."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

AT_ONCE = 16


def ask_all(question: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Call a function for every item, in threads; gives the answers in the items' order.

    Each thread has its caller's context, and with it the run's log and Prefect's settings.
    """
    with ThreadPoolExecutor(AT_ONCE) as threads:
        asked = [threads.submit(copy_context().run, question, item) for item in items]
        return [one.result() for one in asked]
