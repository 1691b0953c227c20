"""Have a systemd unit enabled and running what its files say now.

Request: {"unit", "files": [paths it reads at its start], "reloads": [paths it reads when it is reloaded
too], "restart": bool}.
Answer: {"change": "started", "restarted", "reloaded" or "unchanged", "stale": [files that it did not know]};
with `restart` false a stale unit is left alone and only reported.

A file newer than the unit's start, or its reload, means that the unit does not know it yet, also when
whoever placed the file was killed before the restart.
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
    properties = (
        "ActiveState,UnitFileState,NeedDaemonReload,LoadState,Result,"
        "InactiveExitTimestamp,ActiveEnterTimestamp,StateChangeTimestamp"
    )
    printed = systemctl("show", unit, f"--property={properties}", "--timestamp=us+utc")
    return dict(line.split("=", 1) for line in printed.splitlines())


def moment(stamp: str) -> float:
    """Read a moment as systemd writes it, in seconds since the epoch; 0 when there was none."""
    if not stamp:  # as in: Sun 2026-11-22 12:48:10.123456 UTC
        return 0.0
    _, day, clock, _ = stamp.split()
    return datetime.strptime(f"{day} {clock}", "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=UTC).timestamp()


def read_at(state: dict[str, str]) -> float:
    """Give the moment at which a running unit last read all its files: its reload, or its start's begin."""
    changed = moment(state["StateChangeTimestamp"])
    reloaded = changed > moment(state["ActiveEnterTimestamp"])
    return changed if reloaded else moment(state["InactiveExitTimestamp"])


def newer(paths: list[str], than: float) -> list[str]:
    """Give those of the files that were written after a moment."""
    return [path for path in paths if Path(path).stat().st_mtime > than]


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Start, restart, reload or leave alone."""
    unit = request["unit"]
    state = show(unit)
    if state["NeedDaemonReload"] == "yes" or state["LoadState"] == "not-found":
        systemctl("daemon-reload")
    if state["UnitFileState"] != "enabled":
        systemctl("enable", "--quiet", unit)  # makes systemd read all units anew: not without need
    if state["ActiveState"] not in ("active", "reloading"):
        run("start", unit)
        return {"change": "started", "stale": []}
    stale = newer(request["files"], moment(state["InactiveExitTimestamp"]))
    if stale and not request["restart"]:
        return {"change": "unchanged", "stale": stale}
    if stale:
        run("restart", unit)
        return {"change": "restarted", "stale": stale}
    changed = newer(request["reloads"], read_at(state))
    if changed:
        run("reload", unit)
        return {"change": "reloaded", "stale": changed}
    return {"change": "unchanged", "stale": []}
