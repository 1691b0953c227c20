"""Make files on this machine what they should be, and say which were not.

Request: {"files": [{"path", "content", "mode", "owner"}], "directories": [{"path", "mode", "owner"}]};
`mode` is octal text, `owner` names a user and that user's own group; a file whose `content` is null
keeps what is in it.
Answer: {"changed": [paths]}.
"""

import grp
import os
import pwd
import tempfile
from pathlib import Path
from typing import Any


def settle(path: Path, wanted: dict[str, Any]) -> bool:
    """Give a path its mode and owner; tells whether it had others."""
    user, group = pwd.getpwnam(wanted["owner"]).pw_uid, grp.getgrnam(wanted["owner"]).gr_gid
    mode = int(wanted["mode"], 8)
    status = path.stat()
    if (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (user, group, mode):
        return False
    os.chown(path, user, group)
    path.chmod(mode)
    return True


def place(wanted: dict[str, Any]) -> bool:
    """Give a file its content, at once or not at all, and never readable by others in between."""
    path = Path(wanted["path"])
    if wanted["content"] is None:
        return settle(path, wanted)
    content = wanted["content"].encode()
    if path.is_file() and not path.is_symlink() and path.read_bytes() == content:
        return settle(path, wanted)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        beside = Path(file.name)
        try:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            settle(beside, wanted)
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)  # a disk that is full would only be fuller
    return True


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Place everything; directories first."""
    changed = []
    for directory in request["directories"]:
        path = Path(directory["path"])
        existed = path.is_dir()
        path.mkdir(parents=True, exist_ok=True)
        if settle(path, directory) or not existed:
            changed.append(directory["path"])
    changed += [file["path"] for file in request["files"] if place(file)]
    return {"changed": changed}
