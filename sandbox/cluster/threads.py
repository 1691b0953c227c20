"""End a program with any of its threads, so that it is started anew: half of it is of no use."""

import logging
import os
import threading

log = logging.getLogger(__name__)


def end_with_any() -> None:
    """From now on, a thread that fails ends the program, with its traceback in the log."""
    threading.excepthook = _end


def _end(arguments: threading.ExceptHookArgs) -> None:
    if arguments.exc_value:
        log.critical("a thread failed", exc_info=arguments.exc_value)
    os._exit(1)
