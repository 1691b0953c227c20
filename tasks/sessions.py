"""What can be done on a machine, as root: our own small programs, commands, files, services, packages."""

import importlib.resources
import json
import shlex
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from textwrap import shorten
from typing import Any

import fabric
import paramiko

from blocks.artifacts import Artifact
from roachmesh import remote
from roachmesh.errors import HostBusy, HostFailed, HostUnreachable
from roachmesh.outcome import Outcome

TIMEOUT_S = 120
DOWNLOAD_TIMEOUT_S = 900
SERVICE_TIMEOUT_S = 900  # a node's recovery at its start may be slow
APT_TIMEOUT_S = 600
LINES_QUOTED = 3

File = tuple[str, str | None, str, str]  # path, content or None for what it has, mode as octal text, owner
Directory = tuple[str, str, str]  # path, mode, owner


class Session:
    """An open SSH session with `roachmesh/remote/agent.py` at its other end; threads may share it."""

    def __init__(self, name: str, connection: fabric.Connection) -> None:
        self.name = name
        self.transport: paramiko.Transport = connection.transport
        self._connection = connection
        self._lock = threading.Lock()
        agent = shlex.join(["sudo", "-n", "python3", "-u", "-c", program_text("agent")])
        self._requests, self._answers, self._errors = connection.client.exec_command(agent)

    def program(self, name: str, request: Any, *, timeout_s: int = TIMEOUT_S) -> Any:
        """Run one of the programs in `roachmesh/remote`.

        Args:
            name: Its module, such as `place_files`.
            request: What its `main` is given, through the session: the place for secrets, since no
                process list shows it.
            timeout_s: Seconds after which it, and the session with it, is given up.

        Raises:
            HostFailed: it failed, and said why.
            HostBusy: it failed in a way that time may heal.
            HostUnreachable: the session broke.
        """
        line = json.dumps({"source": program_text(name), "request": request})
        with self._lock:
            answer = self._ask(line, name, timeout_s)
        if "error" in answer:
            kind = HostBusy if answer["transient"] else HostFailed
            raise kind(answer["error"], where=self.name)
        return answer["answer"]

    def run(
        self, command: Sequence[str], *, files: Mapping[str, str] | None = None, timeout_s: int = TIMEOUT_S
    ) -> str:
        """Run a command and give what it prints.

        Args:
            command: Its words; `{files}` in them stands for the directory of `files`.
            files: Texts by name that the machine keeps in memory, for root alone, while it runs.
            timeout_s: Seconds after which it is ended.

        Raises:
            HostFailed: it ended with an error; what it said last is quoted.
        """
        done = self._run(command, timeout_s, files)
        if done["exit_code"]:
            lines = (done["errors"].strip() or done["output"].strip() or "nothing").splitlines()
            said = " ".join(lines[-LINES_QUOTED:])
            raise HostFailed(f"`{shorten(shlex.join(command), 100)}` failed: {said}", where=self.name)
        return str(done["output"])

    def succeeds(self, command: Sequence[str]) -> bool:
        """Tell whether a command ends without an error."""
        return bool(self._run(command)["exit_code"] == 0)

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

    def install_binary(self, artifact: Artifact, target: str) -> bool:
        """Have an executable in its place, downloaded by the machine itself; tells whether it was not there.

        Raises:
            HostBusy: the download failed.
            HostFailed: its checksum is wrong, for instance.
        """
        request = {**artifact.model_dump(), "target": target}
        return bool(self.program("install_binary", request, timeout_s=DOWNLOAD_TIMEOUT_S)["changed"])

    def ensure_service(
        self, unit: str, *, files: Sequence[str], reloads: Sequence[str] = (), restart: bool = True
    ) -> dict[str, Any]:
        """Have a unit enabled and running; see `roachmesh/remote/ensure_service.py` for the answer."""
        request = {"unit": unit, "files": list(files), "reloads": list(reloads), "restart": restart}
        outcome: dict[str, Any] = self.program("ensure_service", request, timeout_s=SERVICE_TIMEOUT_S)
        return outcome

    def ensure_user(self, name: str, *, home: str) -> None:
        """Have a system user with a group of its own, who cannot log in."""
        if not self.succeeds(["getent", "passwd", name]):
            shell = "/usr/sbin/nologin"
            self.run(["useradd", "--system", "--user-group", "--home-dir", home, "--shell", shell, name])

    def ensure_packages(self, *packages: str) -> bool:
        """Have Debian packages installed; apt is asked only when dpkg says that one is missing.

        Tells whether that was so.
        """
        states = self._run(["dpkg-query", "--show", "--showformat=${db:Status-Status} ", *packages])
        if states["exit_code"] == 0 and set(states["output"].split()) == {"installed"}:
            return False
        lock = "DPkg::Lock::Timeout=300"
        self.run(["apt-get", "update", "-qq", "-o", lock], timeout_s=APT_TIMEOUT_S)
        install = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "-qq", "-o", lock]
        self.run([*install, *packages], timeout_s=APT_TIMEOUT_S)
        return True

    def outcome(self, what: str, *, new: bool, changed: bool) -> Outcome:
        """Say what came of a thing on this machine."""
        return Outcome.of(f"{what} on {self.name}", new=new, changed=changed)

    @property
    def is_open(self) -> bool:
        """Whether the other end is still there, as far as is known."""
        return self.transport.is_active() and not self._answers.channel.closed

    def close(self) -> None:
        """End the session, and the agent with it."""
        self._connection.close()

    def _run(
        self, command: Sequence[str], timeout_s: int = TIMEOUT_S, files: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        request = {"command": list(command), "files": dict(files or {}), "timeout_s": timeout_s}
        done: dict[str, Any] = self.program("run_command", request, timeout_s=timeout_s)
        return done

    def _ask(self, line: str, name: str, timeout_s: int) -> dict[str, Any]:
        # The program's own timeout, if it has one, comes first and says more.
        self._answers.channel.settimeout(timeout_s + 10)
        try:
            self._requests.write(line + "\n")
            self._requests.flush()
            answer = self._answers.readline()
            said = "" if answer.endswith("\n") else self._errors.read().decode(errors="replace").strip()
        except TimeoutError as exc:
            self.close()
            raise HostFailed(f"{name} did not end in {timeout_s} s.", where=self.name) from exc
        except (OSError, EOFError, paramiko.SSHException) as exc:
            self.close()
            raise HostUnreachable(f"the SSH session broke: {exc}", where=self.name) from exc
        if not answer.endswith("\n"):
            self.close()
            raise HostUnreachable(f"the SSH session broke: {said or 'it was closed'}.", where=self.name)
        decoded: dict[str, Any] = json.loads(answer)
        return decoded


@cache
def program_text(name: str) -> str:
    """Read a program of `roachmesh/remote`."""
    return importlib.resources.files(remote).joinpath(f"{name}.py").read_text(encoding="utf-8")
