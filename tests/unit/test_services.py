"""The programs that start, reload and remove units, against a `systemctl` that answers as systemd's does."""

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from roachmesh.remote import ensure_service, remove_service

SYSTEMCTL = """#!/bin/sh
echo "$@" >>{directory}/calls
[ "$1" != show ] || cat {directory}/state
"""
RUNS = {
    "ActiveState": "active",
    "UnitFileState": "enabled",
    "NeedDaemonReload": "no",
    "LoadState": "loaded",
    "Result": "success",
    "InactiveExitTimestamp": "Sun 2026-11-22 12:00:00.500000 UTC",
    "ActiveEnterTimestamp": "Sun 2026-11-22 12:00:01.000000 UTC",
    "StateChangeTimestamp": "Sun 2026-11-22 12:00:01.000000 UTC",
}
STARTED = 1795348800.5  # the first of these moments
BEFORE, AFTER, LATER = STARTED - 10, STARTED + 10, STARTED + 30
RELOADED = {**RUNS, "StateChangeTimestamp": "Sun 2026-11-22 12:00:20.000000 UTC"}


class Systemd:
    """A directory with the fake program, what it answers, and what it was asked to do."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        program = directory / "systemctl"
        program.write_text(SYSTEMCTL.format(directory=directory))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        self.says(RUNS)

    def says(self, state: dict[str, str]) -> None:
        (self.directory / "state").write_text("".join(f"{key}={value}\n" for key, value in state.items()))

    def file(self, name: str, written_at: float) -> str:
        path = self.directory / name
        path.write_text("content")
        os.utime(path, (written_at, written_at))
        return str(path)

    @property
    def did(self) -> list[str]:
        calls = (self.directory / "calls").read_text().splitlines()
        return [call for call in calls if not call.startswith("show")]


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Systemd:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return Systemd(tmp_path)


@pytest.mark.parametrize(
    ("state", "file_at", "reload_at", "change", "did"),
    [
        (RUNS, BEFORE, BEFORE, "unchanged", []),
        (RUNS, BEFORE, AFTER, "reloaded", ["reload it.service"]),
        (RUNS, AFTER, BEFORE, "restarted", ["restart it.service"]),
        (RUNS, AFTER, AFTER, "restarted", ["restart it.service"]),
        (RELOADED, BEFORE, AFTER, "unchanged", []),
        (RELOADED, BEFORE, LATER, "reloaded", ["reload it.service"]),
        (RELOADED, AFTER, BEFORE, "restarted", ["restart it.service"]),
        ({**RUNS, "ActiveState": "failed"}, BEFORE, AFTER, "started", ["start it.service"]),
    ],
)
def test_a_unit_is_told_of_what_it_has_not_read_yet(
    systemd: Systemd,
    state: dict[str, str],
    file_at: float,
    reload_at: float,
    change: str,
    did: list[str],
) -> None:
    systemd.says(state)
    files, reloads = [systemd.file("a", file_at)], [systemd.file("b", reload_at)]

    answer = ensure_service.main({"unit": "it.service", "files": files, "reloads": reloads, "restart": True})

    assert answer["change"] == change
    assert systemd.did == did


def request(systemd: Systemd) -> dict[str, Any]:
    secret = systemd.file("userlist.txt", BEFORE)
    mark, gone = systemd.directory / "roachmesh.conf", systemd.directory / "never-there"
    return {"unit": "it.service", "mark": str(mark), "files": [secret, str(gone)]}


def test_a_unit_of_ours_is_stopped_for_good_and_its_secrets_go(systemd: Systemd) -> None:
    wanted = request(systemd)
    systemd.file("roachmesh.conf", BEFORE)

    assert remove_service.main(wanted) == {"changed": True}
    assert systemd.did == ["disable --now --quiet it.service", "daemon-reload"]
    assert not Path(wanted["files"][0]).exists()
    assert remove_service.main(wanted) == {"changed": False}


def test_a_unit_that_is_somebody_elses_is_left_alone(systemd: Systemd) -> None:
    wanted = request(systemd)

    assert remove_service.main(wanted) == {"changed": False}
    assert Path(wanted["files"][0]).exists()
