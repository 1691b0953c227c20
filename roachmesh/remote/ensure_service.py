"""Have a systemd unit enabled and running what its files say now.

Request: {"unit", "files": [paths it reads at its start], "restart": bool}.
Answer: {"change": "started", "restarted" or "unchanged", "stale": [files newer than its start]}; with
`restart` false a stale unit is left alone and only reported.

A file newer than the unit's start means that the unit does not know it yet, also when whoever placed
the file was killed before the restart.
"""

import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


def systemctl(*arguments: str) -> str:
    """Run systemctl."""
    done = subprocess.run(["systemctl", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"systemctl {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def run(verb: str, unit: str) -> None:
    """Start or restart a unit; when that fails, what it logged last is why."""
    try:
        systemctl(verb, unit)
    except RuntimeError as error:
        if show(unit)["Result"] == "protocol":  # it is mounted, which systemd sees later: its issue 23796
            raise TimeoutError(f"{error}; systemd does not see the mount yet") from error
        journal = ["journalctl", "--unit", unit, "--lines=5", "--output=cat", "--no-pager"]
        said = subprocess.run(journal, capture_output=True, text=True, check=False).stdout
        raise RuntimeError(f"{error}; it logged last: {' | '.join(said.splitlines())}") from error


def show(unit: str) -> dict[str, str]:
    """Read what systemd says of a unit."""
    properties = "ActiveState,UnitFileState,NeedDaemonReload,LoadState,Result,InactiveExitTimestamp"
    printed = systemctl("show", unit, f"--property={properties}", "--timestamp=us+utc")
    return dict(line.split("=", 1) for line in printed.splitlines())


def started_at(state: dict[str, str]) -> float:
    """Give the moment a unit's start began, in seconds since the epoch."""
    stamp = state["InactiveExitTimestamp"]  # as in: Sun 2026-11-22 12:48:10.123456 UTC
    if not stamp:
        return 0.0
    _, day, clock, _ = stamp.split()
    moment = datetime.strptime(f"{day} {clock}", "%Y-%m-%d %H:%M:%S.%f")
    return moment.replace(tzinfo=UTC).timestamp()


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Start, restart or leave alone."""
    unit = request["unit"]
    state = show(unit)
    if state["NeedDaemonReload"] == "yes" or state["LoadState"] == "not-found":
        systemctl("daemon-reload")
    if state["UnitFileState"] != "enabled":
        systemctl("enable", "--quiet", unit)  # makes systemd read all units anew: not without need
    if state["ActiveState"] not in ("active", "reloading"):
        run("start", unit)
        return {"change": "started", "stale": []}
    began = started_at(state)
    stale = [path for path in request["files"] if Path(path).stat().st_mtime > began]
    if stale and request["restart"]:
        run("restart", unit)
        return {"change": "restarted", "stale": stale}
    return {"change": "unchanged", "stale": stale}
