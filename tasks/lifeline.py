"""What ties a run to its process: Prefect hears that it lives, and ends it.

A flow's threads cannot be interrupted, and would be waited for until their machines are made. So whoever
ends a run (a person in the UI, Ctrl-C, a worker that stops) ends its process with it; what it was
doing then is done again, or found done, by the next run.
"""

import os
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from contextvars import copy_context
from functools import partial
from types import TracebackType
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.exceptions import ObjectNotFound
from prefect.logging.handlers import APILogHandler
from prefect.runtime import flow_run
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from prefect.states import Cancelled, Crashed, Running

from blocks.logger import logger
from roachmesh.errors import RoachmeshError
from tasks.belongings import show_what_exists
from tasks.deployment import Deployment
from tasks.runs import (
    GONE,
    are_at_work,
    close,
    close_children,
    close_what_died,
    introduce,
    is_alive,
    is_over,
    latest,
    latest_named,
    page,
)
from tasks.wait import wait_until

FLOWS = ("deploy", "destroy", "verify", "nightly")
LOOK_EVERY_S = 2.0
LOOK_TIMEOUT_S = 10.0
HEARD_OF_EVERY_S = 20.0
# Less than what others take for a sign of death: a run that cannot tell that it lives must not go on.
LOST_S = 90.0
REGIONS_END_S = 60.0
INTERRUPTED = 130

# How the process of an ended run goes. A terminal has a picture to take down first.
leave: Callable[[], object] = partial(os._exit, INTERRUPTED)
# How it goes without Prefect, for which a terminal's picture may wait in vain.
leave_without_prefect: Callable[[], object] = partial(os._exit, INTERRUPTED)


class Lifeline(AbstractContextManager["Lifeline"]):
    """Held by a root flow as long as it works; when that is ended from outside, it says what exists.

    Args:
        deployment: What the run works on; None when that is no single topology.
        last_words: What else is to be said when all of the run is closed, before its process goes.
    """

    def __init__(self, deployment: Deployment | None, last_words: Callable[[], object]) -> None:
        self._deployment = deployment
        self._last_words = last_words
        self._let_go = threading.Event()
        self._ending = threading.Lock()
        # Prefect's settings are in the context, which a thread does not inherit.
        self._thread = threading.Thread(target=copy_context().run, args=(self._hold,), daemon=True)

    def __enter__(self) -> "Lifeline":
        with get_client(sync_client=True) as client:
            self._run = client.read_flow_run(UUID(flow_run.id))
            self._introduce(client)
            self._close_what_died(client)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, where: TracebackType | None
    ) -> None:
        self._let_go.set()
        if raised is not None and not isinstance(raised, Exception):
            self._end()

    def _close_what_died(self, client: SyncPrefectClient) -> None:
        """Close what dead runs of this topology, and earlier attempts of this one, left "Running".

        Runs of no single topology are those of this run's name.
        """
        if self._deployment is None:
            earlier = latest_named(client, [self._run.name])
        else:
            earlier = latest(client, self._deployment.plan.topology, FLOWS)
        for dead in close_what_died(client, [run for run in earlier if run.id != self._run.id]):
            logger().warning("%s (%s) claimed to run, but its process is gone", dead.name, page(dead.id))
        close_children(client, [self._run.id])
        ended = [run.id for run in earlier if run.id == self._run.id or is_over(run) or not is_alive(run)]
        wait_until(
            lambda: not are_at_work(client, ended),
            what="an end of the regions that an earlier run had on workers",
            timeout_s=REGIONS_END_S,
        )

    def _hold(self) -> None:
        answered = time.monotonic()
        with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):  # the next look is the second try
            while not self._let_go.wait(LOOK_EVERY_S):
                try:
                    has_ended = self._look()
                    answered = time.monotonic()
                except httpx.HTTPError as exc:
                    if time.monotonic() - answered < LOST_S:
                        continue
                    logger().error("Prefect has not answered for %.0f s (%s): this run ends", LOST_S, exc)
                    leave_without_prefect()
                if has_ended:
                    break
        if not self._let_go.is_set():
            self._end()

    def _look(self) -> bool:
        """Tell whether somebody ended the run, or deleted it; if not, let Prefect hear that it lives."""
        # The flow's own client would wait for a minute.
        with get_client(sync_client=True, httpx_settings={"timeout": LOOK_TIMEOUT_S}) as client:
            try:
                run = client.read_flow_run(self._run.id)
            except ObjectNotFound:
                return True
            if self._is_ended(client, run):
                return True
            if is_over(run):
                self._contradict(client)
            elif time.monotonic() - self._heard_of > HEARD_OF_EVERY_S:
                self._introduce(client)
        return False

    def _introduce(self, client: SyncPrefectClient) -> None:
        introduce(client, self._run)
        self._heard_of = time.monotonic()

    def _is_ended(self, client: SyncPrefectClient, run: FlowRun) -> bool:
        """Tell whether somebody ended the run, took this process for dead, or has begun the run anew."""
        if run.run_count != self._run.run_count:
            return True
        if run.state is None or run.state.is_crashed():
            return _is_given_up(run)
        return run.state.is_cancelling() or is_over(run)

    def _contradict(self, client: SyncPrefectClient) -> None:
        """Say that the run goes on, although Prefect holds it for crashed.

        A worker reports a dead process twice, the second time 10 s later: the run may have been retried
        meanwhile, by this process. Source: measured with Prefect 3.8.8.
        """
        client.set_flow_run_state(self._run.id, Running(), force=True)
        self._run = client.read_flow_run(self._run.id)
        self._introduce(client)

    def _end(self) -> None:
        """Say what exists, leave nothing of the run that claims to run, and end this process."""
        self._ending.acquire()  # for good: whoever comes second waits for the end
        try:
            with get_client(sync_client=True) as client:
                self._say_goodbye(client)
        except Exception:  # noqa: BLE001 -- whatever it was, the process must go
            logger().exception("could not end this run in Prefect; the next one will")
        APILogHandler().flush()
        leave()

    def _say_goodbye(self, client: SyncPrefectClient) -> None:
        """Close the run, unless somebody else has it: another may work on the topology within seconds."""
        run = client.read_flow_run(self._run.id)
        if run.run_count != self._run.run_count or _is_given_up(run):
            logger().error("another process has taken this run over, or took this one for dead: it ends")
            return
        if not is_over(run):
            self._say_what_exists()
        close(client, run.id, _end_of(run))
        self._last_words()

    def _say_what_exists(self) -> None:
        if self._deployment is None:
            return
        try:
            show_what_exists(self._deployment)
        except RoachmeshError as exc:
            logger().error("could not look at what exists: %s", exc)


def _is_given_up(run: FlowRun) -> bool:
    """Tell whether another run took the process of this one for dead, and its lock."""
    return run.state is not None and run.state.is_crashed() and run.state.message == GONE.message


def _end_of(run: FlowRun) -> State[None]:
    if run.state and (run.state.is_cancelling() or run.state.is_cancelled()):
        return Cancelled(message="Cancelled.")
    return Crashed(message="Its process was told to end.")
