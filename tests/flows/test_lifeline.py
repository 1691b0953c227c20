"""What ends the process of a run, and that nothing keeps it from that."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.exceptions import ObjectNotFound
from prefect.runtime import flow_run
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Cancelling, Crashed, Running

from tasks import lifeline
from tasks.deployment import Deployment
from tasks.lifeline import Lifeline
from tasks.runs import ATTEMPT, GONE, HEARD_OF, PROCESS
from tests.flows.conftest import Cloud
from tests.flows.test_overlap import dead_process, states_of, unfinished

ENDS_WITHIN_S = 15.0


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set when the process would go."""
    left = threading.Event()
    monkeypatch.setattr(lifeline, "leave", left.set)
    monkeypatch.setattr(lifeline, "LOOK_EVERY_S", 0.2)
    return left


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[Deployment]:
    """What was asked for what exists."""
    looked: list[Deployment] = []
    monkeypatch.setattr(lifeline, "show_what_exists", looked.append)
    return looked


@pytest.fixture
def silent_server() -> Iterator[str]:
    """A server that takes connections, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/api"


def run_until(deployment: Deployment, left: threading.Event, happens: Callable[[UUID], object]) -> bool:
    """Run a flow to which something happens; tell whether its process would have gone."""

    @flow(name="deploy")
    def changing() -> bool:
        with Lifeline(deployment, last_words=lambda: None):
            happens(UUID(flow_run.id))
            return left.wait(ENDS_WITHIN_S)

    with suppress(ObjectNotFound):  # Prefect's own engine stumbles over a deleted run
        changing(return_state=True)
    return left.is_set()


def set_to(state: State[None]) -> Callable[[UUID], object]:
    def set_state(run_id: UUID) -> None:
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(run_id, state, force=True)

    return set_state


def test_a_run_that_is_cancelled_says_what_exists_and_goes(
    cloud: Cloud, left: threading.Event, looked: list[Deployment]
) -> None:
    assert run_until(cloud.deployment(name="cancelled"), left, set_to(Cancelling()))
    assert len(looked) == 1


def test_a_run_whose_lock_was_taken_goes_at_once_whatever_azure_does(
    cloud: Cloud, left: threading.Event, looked: list[Deployment]
) -> None:
    assert run_until(cloud.deployment(name="taken"), left, set_to(GONE))
    assert looked == []


def test_a_run_that_was_deleted_goes(cloud: Cloud, left: threading.Event, looked: list[Deployment]) -> None:
    def delete(run_id: UUID) -> None:
        with get_client(sync_client=True) as client:
            client.delete_flow_run(run_id)

    assert run_until(cloud.deployment(name="deleted"), left, delete)
    assert looked == []


def test_an_error_that_nobody_foresaw_does_not_keep_a_run_from_going(
    cloud: Cloud, left: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(deployment: Deployment) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(lifeline, "show_what_exists", fail)

    assert run_until(cloud.deployment(name="unforeseen"), left, set_to(Cancelling()))


def test_a_worker_that_reports_a_dead_process_twice_is_contradicted(
    cloud: Cloud, left: threading.Event
) -> None:
    seen: list[str | None] = []

    def report(run_id: UUID) -> None:
        set_to(Crashed(message="Flow run process exited"))(run_id)
        with get_client(sync_client=True) as client:
            stop = time.monotonic() + ENDS_WITHIN_S
            while time.monotonic() < stop and not seen and not left.wait(0.5):
                seen.extend(name for name in [client.read_flow_run(run_id).state_name] if name == "Running")
        left.set()

    run_until(cloud.deployment(name="reported"), left, report)

    assert seen == ["Running"]


@pytest.mark.usefixtures("prefect")
def test_a_run_of_no_single_topology_closes_what_a_dead_one_of_its_name_left() -> None:
    @flow(name="sweep", flow_run_name="sweep dead")
    def sweeping() -> None:
        with Lifeline(None, last_words=lambda: None):
            pass

    with get_client(sync_client=True) as client:
        dead = client.create_flow_run(sweeping, name="sweep dead", state=Running())
        client.create_task_run(unfinished, dead.id, dynamic_key="1", state=Running())
        heard_of = datetime.now(UTC).isoformat()
        labels: Any = {ATTEMPT: dead.run_count, PROCESS: dead_process(), HEARD_OF: heard_of}
        client.update_flow_run_labels(dead.id, labels)

    sweeping()

    assert states_of(dead) == {"Crashed"}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_run_goes_although_prefect_takes_connections_and_never_answers(
    cloud: Cloud, silent_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = threading.Event()

    def leave() -> None:
        lost.set()
        raise SystemExit  # ends its thread

    monkeypatch.setattr(lifeline, "leave_without_prefect", leave)
    monkeypatch.setattr(lifeline, "LOOK_TIMEOUT_S", 0.5)
    monkeypatch.setattr(lifeline, "LOST_S", 3.0)
    deployment = cloud.deployment(name="lost")

    @flow(name="deploy")
    def changing() -> bool:
        with temporary_settings({PREFECT_API_URL: silent_server}):
            held = Lifeline(deployment, last_words=lambda: None)
        with held:
            return lost.wait(ENDS_WITHIN_S)

    assert changing()
