"""Where everything of ours logs to: the run's own log, every line led by the task that it is about."""

import logging
from collections.abc import MutableMapping
from typing import Any

from prefect import get_run_logger
from prefect.exceptions import MissingContextError

Logger = logging.Logger | logging.LoggerAdapter[logging.Logger]


def logger() -> Logger:
    """Give the run's logger, or an ordinary one outside of a run."""
    try:
        return _Named(get_run_logger())
    except MissingContextError:
        return logging.getLogger("roachmesh")


class _Named(logging.LoggerAdapter[Any]):
    """Leads each line with the task's name, since one of Prefect's two UIs shows lines without it.

    That name says region or node, so that whoever searches the log for a node finds all of its lines.
    """

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Put the task's name in front; a line of the flow itself has none."""
        task = (self.logger.extra or {}).get("task_run_name")
        return (f"{task}: {msg}" if task else msg), kwargs
