"""The demo's background processes, which are found by their mark."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from demo import processes

MARK = {"ROACHMESH_TEST_MARK": "background processes"}
# It says when it is ready; then it waits to be asked to end.
WAITING = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: {asked})
print("ready", flush=True)
while True:
    time.sleep(60)
"""


@contextmanager
def waiting(asked: str) -> Iterator[int]:
    command = [sys.executable, "-c", WAITING.format(asked=asked), "worker"]
    with subprocess.Popen(command, env=MARK, stdout=subprocess.PIPE) as started:
        assert started.stdout is not None
        started.stdout.readline()
        try:
            yield started.pid
        finally:
            started.kill()


def test_what_was_ended_is_found_no_more_although_it_took_its_time() -> None:
    with waiting("(time.sleep(0.5), sys.exit())") as started:
        assert list(processes.find(MARK, "worker")) == [started]

        processes.end([started], signal.SIGTERM)

        assert list(processes.find(MARK)) == []


def test_what_does_not_end_when_asked_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "GRACE_S", 0.5)
    with waiting("None"):
        processes.stop_all(MARK)

        assert list(processes.find(MARK)) == []
