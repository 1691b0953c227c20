"""A flow run at the terminal, in this process or elsewhere; in Prefect it is a run like any other."""

import logging
import os
import signal
import threading
from collections.abc import Sequence
from concurrent.futures import CancelledError, Future, InvalidStateError
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from types import FrameType
from typing import Any, NoReturn
from uuid import UUID

from prefect import Flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.client.schemas.objects import FlowRun, State
from prefect.exceptions import ObjectNotFound
from prefect.flow_engine import run_flow
from prefect.logging.handlers import PrefectConsoleHandler
from prefect.settings import PREFECT_API_URL
from prefect.states import Cancelled, Cancelling
from prefect.utilities.callables import get_call_parameters
from rich.console import Console

from flows.display import make_display
from flows.progress import watch
from roachmesh import errors
from roachmesh.errors import PrefectUnreachable, RoachmeshError
from roachmesh.render import terminal
from tasks import lifeline
from tasks.lifeline import INTERRUPTED
from tasks.runs import close, page

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # Ctrl-C, a service manager, a closed terminal
# Looks come one a second.
LOOKS_BEFORE_TELLING = 8  # a run whose turn it is has tasks by then
LOOKS_BEFORE_CLOSING = 15  # a run that is cancelled ends by itself within seconds, unless it has not begun
LAST_WORDS_S = 10.0
# What of a run's page is shown at its end, by flow.
SHOWN = {
    "sweep": ("swept",),
    "deploy": ("network-test", "connection-card"),
    "verify": ("network-test", "pooler-test", "pooler-storm", "movr", "drift"),
}
CANCELLED: State[Any] = Cancelled(message="Cancelled at the terminal.")


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


def run(flow: Flow[..., Any], **arguments: Any) -> None:
    """Run a flow in this process, and show how it goes until it ends; then what is to be kept of its page.

    Raises:
        RoachmeshError: what the flow failed with, or where to read what nobody foresaw.
    """
    parameters = get_call_parameters(flow.fn, (), arguments)
    with get_client(sync_client=True) as client:
        flow_run = client.create_flow_run(flow, parameters=flow.serialize_parameters(parameters))
    run_here(flow, flow_run)


def run_here(flow: Flow[..., Any], flow_run: FlowRun) -> None:
    """Run in this process what Prefect has a run for already; else like `run`."""
    outcome: Future[Any] = Future()
    lifeline.leave = outcome.cancel  # the thread that follows ends the process, once it has said goodbye

    def work() -> None:
        try:
            parameters = flow.validate_parameters(flow_run.parameters)
            settle = partial(outcome.set_result, run_flow(flow, flow_run, parameters, return_type="state"))
        except BaseException as exc:  # noqa: BLE001 -- raised where it is waited for
            settle = partial(outcome.set_exception, exc)
        with suppress(InvalidStateError):  # the process is about to go
            settle()

    # A thread of its own lets this one hear of Ctrl-C; a daemon, since a flow cannot be interrupted.
    # Prefect's settings are in the context, which a thread does not inherit.
    threading.Thread(target=copy_context().run, args=(work,), daemon=True).start()
    follow(flow.name, flow_run.id, outcome)
    state = outcome.result()
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


def follow_elsewhere(flow_name: str, flow_run_id: UUID) -> None:
    """Show how a run goes that a worker runs; else like `run`."""
    state = follow(flow_name, flow_run_id)
    if state.is_completed():
        return
    # "Flow run encountered an exception: GateFailed: ..."
    said = (state.message or state.name or "").removeprefix("Flow run encountered an exception: ")
    kind, _, message = said.partition(": ")
    error = RoachmeshError(message or said, where=flow_name, advice=f"Its page: {page(flow_run_id)}")
    error.exit_code = getattr(getattr(errors, kind, RoachmeshError), "exit_code", RoachmeshError.exit_code)
    raise error


