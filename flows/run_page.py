"""What a run shows of itself on its page while it goes, and where its time went when it has ended."""

import threading
import time
from contextlib import AbstractContextManager
from contextvars import copy_context
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, ArtifactFilterKey
from prefect.client.schemas.objects import State, StateType
from prefect.runtime import flow_run
from prefect.states import Completed, Crashed

from blocks.logger import logger
from flows.progress import Step, look
from roachmesh.plan import Plan
from roachmesh.render import timeline
from roachmesh.render.timeline import Span, common_name
from tasks.runs import close_children

EVERY_S = 2.0
# Prefect records tasks in the background, a moment after they end.
LAST_EVERY_S = 0.25
LAST_LOOKS_S = 2.0
PATIENCE_S = 5.0
UNRECORDED_SUCCESS: State[Any] = Completed(message="Prefect has no record of its end; its run was complete.")
UNRECORDED_END: State[Any] = Crashed(message="Prefect has no record of its end.")
OUTCOMES: dict[StateType, timeline.Outcome] = {
    StateType.COMPLETED: "done",
    StateType.FAILED: "failed",
    StateType.CRASHED: "failed",
}


class RunPage(AbstractContextManager["RunPage"]):
    """Keeps a run's page up to date: `progress` while the body runs, `timeline` however it ends.

    It reads what Prefect itself records of the run's tasks. A thread of its own does all of it: no task
    waits for it, and if Prefect does not answer, the log says so and the run goes on.

    Args:
        plan: What the run works on.
        tasks: How many tasks that takes; a test holds what flows say equal to what runs.
    """

    def __init__(self, plan: Plan, tasks: int) -> None:
        self._topology = plan.topology
        self._tasks = tasks
        self._run_id = UUID(str(flow_run.id))
        self._began = datetime.now(UTC)
        self._ended: dict[UUID, Step] = {}
        self._under_way: tuple[Step, ...] = ()
        self._stage = "beginning"
        self._left = threading.Event()
        self._raised: type[BaseException] | None = None
        # Prefect's settings and the run's log are in the context, which a thread does not inherit.
        self._thread = threading.Thread(target=copy_context().run, args=(self._keep,), daemon=True)

    def __enter__(self) -> "RunPage":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.finish(kind)

    def finish(self, raised: type[BaseException] | None = KeyboardInterrupt) -> None:
        """Show how the run ended; by default that it was ended from outside."""
        self._raised = raised
        self._left.set()
        self._thread.join()

    def _keep(self) -> None:
        try:
            with get_client(sync_client=True) as client:
                progress = _Progress(client, self._run_id)
                while not self._left.wait(EVERY_S):
                    self._look(client)
                    progress.show(min(self._percent, 99), self._description)
                over = datetime.now(UTC)
                self._look_until_all_is_seen(client)
                if self._raised is None:
                    progress.show(100, f"all {self._tasks} tasks done")
                else:
                    progress.show(min(self._percent, 99), self._farewell)
                self._draw_timeline(client, over)
        except httpx.HTTPError as exc:
            logger().warning("this page is not complete, Prefect did not answer: %s", exc)

    def _look(self, client: SyncPrefectClient, *, everything: bool = False) -> None:
        """See what is new; tasks of the run's earlier attempts, under the same id, are none of it."""
        news = look(client, self._run_id, set(self._ended), everything=everything)
        self._ended |= {step.id: step for step in news.ended}
        self._under_way = tuple(step for step in news.under_way if self._is_of_now(step))
        ended = tuple(step for step in news.ended if self._is_of_now(step))
        begun = self._without_wrappers(self._under_way) or self._without_wrappers(ended)
        if begun:
            last = max(begun, key=lambda step: step.started or self._began)
            same = [step.name for step in begun if step.kind == last.kind]
            self._stage = "regions" if last.in_subflow else common_name(same)

    def _look_until_all_is_seen(self, client: SyncPrefectClient) -> None:
        """Look until every task is there; how many there are of an unfinished run, only time tells.

        What a server that was killed had not yet recorded never comes: that is closed here.
        """
        began = time.monotonic()
        self._look(client)
        while self._is_more_to_come(time.monotonic() - began):
            threading.Event().wait(LAST_EVERY_S)
            self._look(client, everything=True)
        if self._under_way:
            close_children(client, [self._run_id], UNRECORDED_END if self._raised else UNRECORDED_SUCCESS)
            self._look(client, everything=True)

    def _is_more_to_come(self, waited_s: float) -> bool:
        if waited_s > PATIENCE_S:
            return False
        if self._raised:
            return bool(self._under_way) or waited_s < LAST_LOOKS_S
        return self._count < self._tasks

    @property
    def _count(self) -> int:
        return sum(self._is_of_now(step) and step.state != StateType.CRASHED for step in self._ended.values())

    @property
    def _percent(self) -> float:
        return 100 * self._count / self._tasks

    @property
    def _description(self) -> str:
        return f"{self._stage}: {self._count} of {self._tasks} tasks"

    @property
    def _farewell(self) -> str:
        """Say where an unfinished run stopped."""
        steps = self._without_wrappers(tuple(filter(self._is_of_now, self._ended.values())))
        failed = [step.name for step in steps if OUTCOMES.get(step.state) == "failed"]
        why = f"failed: {failed[0]}" if failed else f"ended unfinished, {self._stage}"
        return f"{why}: {self._count} of {self._tasks} tasks"

    def _is_of_now(self, step: Step) -> bool:
        return step.started is not None and step.started >= self._began

    def _without_wrappers(self, steps: tuple[Step, ...]) -> list[Step]:
        """Leave out the tasks that only start a subflow."""
        subflows = {step.flow_run for step in (*self._ended.values(), *steps) if step.in_subflow}
        return [step for step in steps if step.in_subflow or step.name not in subflows]

    def _draw_timeline(self, client: SyncPrefectClient, over: datetime) -> None:
        steps = tuple(step for step in (*self._ended.values(), *self._under_way) if self._is_of_now(step))
        if not steps:
            return
        unseen = 0 if self._raised else max(self._tasks - self._count, 0)
        spans = [as_span(step, over) for step in self._without_wrappers(steps)]
        client.create_artifact(
            ArtifactCreate(
                key="timeline",
                type="markdown",
                description=f"Where the time of {self._topology} went",
                data=timeline.markdown(spans, self._began, over, unseen=unseen),
                flow_run_id=self._run_id,
            )
        )


