"""One measurement: the product's own flows against a control plane at Azure's pace, machines left out."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import wraps
from ipaddress import IPv4Network
from typing import Any
from unittest.mock import patch
from uuid import UUID

from prefect import Task, flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.runtime import flow_run

from bench import regions
from bench.azure import WRITE_S, azure
from bench.critical_path import critical_path
from bench.layers import Layer, Trace, shares
from blocks import write_budget
from demo import register
from flows.foundation import lay_foundation
from flows.peering import peer_regions
from flows.progress import Step, look
from flows.region import deploy_regions
from flows.run_page import as_span
from roachmesh.outcome import Outcome
from roachmesh.render import timeline
from roachmesh.render.timeline import Span
from sandbox.instance import Instance
from tasks.clock import ensure_time_synchronised
from tasks.cockroachdb import ensure_cockroachdb_installed
from tasks.deployment import Deployment
from tasks.machines import wait_until_reachable
from tasks.store import ensure_store_mounted

OPERATORS = (IPv4Network("203.0.113.7/32"),)
# What needs a machine that answers; only their bodies are left out, the tasks run.
ON_MACHINES: tuple[Task[..., Any], ...] = (
    wait_until_reachable,
    ensure_time_synchronised,
    ensure_store_mounted,
    ensure_cockroachdb_installed,
)
RECORDED_WITHIN_S = 60.0


@dataclass(frozen=True)
class Measurement:
    """What one run took, at a factor of Azure's time."""

    regions: int
    resources: int
    tasks: int
    makespan_s: float
    at_best_s: float
    in_our_order_s: float
    layers: dict[Layer, float]
    path: tuple[tuple[str, float], ...]

    @property
    def ratio(self) -> float:
        """How many times what Azure alone takes in our order."""
        return self.makespan_s / self.in_our_order_s


@flow(name="bench", flow_run_name="bench {deployment.plan.topology}")
def build(deployment: Deployment) -> UUID:
    """Make what `deploy` makes in Azure, in its order and by its own parts."""
    lay_foundation(deployment)
    deploy_regions(deployment, "threads")
    peer_regions(deployment)
    return UUID(str(flow_run.id))


def measure(instance: Instance, count: int, factor: float) -> Measurement:
    """Measure so many regions; wants a process of its own, whose clients and budget are as new."""
    plan = regions.plan(count)
    with azure(instance, factor) as card:
        register.save_blocks(card)
        return run(Deployment(key=f"bench-{time.time_ns()}", plan=plan, operators=OPERATORS), factor)


def run(deployment: Deployment, factor: float) -> Measurement:
    """Make what is not there yet, and say where the time went."""
    trace = Trace()
    with _machines_left_out(), _paced(factor), trace.recording():
        began = time.monotonic()
        run_id = build(deployment)
        makespan_s = time.monotonic() - began
    with get_client(sync_client=True) as client:
        spans = _spans(client, run_id)
    path = timeline.critical_path(spans)
    alone = critical_path(deployment.inventory, WRITE_S)
    return Measurement(
        regions=len(deployment.plan.regions),
        resources=len(list(deployment.inventory.everything())),
        tasks=len(spans),
        makespan_s=makespan_s,
        at_best_s=alone.at_best_s * factor,
        in_our_order_s=alone.in_our_order_s * factor,
        layers=shares(path, trace, makespan_s),
        path=tuple((span.name, span.took_s) for span in path),
    )


@contextmanager
def _machines_left_out() -> Iterator[None]:
    """Let the tasks that need a machine run with an empty body."""
    with ExitStack() as stack:
        for task in ON_MACHINES:
            stack.enter_context(patch.object(task, "fn", _doing_nothing(task)))
        yield


def _doing_nothing(task: Task[..., Any]) -> Any:
    @wraps(task.fn)
    def left_out(*_: Any, **__: Any) -> Outcome:
        return Outcome(what=task.name, change="unchanged")

    return left_out


@contextmanager
def _paced(factor: float) -> Iterator[None]:
    """Let Azure's allowance of writes follow the factor too: in a tenth of the time ten times as many."""
    rate = write_budget.WRITES_PER_SECOND / factor
    with patch.object(write_budget, "_bucket", write_budget.TokenBucket(rate, write_budget.BURST)):
        yield


def _spans(client: SyncPrefectClient, run_id: UUID) -> list[Span]:
    """Read what Prefect recorded of a run, which it does in the background; subflows' wrappers left out."""
    deadline = time.monotonic() + RECORDED_WITHIN_S
    steps: tuple[Step, ...] = ()
    while True:
        news = look(client, run_id, set(), everything=True)
        if news.ended and not news.under_way and len(news.ended) == len(steps):
            break
        if time.monotonic() > deadline:
            raise TimeoutError(f"Prefect has not recorded all tasks within {RECORDED_WITHIN_S:.0f} s")
        steps = news.ended
        time.sleep(1)
    wrappers = {step.flow_run for step in steps if step.in_subflow}
    over = max(step.finished for step in steps if step.finished)
    return [as_span(step, over) for step in steps if step.name not in wrappers]
