"""What finished tasks gave, at rest: JSON, encrypted with a key that is kept elsewhere."""

from functools import cache
from threading import Lock
from typing import Any

from cryptography.fernet import Fernet
from prefect.serializers import JSONSerializer, Serializer
from pydantic import Field, SecretStr

from blocks import ResultsKey
from roachmesh.errors import BlockMissing
from tasks.deployment import load_block

_making = Lock()


class EncryptedSerializer(Serializer):
    """Writes results so that they say nothing without their key.

    A result that cannot be read (its key is lost, or its model has changed since) raises, which Prefect
    takes for "there is none": the task is done again. Source: prefect.results, ResultStore._exists.

    Attributes:
        key: Name of the `results-key` block. It stands beside each result, where Prefect writes it.
    """

    type: str = Field(default="roachmesh/encrypted", frozen=True)
    key: str = "default"

    def dumps(self, obj: Any) -> bytes:
        """Encrypt an object's JSON."""
        return _fernet(self.key).encrypt(JSONSerializer().dumps(obj))

    def loads(self, blob: bytes) -> Any:
        """Decrypt and validate what `dumps` made."""
        return JSONSerializer().loads(_fernet(self.key).decrypt(blob))


@cache
def _fernet(name: str) -> Fernet:
    """Load a key once per process; make it if there is none."""
    with _making:  # a cache lets several threads in before it knows
        return Fernet(_load_or_make(name).key.get_secret_value())


def _load_or_make(name: str) -> ResultsKey:
    try:
        return load_block(ResultsKey, name)
    except BlockMissing:
        made = ResultsKey(key=SecretStr(Fernet.generate_key().decode()))
    try:
        made.save(name)
    except ValueError:  # another process was quicker
        return load_block(ResultsKey, name)
    return made
