"""What finished tasks gave, at rest: JSON, encrypted with a key that is kept elsewhere."""

import re
import time
from contextlib import suppress
from datetime import timedelta
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

from cryptography.fernet import Fernet
from prefect.filesystems import LocalFileSystem
from prefect.results import get_default_result_storage
from prefect.serializers import JSONSerializer, Serializer
from pydantic import Field, SecretStr

from blocks import ResultsKey
from roachmesh.errors import BlockMissing
from tasks.deployment import load_block

KEPT_FOR = timedelta(days=90)  # as Prefect, by default, keeps the run that could be resumed
# How results are named: topology, deployment, task, digest of what the task was given.
OURS = re.compile(r"[a-z0-9-]+\.[0-9a-f-]{36}-[a-z_0-9]+-[0-9a-f]{32}")

KEY = "default"  # the name of its block
TYPE = "roachmesh/encrypted"  # stands in each result, where Prefect writes it

_making = Lock()


class EncryptedSerializer(Serializer):
    """Writes results so that they say nothing without their key.

    A result that cannot be read (its key is lost, or its model has changed since) raises, which Prefect
    takes for "there is none": the task is done again. Source: prefect.results, ResultStore._exists.
    """

    type: str = Field(default=TYPE, frozen=True)

    def dumps(self, obj: Any) -> bytes:
        """Encrypt an object's JSON."""
        return _fernet().encrypt(JSONSerializer().dumps(obj))

    def loads(self, blob: bytes) -> Any:
        """Decrypt and validate what `dumps` made."""
        return JSONSerializer().loads(_fernet().decrypt(blob))


def delete_results(topology: str, keep: str = "none") -> None:
    """Delete results that no run can be resumed from any more: all of a topology but those under one key.

    And old ones of any topology, which may be gone without a run of ours. What others store in the same
    folder stays. In storage that is no folder, results end by its own rules: see docs/operations.md.
    """
    storage = get_default_result_storage()
    if not isinstance(storage, LocalFileSystem):
        return
    oldest = time.time() - KEPT_FOR.total_seconds()
    for path in Path(storage.basepath or ".").expanduser().glob("*"):
        is_theirs = OURS.fullmatch(path.name) and path.name.startswith(f"{topology}.")
        with suppress(OSError):  # somebody else deletes it too, or it is not ours to read
            if (is_theirs and not path.name.startswith(f"{topology}.{keep}-")) or _is_old(path, oldest):
                path.unlink()


def _is_old(path: Path, oldest: float) -> bool:
    """Tell whether a file is an old result of ours; those of regions on workers have names of Prefect's."""
    return path.is_file() and path.stat().st_mtime < oldest and TYPE.encode() in path.read_bytes()


@cache
def _fernet() -> Fernet:
    """Load the key once per process; make it if there is none."""
    with _making:  # a cache lets several threads in before it knows
        return Fernet(_load_or_make().key.get_secret_value())


def _load_or_make() -> ResultsKey:
    try:
        return load_block(ResultsKey, KEY)
    except BlockMissing:
        made = ResultsKey(key=SecretStr(Fernet.generate_key().decode()))
    try:
        made.save(KEY)
    except ValueError:  # another process was quicker
        return load_block(ResultsKey, KEY)
    return made
