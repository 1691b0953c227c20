"""A flow run in this process and followed at its terminal; in Prefect it is a run like any other."""

import logging
import os
import signal
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from contextvars import copy_context
from types import FrameType, TracebackType
from typing import Any
from uuid import UUID

import httpx
from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.client.schemas.objects import State
from prefect.flow_engine import run_flow
from prefect.logging.handlers import PrefectConsoleHandler
from prefect.settings import PREFECT_API_URL, PREFECT_UI_URL
from prefect.utilities.callables import get_call_parameters
from rich.console import Console

from flows.display import make_display
from flows.progress import cancel, watch
from roachmesh.errors import PrefectUnreachable, RoachmeshError
from roachmesh.render import terminal

INTERRUPTED = 130
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # Ctrl-C, a service manager, a closed terminal
FAREWELL_S = 4.0
LOOKS_BEFORE_TELLING = 8  # one a second; a run whose turn it is has tasks by then


def require_prefect() -> None:
    """Make sure that a Prefect server answers; Prefect itself would start one, and forget it afterwards.

    Raises:
        PrefectUnreachable: none is named, or it does not answer.
    """
    advice = "Set PREFECT_API_URL, which ends with /api, or choose a profile with `prefect profile use`."
    url = PREFECT_API_URL.value()
    if not url:
        raise PrefectUnreachable("no Prefect server is named.", advice=advice)
    with get_client(sync_client=True) as client:
        error = client.api_healthcheck()
    if error is not None:
        raise PrefectUnreachable(f"Prefect does not answer at {url}: {error}.", advice=advice)


def page(flow_run_id: UUID) -> str:
    """Give the address of a run's page in Prefect's UI."""
    return f"{PREFECT_UI_URL.value()}/runs/flow-run/{flow_run_id}"


def run(flow: Flow[..., Any], *, show: Sequence[str] = (), **arguments: Any) -> None:
    """Run a flow here, and show how it goes until it ends; then those of its artifacts that `show` names.

    Raises:
        RoachmeshError: what the flow failed with, or where to read what nobody foresaw.
    """
    silence_logs()
    parameters = get_call_parameters(flow.fn, (), arguments)
    with get_client(sync_client=True) as client:
        flow_run = client.create_flow_run(flow, parameters=flow.serialize_parameters(parameters))
    console = Console(highlight=False, markup=False, emoji=False)
    console.print(f"{flow.name}: {page(flow_run.id)}", soft_wrap=True)
    with Follower(flow_run.id, console) as follower, Interruption(flow_run.id, console, follower):
        state = run_flow(flow, flow_run=flow_run, parameters=parameters, return_type="state")
    for text in _artifacts(flow_run.id, show):
        terminal.show(text)
    if not isinstance(state, State):
        raise TypeError(f"{flow.name} is no flow that just runs: it gave a {type(state).__name__}")
    if state.is_completed():
        return
    error = state.result(raise_on_failure=False)
    if isinstance(error, RoachmeshError):
        raise error
    raise RoachmeshError(
        f"{type(error).__name__}: {str(error).strip() or state.name}",
        where=flow.name,
        advice=f"The log is at {page(flow_run.id)}.",
    ) from error


def _artifacts(flow_run_id: UUID, keys: Sequence[str]) -> list[str]:
    """Give what a run showed on its page under these keys, in their order."""
    made_by_run = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run_id]))
    with get_client(sync_client=True) as client:
        texts = {one.key: str(one.data) for one in client.read_artifacts(artifact_filter=made_by_run)}
    return [texts[key] for key in keys if key in texts]


def silence_logs() -> None:
    """Keep from the terminal what Prefect and libraries log: a run's log is on its page."""
    root = logging.getLogger()
    for handler in root.handlers:
        if isinstance(handler, PrefectConsoleHandler):
            root.removeHandler(handler)
    root.addHandler(logging.NullHandler())  # without any, Python would print warnings


class Follower(AbstractContextManager["Follower"]):
    """A thread that shows what a run's tasks do, until the run has ended or is left."""

    def __init__(self, flow_run_id: UUID, console: Console) -> None:
        self._flow_run_id = flow_run_id
        self._console = console
        self._left = threading.Event()
        # Prefect's settings are in the context, which a thread does not inherit.
        self._thread = threading.Thread(target=copy_context().run, args=(self._follow,), daemon=True)

    def __enter__(self) -> "Follower":
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._thread.join()

    def leave(self) -> None:
        """Show nothing more than what is seen next."""
        self._left.set()
        self._thread.join(timeout=FAREWELL_S)

    def _follow(self) -> None:
        try:
            with make_display(self._console) as display, get_client(sync_client=True) as client:
                has_begun = False
                for looks, news in enumerate(watch(client, self._flow_run_id)):
                    display.show(news)
                    has_begun = has_begun or bool(news.under_way or news.ended)
                    if looks == LOOKS_BEFORE_TELLING and not has_begun:
                        self._console.print("Waiting: another run of this topology lives, or died just now.")
                    if self._left.is_set():
                        return
        except httpx.HTTPError as exc:
            self._console.print(f"Lost sight of the run, which goes on: Prefect does not answer ({exc}).")


class Interruption(AbstractContextManager["Interruption"]):
    """What Ctrl-C and the like do to a run: the first ends it within seconds, the second leaves at once.

    The threads of a flow cannot be interrupted, and would be waited for until their machines are made.
    So the run is ended in Prefect, and this process with it; what it was doing then is done again, or
    found done, by the next run.
    """

    def __init__(self, flow_run_id: UUID, console: Console, follower: Follower) -> None:
        self._flow_run_id = flow_run_id
        self._console = console
        self._follower = follower
        self._unwound = threading.Event()
        self._farewell = threading.Thread(target=copy_context().run, args=(self._say_farewell,))
        self._before: list[Any] = []

    def __enter__(self) -> "Interruption":
        self._before = [signal.signal(number, self._interrupt) for number in ENDING]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, where: TracebackType | None
    ) -> None:
        self._unwound.set()
        if self._farewell.ident is not None:
            self._farewell.join()
        for number, before in zip(ENDING, self._before, strict=True):
            signal.signal(number, before)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self._farewell.ident is not None:
            self._leave()
        self._farewell.start()
        raise KeyboardInterrupt  # lets go of the topology's slot on its way up

    def _say_farewell(self) -> None:
        with ExitStack() as at_last:
            at_last.callback(self._leave)
            self._console.print("Ending the run. Press Ctrl-C again to leave at once.")
            with get_client(sync_client=True) as client:
                cancel(client, self._flow_run_id)
            self._unwound.wait(FAREWELL_S)
            self._follower.leave()
            self._console.print("The run has ended unfinished. Run the same command again: it continues.")

    def _leave(self) -> None:
        self._console.show_cursor()
        os._exit(INTERRUPTED)
