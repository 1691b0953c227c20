"""Sockets in another network namespace: a socket belongs to the one that it was made in, for ever."""

import ctypes
import os
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from sandbox.fabric import names

_CLONE_NEWNET = 0x40000000
_Result = TypeVar("_Result")


def in_namespace(namespace: str, action: Callable[[], _Result]) -> _Result:
    """Run `action` in a thread that has moved to `namespace`; the thread ends with it.

    The empty name stands for this computer, where nobody has to move.
    """
    if not namespace:
        return action()

    def moved() -> _Result:
        _enter(names.path(namespace))
        return action()

    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(moved).result()


def listen_in_namespace(namespace: str, address: str, port: int) -> socket.socket:
    """Return a TCP socket that listens inside a namespace, to be served by this process."""
    return in_namespace(namespace, lambda: socket.create_server((address, port), backlog=128))


def connect_in_namespace(namespace: str, address: str, port: int, *, timeout_s: float) -> socket.socket:
    """Return a TCP connection made inside a namespace."""
    return in_namespace(namespace, lambda: socket.create_connection((address, port), timeout=timeout_s))


def _enter(path: Path) -> None:
    """Move this thread; Python has `os.setns` from 3.12 on only."""
    libc = ctypes.CDLL(None, use_errno=True)
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.setns(handle, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "cannot enter the namespace", str(path))
    finally:
        os.close(handle)
