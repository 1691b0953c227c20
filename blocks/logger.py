"""Where everything of ours logs to: the run's own log, every line led by what it is about.

A line about regions or a node begins with `region=eastus node=eastus/1 `, then comes the task's name. That
holds for Prefect's own lines too, such as the one that says why a task failed. Each pair ends with a space,
so that who searches for `region=eastus ` does not find `eastus2`.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from prefect import get_run_logger
from prefect.context import FlowRunContext
from prefect.exceptions import MissingContextError

from roachmesh.plan import Node, RegionPlan

Logger = logging.Logger | logging.LoggerAdapter[logging.Logger]

# What runs are about, by their names: Prefect says how a task ended when its inputs are no longer known,
# and Azure's SDK logs in threads that know of no run.
_places: dict[str, str] = {}


def logger() -> Logger:
    """Give the run's logger, or an ordinary one outside of a run."""
    try:
        return get_run_logger()
    except MissingContextError:
        return logging.getLogger("roachmesh")


def named(template: str) -> Callable[..., str]:
    """Name a task's runs by what they are given, and lead their lines with the regions and the node in it."""

    def name(parameters: dict[str, Any]) -> str:
        run_name = template.format(**parameters)
        _places[run_name] = _place(parameters.values())
        return run_name

    return name


def _place(given: Iterable[object]) -> str:
    return "".join(dict.fromkeys(pair for value in given for pair in _pairs(value)))


def _pairs(value: object) -> Iterator[str]:
    node = getattr(value, "node", value)  # a machine has one
    if isinstance(node, Node):
        yield f"region={node.region} "
        yield f"node={node.region}/{node.number} "
    elif isinstance(value, RegionPlan):
        yield f"region={value.name} "


def _lead(record: logging.LogRecord) -> bool:
    """Put in front of a line what it is about, and its task's name: one of Prefect's two UIs shows none."""
    task = getattr(record, "task_run_name", None)
    flow = getattr(record, "flow_run_name", None)
    begun = FlowRunContext.get()
    if not task and flow not in _places and begun and begun.flow_run and begun.flow_run.name == flow:
        _places[flow] = _place((begun.parameters or {}).values())
    lead = _places.get(task or flow or "", "") + (f"{task}: " if task else "")
    record.msg = (lead.replace("%", "%%") if record.args else lead) + str(record.msg)
    return True


for _of_runs in ("prefect.flow_runs", "prefect.task_runs"):
    logging.getLogger(_of_runs).addFilter(_lead)
