"""A flow run from the terminal: what is shown, how it ends, what Ctrl-C does."""

import os
import signal
import subprocess
import sys
import textwrap
from io import StringIO
from pathlib import Path

import pytest
from prefect import flow, task
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterName
from prefect.settings import PREFECT_API_URL, temporary_settings
from rich.console import Console

from flows.display import LiveDisplay
from flows.terminal import INTERRUPTED, require_prefect, run
from roachmesh.errors import AzureBusy, AzureRefused, PrefectUnreachable, RoachmeshError

pytestmark = pytest.mark.usefixtures("prefect")


@task(task_run_name="work on {name}")
def work(name: str) -> None:
    if name == "known":
        raise AzureRefused("no quota", where="VM a-1")
    if name == "unknown":
        raise ValueError("what is this?")


@flow(name="trial")
def trial(name: str, unused: int = 1) -> None:
    work(name)


def test_a_run_is_told_line_by_line_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    run(trial, name="nothing")

    said = capsys.readouterr()
    first, second = said.out.splitlines()
    assert first.startswith("trial: http://")
    assert "/runs/flow-run/" in first
    assert "work on nothing" in second
    assert "completed" in second
    assert said.err == ""  # Prefect's log is on the run's page


def test_what_failed_is_raised_as_what_it_is() -> None:
    with pytest.raises(AzureRefused, match="VM a-1: no quota"):
        run(trial, name="known")


def test_what_nobody_foresaw_names_the_page_with_the_log() -> None:
    with pytest.raises(RoachmeshError, match=r"ValueError: what is this\? The log is at http://") as caught:
        run(trial, name="unknown")

    assert caught.value.exit_code == 1


def test_without_a_server_it_says_what_to_do_and_starts_none() -> None:
    with (
        temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}),
        pytest.raises(
            PrefectUnreachable, match=r"does not answer at http://127.0.0.1:9/api.*Set PREFECT_API_URL"
        ),
    ):
        require_prefect()
    with (
        temporary_settings(restore_defaults={PREFECT_API_URL}),
        pytest.raises(PrefectUnreachable, match="no Prefect server is named"),
    ):
        require_prefect()


def test_the_reason_of_a_retry_is_heard_from_prefects_log() -> None:
    attempts: list[int] = []

    @task(retries=1, retry_delay_seconds=0)
    def busy_once() -> None:
        attempts.append(1)
        if len(attempts) == 1:
            raise AzureBusy("throttled", where="NIC a-1")

    @flow
    def retrying() -> None:
        busy_once()

    blamed: list[str] = []
    shown = LiveDisplay(Console(file=StringIO()))
    shown.tree.blame = lambda task_run_id, reason: blamed.append(reason)
    with shown:
        retrying()

    assert blamed == ["NIC a-1: throttled"]


def test_a_terminal_that_goes_without_prefect_says_so_and_has_its_cursor_back() -> None:
    program = "from rich.console import Console; from flows.terminal import _leave_without_prefect as leave"
    program += "; leave(Console(force_terminal=True, highlight=False))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert done.returncode == INTERRUPTED
    assert "\x1b[?25h" in done.stdout
    assert "Prefect has not answered for 90 s" in done.stdout


SLOW = """
    import threading
    from prefect import flow, task
    from flows.terminal import run
    from roachmesh import topology
    from roachmesh.plan import make_plan
    from tasks.deployment import Deployment
    from tasks.lifeline import Lifeline

    @task(task_run_name="for ever")
    def for_ever():
        print("begun", flush=True)
        threading.Event().wait(120)

    @flow(name="slow", flow_run_name="slow run")
    def slow():
        with Lifeline(Deployment(key="slow", plan=make_plan(topology.DEFAULT)), lambda: None):
            for_ever.submit().wait()

    run(slow)
"""


@pytest.mark.parametrize("twice", [False, True], ids=["once", "twice"])
def test_ctrl_c_ends_the_run_within_seconds_without_a_traceback(twice: bool, tmp_path: Path) -> None:
    program = tmp_path / "slow.py"
    program.write_text(textwrap.dedent(SLOW))
    api = str(PREFECT_API_URL.value())
    process = subprocess.Popen(
        [sys.executable, str(program)],
        env={
            **os.environ,
            "PREFECT_API_URL": api,
            "PREFECT_HOME": str(tmp_path),
            "PYTHONPATH": str(Path.cwd()),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    while "begun" not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "Ending the run. Press Ctrl-C again to leave at once.\n"
    if twice:
        process.send_signal(signal.SIGINT)
    said, errors = process.communicate(timeout=30)

    assert process.returncode == INTERRUPTED
    assert "Traceback" not in errors
    if not twice:
        assert "`roachmesh resume` continues." in said
        with get_client(sync_client=True) as client:
            mine = FlowRunFilter(name=FlowRunFilterName(any_=["slow run"]))
            [found] = client.read_flow_runs(flow_run_filter=mine)
        assert found.state_name == "Cancelled"
