"""Work side by side, and where it comes together again."""

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from prefect import Task
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture
from prefect.utilities.annotations import quote

from roachmesh.errors import RoachmeshError
from roachmesh.topology import Model
from tasks.deployment import Deployment

R = TypeVar("R")


class Parallel:
    """Tasks that run side by side."""

    def __init__(self) -> None:
        self._futures: list[PrefectFuture[Any]] = []

    def start(
        self, task: Task[..., R], *inputs: Any, after: Sequence[PrefectFuture[Any]] = (), **more: Any
    ) -> PrefectFuture[R]:
        """Start a task as soon as all of `after`, and the futures among its inputs, are there.

        Prefer `after`: for every future among the inputs, Prefect asks its server once more. Models are
        quoted, or Prefect would search every plan for futures, and draw arrows from the tasks that had a part
        in making it.
        """
        given = [quote(one) if isinstance(one, Model) else one for one in inputs]
        future = task.submit(*given, return_state=False, wait_for=list(after), **more)
        self._futures.append(future)
        return future

    def join(self) -> list[Any]:
        """Wait for all, and only then raise what failed first: no sibling is left running.

        Gives the results in the order of the starts. What else failed is said by the error that is raised.
        Errors of ours come before others, since they tell what to do. A task whose input failed never ran:
        its cause is raised, not that it could not run.
        """
        for future in self._futures:
            future.wait()
        failed = [one.result(raise_on_failure=False) for one in self._futures if _has_failed(one.state)]
        failed.sort(key=lambda error: not isinstance(error, RoachmeshError))
        if failed and isinstance(failed[0], RoachmeshError):
            failed[0].also += tuple(dict.fromkeys(str(error) for error in failed[1:]))
        if failed and isinstance(failed[0], BaseException):
            raise failed[0]
        return [future.result() for future in self._futures]


def _has_failed(state: State[Any]) -> bool:
    return state.is_failed() or state.is_crashed() or state.is_cancelled()


def for_each(items: Iterable[Any], task: Task[..., R], deployment: Deployment, *inputs: Any) -> list[R]:
    """Run a task for every item at once; gives the results in the items' order."""
    work = Parallel()
    for item in items:
        work.start(task, deployment, item, *inputs)
    return work.join()
