"""What takes minutes to build: built once, kept under the hash of its recipe, whole or not at all."""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from sandbox.commands import CommandFailed

CACHE = Path.home() / ".cache" / "roachmesh"

Say = Callable[[str], None]


def ensure(wanted: Path, make: Callable[[Path], None], in_use: Callable[[], set[Path]]) -> Path:
    """Make something unless it is there, and remove what older recipes made beside it.

    It is made under another name and renamed when it is whole, so that it may be killed at any point;
    whoever else asks for it meanwhile waits.

    Args:
        wanted: Where it goes; everything beside it is of older recipes.
        make: Makes it at the path that it is given, or raises.
        in_use: Returns those that must stay.
    """
    if wanted.exists():
        return wanted
    folder = wanted.parent
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        draft = folder / "draft"
        if draft.exists():
            shutil.rmtree(draft)
        if not wanted.exists():
            make(draft)
            draft.rename(wanted)
        for other in set(folder.iterdir()) - {wanted, folder / "lock"} - in_use():
            shutil.rmtree(other)
    return wanted


def bootstrap(what: str, command: tuple[str, ...], environment: dict[str, str], say: Say) -> None:
    """Run mmdebstrap in namespaces that end with this process; its mounts and children end with them.

    Args:
        what: What it makes; every line of progress begins with it, since another build may run beside this.
        command: mmdebstrap's; lines of its stderr that begin with `I: ` are progress.
        environment: What its hooks read.
        say: Shows a line of progress.

    Raises:
        CommandFailed: it ends with what was said last.
    """
    process = subprocess.Popen(
        [
            *("setpriv", "--pdeathsig", "KILL"),
            *("unshare", "--mount", "--pid", "--fork", "--kill-child"),
            *command,
        ],
        env=os.environ | environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        said = []
        for line in process.stderr or ():
            said.append(line)
            if line.startswith("I: ") and "-hook in shell: " not in line:
                say(f"  {what}: {line[3:].rstrip()}")
    if process.returncode:
        raise CommandFailed(f"Building {what} failed: {''.join(said[-15:])}")
