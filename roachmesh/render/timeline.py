"""Where a run's time went: its stages as bars on one time axis, those marked that it had to wait for.

Plain text in columns: both of Prefect's UIs show it well, and so does a terminal. A Mermaid chart is drawn
by one of the three only, and a table with bars is too wide for a browser's window.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from typing import Literal
from uuid import UUID

WIDTH = 30  # characters of the longest bar
IDLE, BUSY, CRITICAL = "▁▒█"
LONG_S = 600
LONGEST = 6  # tasks of the critical path that are named

Outcome = Literal["done", "reused", "failed", "unfinished"]
REMARKS: dict[Outcome, str] = {
    "failed": "failed",
    "unfinished": "cut off",
    "reused": "from earlier results",
}


@dataclass(frozen=True)
class Span:
    """A task from its first start to its end, all attempts and the pauses between them included.

    Attributes:
        kind: What tasks of one function share.
        run: The flow run that it belongs to, by name.
        in_subflow: Whether that is a region's, not the root's.
        inputs: The ids of the tasks that it was given or told to wait for.
        outcome: `reused` when its result was taken from an earlier run; `unfinished` when it was cut off,
            and `ended` is when that was seen.
    """

    id: UUID
    name: str
    kind: str
    run: str
    in_subflow: bool
    began: datetime
    ended: datetime
    inputs: frozenset[UUID] = frozenset()
    outcome: Outcome = "done"
    attempts: int = 1

    @property
    def took_s(self) -> float:
        """Seconds between both."""
        return (self.ended - self.began).total_seconds()


def common_name(names: Sequence[str]) -> str:
    """Give what the names of tasks of one kind have in common; one alone keeps its whole name."""
    if len(names) == 1:
        return names[0]
    columns = zip(*(name.split() for name in names), strict=False)
    common = takewhile(lambda words: len(set(words)) == 1 and words[0].isalnum(), columns)
    return " ".join(words[0] for words in common) or names[0]


def critical_path(spans: Iterable[Span]) -> list[Span]:
    """Give the tasks that the run's end waited for, one after the other, the first one first.

    Goes back from the last end. In a region every task names those that it waits for, as Prefect records;
    the last of them to end was the one. Outside, the flow waits for whole groups of tasks, which Prefect
    does not record: there it is whatever had ended last when a task began.
    """
    spans = list(spans)
    path: list[Span] = []
    last = max(spans, key=lambda span: span.ended, default=None)
    while last is not None:
        path.append(last)
        last = max(_before(last, spans), key=lambda span: span.ended, default=None)
    return path[::-1]


def _before(span: Span, spans: Sequence[Span]) -> list[Span]:
    """Give what a task may have waited for; other regions never."""
    earlier = [one for one in spans if one.ended <= span.began and one is not span]
    if not span.in_subflow:
        return earlier
    given = [one for one in earlier if one.run == span.run and one.id in span.inputs]
    return given or [one for one in earlier if not one.in_subflow]


def markdown(spans: Sequence[Span], began: datetime, ended: datetime, *, unseen: int = 0) -> str:
    """Write a run's timeline, a row for each kind of task, however many regions there are.

    Args:
        spans: The tasks that were begun.
        began: When the run did, or this attempt of it.
        ended: When its last task had, whatever was written about it afterwards.
        unseen: How many tasks ended of which Prefect does not know yet.
    """
    path = critical_path(spans)
    total_s = max((ended - began).total_seconds(), 1e-9)
    stages: dict[str, list[Span]] = {}
    for span in sorted(spans, key=lambda span: span.began):
        stages.setdefault(span.kind, []).append(span)
    waiting_s = total_s - sum(span.took_s for span in path)
    longest = sorted(path, key=lambda span: -span.took_s)[:LONGEST]
    named = ", ".join(f"{span.name} {_seconds(span.took_s)}" for span in longest)
    lines = [
        _line(f"0 s{_seconds(total_s):>{WIDTH - 3}}", "began", "took", "path", "stage"),
        *(_stage_line(stage, path, began, total_s) for stage in stages.values()),
        _line(" " * WIDTH, "", _seconds(waiting_s), _share(waiting_s, total_s), "between tasks"),
    ]
    sections = [
        "# Timeline",
        f"{_seconds(total_s)} in all. `{CRITICAL}` is the critical path: what the end waited for. "
        f"`path` is its share; making anything else faster makes no run shorter. Longest on it: {named}.",
        "\n".join(("```text", *lines, "```")),
    ]
    if unseen:
        sections.append(f"{unseen} tasks more ended; Prefect had not recorded them yet.")
    return "\n\n".join(sections)


def _line(bar: str, began: str, took: str, share: str, what: str) -> str:
    return f"{bar} {began:>7} {took:>7} {share:>4}  {what}"


def _stage_line(stage: Sequence[Span], path: Sequence[Span], began: datetime, total_s: float) -> str:
    first = min(span.began for span in stage)
    last = max(span.ended for span in stage)
    critical = [span for span in path if span in stage]
    critical_s = sum(span.took_s for span in critical)
    name = common_name([span.name for span in stage])
    return _line(
        _bar(stage, critical, began, total_s),
        _seconds((first - began).total_seconds()),
        _seconds((last - first).total_seconds()),
        _share(critical_s, total_s) if critical else "",
        ", ".join((name if len(stage) == 1 else f"{name} x {len(stage)}", *_remarks(stage))),
    )


def _remarks(stage: Sequence[Span]) -> Iterator[str]:
    """Say what did not go its usual way."""
    outcomes = Counter(span.outcome for span in stage)
    yield from (f"{outcomes[outcome]} {remark}" for outcome, remark in REMARKS.items() if outcomes[outcome])
    again = sum(span.attempts > 1 for span in stage)
    if again:
        yield f"{again} tried again"


def _bar(stage: Sequence[Span], critical: Sequence[Span], began: datetime, total_s: float) -> str:
    """Draw when a stage was busy; however short a task is, it is seen."""
    cells = [IDLE] * WIDTH
    for spans, sign in ((stage, BUSY), (critical, CRITICAL)):
        for span in spans:
            start = min(int((span.began - began).total_seconds() / total_s * WIDTH), WIDTH - 1)
            stop = min(max(round((span.ended - began).total_seconds() / total_s * WIDTH), start + 1), WIDTH)
            cells[max(start, 0) : stop] = sign * (stop - max(start, 0))
    return "".join(cells)


def _seconds(seconds: float) -> str:
    return f"{max(seconds, 0.0):.1f} s" if seconds < LONG_S else f"{seconds / 60:.1f} min"


def _share(part_s: float, total_s: float) -> str:
    return f"{max(part_s, 0.0) / total_s:.0%}"
