"""How tasks run: finished ones are remembered by a resumed deployment, gates are judged anew."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from prefect import Task, task
from prefect.cache_policies import NO_CACHE, CachePolicy
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import TaskRunContext
from prefect.utilities.hashing import hash_objects

from blocks.logger import named
from roachmesh.errors import NotReadyYet, Transient
from tasks.deployment import Deployment
from tasks.results import EncryptedSerializer

P = ParamSpec("P")
R = TypeVar("R")

RETRY_DELAYS_S: list[float] = [2, 5, 15, 30]
JITTER = 0.5


@dataclass
class OncePerDeployment(CachePolicy):
    """A task with the same inputs runs once in a deployment, however often that is resumed.

    The key is the deployment's, which every task gets in its first argument, not the flow run's: a
    resumed subflow has a new run id. Source code is no part of it, so that mending a task does
    not repeat the finished ones.
    """

    def compute_key(
        self,
        task_ctx: TaskRunContext,
        inputs: dict[str, Any],
        flow_parameters: dict[str, Any],
        **kwargs: Any,
    ) -> str | None:
        """Name the result by deployment, task and what the task was given."""
        digest = hash_objects(inputs, raise_on_failure=True)
        deployment: Deployment = inputs["deployment"]
        return f"{deployment.plan.topology}.{deployment.key}-{task_ctx.task.name}-{digest}"


def once(run_name: str) -> Callable[[Callable[P, R]], Task[P, R]]:
    """Make a task that can be repeated and whose result a resumed deployment keeps.

    Args:
        run_name: Names the instance on the run page; `{region.name}` and the like are filled in.
    """
    return task(
        task_run_name=named(run_name),
        cache_policy=OncePerDeployment(),
        persist_result=True,
        # Prefect's cache of a thousand results breaks when threads fill it up at once (seen with 3.8.8 at
        # 50 regions), and nobody asks for a result twice.
        cache_result_in_memory=False,
        result_serializer=EncryptedSerializer(),
        retries=len(RETRY_DELAYS_S),
        retry_delay_seconds=RETRY_DELAYS_S,
        retry_jitter_factor=JITTER,
        retry_condition_fn=time_can_heal,
    )


def always(run_name: str) -> Callable[[Callable[P, R]], Task[P, R]]:
    """Make a task that every run does anew: it reads, judges, or touches what a result would outlive."""
    return task(
        task_run_name=named(run_name),
        cache_policy=NO_CACHE,
        persist_result=False,
        retries=len(RETRY_DELAYS_S),
        retry_delay_seconds=RETRY_DELAYS_S,
        retry_jitter_factor=JITTER,
        retry_condition_fn=time_can_heal,
    )


def time_can_heal(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    """Tell whether a failed task is worth repeating: after a `Transient` error, but not after a long wait."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, Transient) and not isinstance(error, NotReadyYet)