class _Progress:
    """The run's artifact `progress`, one and the same also when the run is tried again."""

    def __init__(self, client: SyncPrefectClient, run_id: UUID) -> None:
        self._client = client
        self._shown: tuple[float, str] = (0.0, "beginning")
        of_run = ArtifactFilter(
            flow_run_id=ArtifactFilterFlowRunId(any_=[run_id]), key=ArtifactFilterKey(any_=["progress"])
        )
        found = client.read_artifacts(artifact_filter=of_run)
        percent, description = self._shown
        made = found or [
            client.create_artifact(
                ArtifactCreate(
                    key="progress", type="progress", description=description, data=percent, flow_run_id=run_id
                )
            )
        ]
        self._id = made[0].id

    def show(self, percent: float, description: str) -> None:
        """Show how far the run is, if that is new."""
        if (percent, description) != self._shown:
            self._client.update_artifact(self._id, ArtifactUpdate(data=percent, description=description))
            self._shown = (percent, description)


def as_span(step: Step, over: datetime) -> Span:
    """Say what the timeline shows of a task; what has no end yet was cut off by the run's end."""
    outcome = OUTCOMES.get(step.state, "unfinished")
    return Span(
        id=step.id,
        name=step.name,
        kind=step.kind,
        run=step.flow_run,
        in_subflow=step.in_subflow,
        began=step.started or over,
        ended=step.finished or over,
        inputs=step.inputs,
        outcome="reused" if step.state_name == "Cached" else outcome,
        attempts=step.attempt,
    )
