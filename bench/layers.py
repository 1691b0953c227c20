"""Whose time it was: what a task waited for, in intervals that are measured while it runs."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any, Literal
from unittest.mock import patch
from urllib.parse import urlsplit
from uuid import UUID

import prefect.task_engine
from azure.core.pipeline import Pipeline
from prefect.context import TaskRunContext
from requests.adapters import HTTPAdapter

from blocks.write_budget import WriteBudget
from roachmesh.render.timeline import Span

Layer = Literal["Azure", "pauses between polls", "write budget", "requests", "SDK", "Roachmesh", "Prefect"]

# Where intervals overlap, the first of these has the time. What none of them covers is Prefect's.
LAYERS: tuple[Layer, ...] = (
    "Azure",
    "write budget",
    "requests",
    "SDK",
    "pauses between polls",
    "Roachmesh",
    "Prefect",
)
MEANINGS: dict[Layer, str] = {
    "Azure": "an operation runs, by the sandbox's own account of its beginning and end",
    "write budget": "a write is held back, so that Azure need not throttle",
    "requests": "a request is under way: the connection, and the sandbox's answer",
    "SDK": "Azure's SDK around a request: signing, retries, what it makes of the answer",
    "pauses between polls": "an operation has ended, and the SDK asks again only after Azure's Retry-After",
    "Roachmesh": "a task's body, but for all of the above",
    "Prefect": "everything else: states, results, threads, flows, what lies between two tasks",
}

# The calls whose time is a layer's.
WRAPPED: tuple[tuple[Any, str, Layer], ...] = (
    (prefect.task_engine, "call_with_parameters", "Roachmesh"),
    (WriteBudget, "on_request", "write budget"),
    (HTTPAdapter, "send", "requests"),
    (Pipeline, "run", "SDK"),
)

Interval = tuple[float, float]


@dataclass
class Trace:
    """Intervals by task and layer, in seconds since 1970."""

    intervals: dict[tuple[UUID, Layer], list[Interval]] = field(default_factory=dict)
    _owners: dict[str, UUID] = field(default_factory=dict)

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Note what the calls of this process take, by wrapping them; nothing of them is changed."""
        with ExitStack() as stack:
            for owner, name, layer in WRAPPED:
                stack.enter_context(patch.object(owner, name, self._timed(getattr(owner, name), layer)))
            yield

    def _timed(self, function: Callable[..., Any], layer: Layer) -> Callable[..., Any]:
        def timed(*arguments: Any, **more: Any) -> Any:
            began = time.time()
            try:
                answer = function(*arguments, **more)
            finally:
                ended = time.time()
                task = self._task(arguments)
                if task:
                    self._note(task, layer, began, ended)
            if layer == "SDK" and task:
                self._look_for_operation(task, answer.http_response, began)
            return answer

        return timed

    def _task(self, arguments: Sequence[Any]) -> UUID | None:
        """Tell for which task something is done; operations are polled in threads that know of none."""
        context = TaskRunContext.get()
        if context:
            return context.task_run.id
        urls = [url for one in arguments if isinstance(url := getattr(one, "url", None), str)]
        return self._owners.get(urlsplit(urls[0]).path) if urls else None

    def _look_for_operation(self, task: UUID, response: Any, asked: float) -> None:
        """Learn from an answer that an operation began, or how long one took."""
        operation = response.headers.get("azure-asyncoperation")
        if operation:
            self._owners[urlsplit(operation).path] = task
            self._owners[urlsplit(response.request.url).path] = task  # which is read at the end
        elif "/operations/" in response.request.url:
            document = response.json()
            if document["status"] == "Succeeded":
                began, ended = (
                    datetime.fromisoformat(document[key]).timestamp() for key in ("startTime", "endTime")
                )
                self._note(task, "Azure", began, ended)
                self._note(task, "pauses between polls", ended, asked)

    def _note(self, task: UUID, layer: Layer, began: float, ended: float) -> None:
        self.intervals.setdefault((task, layer), []).append((began, ended))


def shares(path: Sequence[Span], trace: Trace, makespan_s: float) -> dict[Layer, float]:
    """Share a run's time out among the layers, by what its critical path did; all of it is somebody's."""
    spent: defaultdict[Layer, float] = defaultdict(float)
    for span in path:
        whole = (span.began.timestamp(), span.ended.timestamp())
        measured = {layer: trace.intervals.get((span.id, layer), []) for layer in LAYERS}
        for layer, seconds in divide(whole, measured).items():
            spent[layer] += seconds
    spent["Prefect"] += makespan_s - sum(spent.values())
    return {layer: spent[layer] for layer in LAYERS}


def divide(whole: Interval, intervals: Mapping[Layer, Sequence[Interval]]) -> dict[Layer, float]:
    """Divide an interval into seconds of each layer: of overlapping ones the first in `LAYERS` counts."""
    edges = sorted({min(max(edge, whole[0]), whole[1]) for edge in _edges(whole, intervals)})
    spent: defaultdict[Layer, float] = defaultdict(float)
    for began, ended in pairwise(edges):
        covering = (
            layer
            for layer in LAYERS
            if any(first <= began and ended <= last for first, last in intervals.get(layer, ()))
        )
        spent[next(covering, "Prefect")] += ended - began
    return dict(spent)


def _edges(whole: Interval, intervals: Mapping[Layer, Sequence[Interval]]) -> Iterator[float]:
    yield from whole
    for parts in intervals.values():
        for part in parts:
            yield from part
