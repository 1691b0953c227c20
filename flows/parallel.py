"""Work side by side, and where it comes together again."""

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from prefect import Task
from prefect.futures import PrefectFuture

from tasks.deployment import Deployment

R = TypeVar("R")


class Parallel:
    """Tasks that run side by side; a future given to another task makes that one wait for it."""

    def __init__(self) -> None:
        self._futures: list[PrefectFuture[Any]] = []

    def start(
        self, task: Task[..., R], *inputs: Any, after: Sequence[PrefectFuture[Any]] = (), **more: Any
    ) -> PrefectFuture[R]:
        """Start a task as soon as its inputs, and all of `after`, are there."""
        future = task.submit(*inputs, return_state=False, wait_for=list(after), **more)
        self._futures.append(future)
        return future

    def join(self) -> None:
        """Wait for all, and only then raise what failed first: no sibling is left running.

        A task whose input failed never ran; its cause is raised, not that it could not run.
        """
        for future in self._futures:
            future.wait()
        for future in self._futures:
            if future.state.is_failed() or future.state.is_crashed() or future.state.is_cancelled():
                future.result()
        for future in self._futures:
            future.result()


def for_each(items: Iterable[Any], task: Task[..., R], deployment: Deployment, *inputs: Any) -> list[R]:
    """Run a task for every item at once; gives the results in the items' order."""
    work = Parallel()
    futures = [work.start(task, deployment, item, *inputs) for item in items]
    work.join()
    return [future.result() for future in futures]
