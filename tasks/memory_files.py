"""Secrets as files that are on no disk, for programs and libraries that insist on a file."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def memory_file(text: str) -> Iterator[str]:
    """Keep a text in memory as a file that only its owner may read, as libpq and ssh demand of a key.

    Its path is good for this process and for others of the same user, as long as this one keeps it.
    """
    descriptor = os.memfd_create("roachmesh")
    try:
        os.fchmod(descriptor, 0o600)
        os.write(descriptor, text.encode())
        yield f"/proc/{os.getpid()}/fd/{descriptor}"
    finally:
        os.close(descriptor)
