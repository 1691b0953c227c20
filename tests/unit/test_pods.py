"""What is said of pods: do they run, are they ready, and why not."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from roachmesh import pods
from tasks.cockroachdb_pods import WITH_FILES

RUNNING = {"running": {"startedAt": "2026-11-22T10:00:00Z"}}


def pod(
    state: dict[str, Any] | None = None,
    *,
    last: dict[str, Any] | None = None,
    ready: str = "False",
    scheduled: dict[str, Any] | None = None,
    deleted: bool = False,
) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": ready}]
    conditions += [{"type": "PodScheduled", **scheduled}] if scheduled else []
    status: dict[str, Any] = {"phase": "Pending", "conditions": conditions}
    if state is not None:
        status["containerStatuses"] = [{"state": state, "lastState": last or {}}]
    metadata = {"name": "cockroachdb-0"}
    if deleted:
        metadata["deletionTimestamp"] = "2026-11-22T10:00:00Z"
    return {"metadata": metadata, "status": status}


UNSCHEDULABLE = pod(
    scheduled={
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/1 nodes are available: 1 Insufficient cpu.",
    }
)
NO_IMAGE = pod({"waiting": {"reason": "ErrImagePull", "message": 'pulling "x": 404 Not Found'}})
CRASHING = pod(
    {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting"}},
    last={"terminated": {"exitCode": 1, "reason": "Error"}},
)


@pytest.mark.parametrize(
    ("given", "running", "ready", "state"),
    [
        (pod(RUNNING, ready="True"), True, True, "ready"),
        (pod(RUNNING), True, False, "not ready"),
        (pod(RUNNING, ready="True", deleted=True), False, False, "Terminating"),
        (pod(), False, False, "Pending"),
        (UNSCHEDULABLE, False, False, "Pending"),
        (NO_IMAGE, False, False, "ErrImagePull"),
        (CRASHING, False, False, "CrashLoopBackOff"),
        (pod({"waiting": {"reason": "ContainerCreating"}}), False, False, "ContainerCreating"),
    ],
)
def test_a_pod_runs_before_it_is_ready(given: dict[str, Any], running: bool, ready: bool, state: str) -> None:
    assert (pods.is_running(given), pods.is_ready(given), pods.state(given)) == (running, ready, state)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (UNSCHEDULABLE, "Pending: 0/1 nodes are available: 1 Insufficient cpu."),
        (NO_IMAGE, 'ErrImagePull: pulling "x": 404 Not Found'),
        (CRASHING, "CrashLoopBackOff: back-off 10s restarting: exit code 1"),
    ],
)
def test_what_keeps_a_pod_from_running_is_said(given: dict[str, Any], said: str) -> None:
    assert pods.hindrance(given) == said


def test_only_a_pod_whose_container_ended_has_a_log_that_says_why() -> None:
    assert [pods.has_ended(one) for one in (CRASHING, NO_IMAGE, UNSCHEDULABLE, pod(RUNNING))] == [
        True,
        False,
        False,
        False,
    ]


def event(message: str, time: str, **changes: Any) -> dict[str, Any]:
    return {
        "type": "Warning",
        "reason": "Failed",
        "message": message,
        "lastTimestamp": time,
        "involvedObject": {"name": "cockroachdb-0"},
        "metadata": {"creationTimestamp": "2026-11-22T09:00:00Z"},
        **changes,
    }


def test_the_latest_warning_about_a_pod_is_found_however_its_time_is_written() -> None:
    events = [
        event("old", "2026-11-22T10:00:00Z"),
        event("new", "", lastTimestamp=None, eventTime="2026-11-22T10:05:00.123456Z"),
        event("fine", "2026-11-22T10:10:00Z", type="Normal"),
        event("another's", "2026-11-22T10:10:00Z", involvedObject={"name": "cockroachdb-1"}),
    ]

    assert pods.last_warning(events, "cockroachdb-0") == "Failed: new"
    assert pods.last_warning(events, "cockroachdb-2") == ""


def stateful_set(**status: Any) -> dict[str, Any]:
    all_well = {
        "observedGeneration": 2,
        "replicas": 3,
        "readyReplicas": 3,
        "currentRevision": "b",
        "updateRevision": "b",
    }
    return {"metadata": {"generation": 2}, "spec": {"replicas": 3}, "status": {**all_well, **status}}


@pytest.mark.parametrize(
    "status", [{"observedGeneration": 1}, {"replicas": 4}, {"readyReplicas": 2}, {"currentRevision": "a"}]
)
def test_a_rollout_is_over_when_every_pod_is_new_and_ready(status: dict[str, Any]) -> None:
    assert pods.is_rolled_out(stateful_set())
    assert not pods.is_rolled_out(stateful_set(**status))
    assert not pods.is_rolled_out({**stateful_set(), "status": {}})


def run_with_files(folder: Path, text: str, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", WITH_FILES, "sh", str(folder), *command],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=10,
    )


def test_files_are_there_for_their_user_alone_while_the_command_runs(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    text = "ca.crt\n-----BEGIN\na\\nb\n-----END\n\nclient.root.key\n-n secret\n\n"

    done = run_with_files(
        folder, text, "sh", "-c", f"cd {folder}; stat -c '%a %n' . *; cat ca.crt *.key; cat"
    )

    assert done.stdout.splitlines() == [
        "700 .",
        "600 ca.crt",
        "600 client.root.key",
        "-----BEGIN",
        "a\\nb",
        "-----END",
        "-n secret",
    ]
    assert not folder.exists()


def test_files_are_gone_also_after_a_command_that_fails_and_its_exit_code_is_kept(tmp_path: Path) -> None:
    done = run_with_files(tmp_path / "files", "a\nb\n\n", "sh", "-c", "exit 3")

    assert done.returncode == 3
    assert not (tmp_path / "files").exists()


def test_files_are_gone_when_whoever_runs_it_is_ended(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    process = subprocess.Popen(
        ["sh", "-c", WITH_FILES, "sh", str(folder), "sh", "-c", f"ls {folder}; kill $PPID"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    seen, _ = process.communicate("a\nb\n\n", timeout=10)

    assert seen == "a\n"
    assert process.returncode != 0
    assert not folder.exists()
