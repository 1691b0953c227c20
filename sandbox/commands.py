"""Run a command of this computer, and say what it said when it fails."""

import subprocess
from collections.abc import Mapping
from pathlib import Path


class CommandFailed(RuntimeError):
    """A command ended with an error; the message holds what it wrote to stderr."""


def run(*arguments: str | Path, stdin: str | bytes = "", environment: Mapping[str, str] | None = None) -> str:
    """Run a command to its end and return its output.

    Secrets belong in `stdin`, never in `arguments`: every user of this computer can read those.

    Raises:
        CommandFailed: it ended with another exit code than 0.
    """
    done = subprocess.run(
        [str(argument) for argument in arguments],
        input=stdin.encode() if isinstance(stdin, str) else stdin,
        capture_output=True,
        env=environment,
        check=False,
    )
    if done.returncode:
        command = " ".join(map(str, arguments))
        said = done.stderr.decode(errors="replace").strip() or "nothing"
        raise CommandFailed(f"`{command}` failed with {done.returncode} and wrote: {said}")
    return done.stdout.decode(errors="replace")
