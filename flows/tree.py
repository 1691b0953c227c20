"""A run drawn as a tree of its stages: what goes well is folded, what runs or failed is named."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal
from uuid import UUID

from prefect.client.schemas.objects import StateType

from flows.progress import News, Step
from roachmesh.render.timeline import common_name

Mark = Literal["done", "runs", "waits", "failed"]
BAD = (StateType.FAILED, StateType.CRASHED)
MARKS: dict[StateType, Mark] = {
    StateType.COMPLETED: "done",
    StateType.RUNNING: "runs",
    **dict.fromkeys(BAD, "failed"),
}


@dataclass(frozen=True)
class Line:
    """One line: how deep it stands, how its thing is, what it says, and for how long that took or takes."""

    depth: int
    mark: Mark
    text: str
    note: str = ""
    took_s: float | None = None


@dataclass
class Stage:
    """A subflow, or tasks of one kind in the root flow; `whole` is the task that stands for the subflow."""

    steps: list[Step] = field(default_factory=list)
    whole: Step | None = None

    @property
    def all(self) -> list[Step]:
        """Every task that says something of how it is."""
        return [*self.steps, self.whole] if self.whole else self.steps

    @property
    def failed(self) -> list[Step]:
        """The tasks that failed; the subflow's own only when none of its tasks did."""
        whole = [self.whole] if self.whole else []
        return [one for one in self.steps if one.state in BAD] or [one for one in whole if one.state in BAD]

    @property
    def mark(self) -> Mark:
        """How it is as a whole; what a lost worker left is no failure of a region that is done."""
        marks = {MARKS.get(step.state, "waits") for step in self.all}
        if self.whole and self.whole.state == StateType.COMPLETED and "runs" not in marks:
            return "done"
        order: tuple[Mark, ...] = ("runs", "failed", "waits", "done")
        return next(mark for mark in order if mark in marks)

    @property
    def title(self) -> str:
        """What its tasks have in common in their names."""
        if self.whole:
            return self.whole.name
        return common_name([step.name for step in self.steps])

    def took_s(self, now: datetime) -> float:
        """Seconds from the first start to the last end; to now while something runs."""
        begun = [step.started for step in self.all if step.started]
        if not begun:
            return 0.0
        last = max(step.finished or now for step in self.all)
        return (last - min(begun)).total_seconds()


class Tree:
    """Everything known of a run, and how it is drawn."""

    def __init__(self) -> None:
        self._steps: dict[UUID, Step] = {}
        self._reasons: dict[UUID, str] = {}

    def learn(self, news: News) -> None:
        """Take in what was seen."""
        self._steps |= {step.id: step for step in (*news.under_way, *news.ended)}

    def blame(self, task_run_id: UUID, reason: str) -> None:
        """Remember why a task has to be tried again."""
        self._reasons[task_run_id] = reason

    def lines(self, now: datetime | None = None, height: int | None = None) -> list[Line]:
        """Draw it, in no more lines than `height`: first the names go that can be spared."""
        moment = now or datetime.now(UTC)
        stages = self._stages()
        if height is None:
            return self._draw(stages, moment, names=len(self._steps))
        lines: list[Line] = []
        for names in (8, 4, 2, 1, 0):
            lines = self._draw(stages, moment, names=names)
            if len(lines) <= height:
                return lines
        interesting = sorted((one for one in stages if one.mark != "done"), key=lambda one: not one.failed)
        lines = [*_fold(stages, moment), *self._draw(interesting, moment, names=0)]
        if len(lines) > height:
            lines = [*lines[: height - 1], Line(0, "waits", f"and {len(lines) - height + 1} more lines")]
        return lines

    def _stages(self) -> list[Stage]:
        """Sort tasks into stages, in the order in which those began."""
        subflows = {step.flow_run for step in self._steps.values() if step.in_subflow}
        stages: dict[str, Stage] = {}
        late = datetime.max.replace(tzinfo=UTC)
        for step in sorted(self._steps.values(), key=lambda step: step.started or late):
            stands_for_subflow = not step.in_subflow and step.name in subflows
            key = step.name if stands_for_subflow else step.flow_run if step.in_subflow else step.kind
            stage = stages.setdefault(key, Stage())
            if stands_for_subflow:
                stage.whole = step
            else:
                stage.steps.append(step)
        return list(stages.values())

    def _draw(self, stages: Sequence[Stage], now: datetime, *, names: int) -> list[Line]:
        return [line for stage in stages for line in self._draw_stage(stage, now, names)]

    def _draw_stage(self, stage: Stage, now: datetime, names: int) -> Iterable[Line]:
        under_way = sorted(
            (step for step in stage.steps if step.state == StateType.RUNNING or self._is_retried(step)),
            key=_age,
        )
        alone = len(stage.steps) == 1 and not stage.whole
        note = self._note(stage.steps[0]) if alone else _count(stage.steps)
        yield Line(0, stage.mark, stage.title, note, stage.took_s(now))
        if alone or stage.mark == "done":
            return
        for step in stage.failed:
            yield Line(1, "failed", step.name, self._note(step), step.took_s)
        for step in under_way[:names]:
            yield Line(
                1, MARKS.get(step.state, "waits"), step.name, self._note(step), Stage([step]).took_s(now)
            )
        if names and len(under_way) > names:
            yield Line(1, "runs", f"and {len(under_way) - names} more")

    def _is_retried(self, step: Step) -> bool:
        return not step.ended and step.attempt > 0 and step.state != StateType.RUNNING

    def _note(self, step: Step) -> str:
        if step.ended:
            return step.message or ""
        reason = self._reasons.get(step.id)
        attempt = step.attempt if step.state == StateType.RUNNING else step.attempt + 1
        return f"attempt {attempt}, since {reason}" if reason else ""


def _age(step: Step) -> float:
    return step.started.timestamp() if step.started else float("inf")


def _count(steps: Sequence[Step]) -> str:
    ended = sum(step.ended for step in steps)
    tasks = "task" if len(steps) == 1 else "tasks"
    return f"{ended} {tasks}" if ended == len(steps) else f"{ended} of {len(steps)} {tasks}"


def _fold(stages: Sequence[Stage], now: datetime) -> list[Line]:
    """Say in one line what went well."""
    done = [stage for stage in stages if stage.mark == "done"]
    if not done:
        return []
    steps = [step for stage in done for step in stage.all]
    return [Line(0, "done", f"{len(done)} stages", _count(steps), Stage(steps).took_s(now))]
