"""What can be done on a machine: commands, our own small programs, files, services, packages."""

import importlib.resources
import io
import json
import os
import shlex
from collections.abc import Sequence
from typing import Any, Self

import fabric
import paramiko
from invoke.exceptions import CommandTimedOut

from roachmesh import remote
from roachmesh.errors import HostBusy, HostFailed, HostUnreachable

COMMAND_TIMEOUT_S = 120
SERVICE_TIMEOUT_S = 900  # a node's recovery at its start may be slow
APT_TIMEOUT_S = 600
LINES_QUOTED = 3

File = tuple[str, str, str, str]  # path, content, mode as octal text, owner
Directory = tuple[str, str, str]  # path, mode, owner


class Session:
    """An open SSH session; commands are argument lists and run as root unless said otherwise."""

    def __init__(self, name: str, connection: fabric.Connection) -> None:
        self.name = name
        self.connection = connection

    def run(self, command: Sequence[str], *, stdin: str = "", timeout_s: int = COMMAND_TIMEOUT_S) -> str:
        """Run a command as root and give what it prints.

        Raises:
            HostFailed: it ended with an error or not at all; what it said last is quoted.
        """
        line = shlex.join(["sudo", "-n", *command])
        try:
            result = self.connection.run(
                line, hide=True, warn=True, in_stream=_Whole(stdin), timeout=timeout_s, encoding="utf-8"
            )
        except CommandTimedOut as exc:
            raise HostFailed(f"`{command[0]}` did not end in {timeout_s} s.", where=self.name) from exc
        except (OSError, EOFError, paramiko.SSHException) as exc:
            raise HostUnreachable(f"the SSH session broke: {exc}", where=self.name) from exc
        if not result.ok:
            lines = (result.stderr.strip() or result.stdout.strip() or "nothing").splitlines()
            kind = HostBusy if result.exited == os.EX_TEMPFAIL else HostFailed
            raise kind(f"{_short(command)} failed: {' '.join(lines[-LINES_QUOTED:])}", where=self.name)
        return str(result.stdout)

    def program(self, name: str, request: Any, *, timeout_s: int = COMMAND_TIMEOUT_S) -> Any:
        """Run one of the programs in `roachmesh/remote` as root.

        Args:
            name: Its module, such as `place_files`.
            request: What it reads as JSON from its standard input: the place for secrets, since
                no process list shows it.
            timeout_s: Seconds after which it is given up.

        Returns:
            What it printed, read as JSON.
        """
        source = importlib.resources.files(remote).joinpath(f"{name}.py").read_text(encoding="utf-8")
        printed = self.run(["python3", "-c", source], stdin=json.dumps(request), timeout_s=timeout_s)
        return json.loads(printed)

    def succeeds(self, command: Sequence[str]) -> bool:
        """Tell whether a command ends without an error."""
        try:
            self.run(command)
        except HostFailed:
            return False
        return True

    def exists(self, path: str) -> bool:
        """Tell whether there is such a file or device."""
        return self.succeeds(["test", "-e", path])

    def place_files(self, files: Sequence[File], directories: Sequence[Directory] = ()) -> list[str]:
        """Make files what they should be; gives the paths that were not."""
        request = {
            "files": [dict(zip(("path", "content", "mode", "owner"), file, strict=True)) for file in files],
            "directories": [dict(zip(("path", "mode", "owner"), one, strict=True)) for one in directories],
        }
        changed: list[str] = self.program("place_files", request)["changed"]
        return changed

    def ensure_service(self, unit: str, *, files: Sequence[str], restart: bool = True) -> dict[str, Any]:
        """Have a unit enabled and running; see `roachmesh/remote/ensure_service.py` for the answer."""
        request = {"unit": unit, "files": list(files), "restart": restart}
        outcome: dict[str, Any] = self.program("ensure_service", request, timeout_s=SERVICE_TIMEOUT_S)
        return outcome

    def ensure_user(self, name: str, *, home: str) -> None:
        """Have a system user with a group of its own, who cannot log in."""
        if not self.succeeds(["getent", "passwd", name]):
            shell = "/usr/sbin/nologin"
            self.run(["useradd", "--system", "--user-group", "--home-dir", home, "--shell", shell, name])

    def ensure_packages(self, *packages: str) -> None:
        """Have Debian packages installed; apt is asked only when dpkg says that one is missing."""
        if self.succeeds(["dpkg-query", "--show", *packages]):
            return
        lock = "DPkg::Lock::Timeout=300"
        self.run(["apt-get", "update", "-qq", "-o", lock], timeout_s=APT_TIMEOUT_S)
        self.run(
            [
                "env",
                "DEBIAN_FRONTEND=noninteractive",
                "apt-get",
                "install",
                "-y",
                "-qq",
                "-o",
                lock,
                *packages,
            ],
            timeout_s=APT_TIMEOUT_S,
        )

    def close(self) -> None:
        """End the session."""
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Whole(io.StringIO):
    """Standard input that is sent at once; invoke would ask for it letter by letter, 10 ms each."""

    def read(self, size: int | None = -1) -> str:
        """Give all that is left, whatever is asked for."""
        return super().read()


def _short(command: Sequence[str]) -> str:
    """Name a command in an error, without a whole program of ours."""
    return shlex.join(command[:2]) if command[1:2] == ["-c"] else shlex.join(command)