def follow(flow_name: str, flow_run_id: UUID, outcome: Future[Any] | None = None) -> State[Any]:
    """Show what a run's tasks do until it has ended, and then what is to be kept of its page.

    The first Ctrl-C cancels the run, as its page does; the second leaves at once. A run that was
    cancelled, here or there, ends this process. The `outcome` is that of a flow in this process; it is
    cancelled when the run was ended from outside, although the flow's threads still go on.
    """
    silence_logs()
    console = Console(highlight=False, markup=False, emoji=False)
    console.print(f"{flow_name}: {page(flow_run_id)}", soft_wrap=True)
    lifeline.leave_without_prefect = partial(_leave_without_prefect, console)
    with get_client(sync_client=True) as client:
        cancellation = _Cancellation(client, flow_run_id, console)
        has_begun = False
        with make_display(console) as display:
            for looks, news in enumerate(watch(client, flow_run_id)):
                display.show(news)
                has_begun = has_begun or bool(news.under_way or news.ended)
                if looks == LOOKS_BEFORE_TELLING and not has_begun:
                    console.print("Waiting for a worker, or for the process of an earlier run to end.")
                cancellation.proceed()
                if outcome and outcome.cancelled():
                    break
            is_cut_off = outcome is not None and _is_cut_off(outcome)
        cancellation.forget()
        try:
            state = client.read_flow_run(flow_run_id).state
        except ObjectNotFound:
            _leave(console, ["The run was deleted in Prefect."])
    if state is None:
        raise TypeError(f"{flow_name}: a run without a state")
    if state.is_cancelled() or is_cut_off:
        ends = "This process ends" if state.is_running() else "The run has ended"
        _leave(console, [*_artifacts(flow_run_id, ["what-exists"]), f"{ends}: {state.name}."])
    for text in _artifacts(flow_run_id, SHOWN.get(flow_name, ())):
        terminal.show(text)
    return state


def _is_cut_off(outcome: Future[Any]) -> bool:
    """Tell whether a flow was ended from outside; the last words on its page are waited for."""
    try:
        outcome.exception(timeout=LAST_WORDS_S)
    except (CancelledError, TimeoutError):
        return True
    return False


class _Cancellation:
    """What Ctrl-C and the like ask for; carried out between two looks at the run."""

    def __init__(self, client: SyncPrefectClient, flow_run_id: UUID, console: Console) -> None:
        self._client = client
        self._flow_run_id = flow_run_id
        self._console = console
        self._looks: int | None = None
        self._before = [signal.signal(number, self._ask) for number in ENDING]

    def forget(self) -> None:
        """Let others handle these signals again."""
        for number, before in zip(ENDING, self._before, strict=True):
            signal.signal(number, before)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self._looks is not None:
            self._console.show_cursor()
            os._exit(INTERRUPTED)
        self._looks = 0

    def proceed(self) -> None:
        """Cancel the run if that was asked for."""
        if self._looks is None:
            return
        if self._looks == 0:
            self._console.print("Ending the run. Press Ctrl-C again to leave at once.")
            self._client.set_flow_run_state(self._flow_run_id, Cancelling(), force=True)
        if self._looks == LOOKS_BEFORE_CLOSING:
            close(self._client, self._flow_run_id, CANCELLED)
        self._looks += 1


def _leave(console: Console, last_words: Sequence[str]) -> NoReturn:
    """End this process although a flow's threads may still be busy in it."""
    for text in last_words:
        terminal.show(text)
    console.print("`roachmesh resume` continues.")
    os._exit(INTERRUPTED)


def _leave_without_prefect(console: Console) -> None:
    """End this process, in which the thread that draws the picture may wait for Prefect still."""
    console.show_cursor()
    advice = "When it answers again, `roachmesh resume` continues."
    console.print(f"Prefect has not answered for {lifeline.LOST_S:.0f} s: the run ends. {advice}")
    os._exit(INTERRUPTED)


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
