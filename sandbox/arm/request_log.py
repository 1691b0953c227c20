"""A line of JSON per request: what was asked and how it ended; no body, no token, no secret."""

import json
import threading
from collections.abc import Callable
from pathlib import Path

from starlette.requests import Request

from sandbox.arm.operations import timestamp
from sandbox.arm.resource_type import Answer


def _code(answer: Answer) -> str | None:
    """The error's code: within an object for ARM, a plain word for the token endpoint."""
    refusal = answer.body if isinstance(answer.body, dict) and answer.status >= 400 else {}
    error = refusal.get("error")
    return error["code"] if isinstance(error, dict) else error


class RequestLog:
    """Appends to a file that others read meanwhile; a line is written at once and whole."""

    def __init__(self, path: Path | None, clock: Callable[[], float]) -> None:
        self._file = path.open("ab", buffering=0) if path else None
        self._clock, self._lock = clock, threading.Lock()

    def write(self, request: Request, answer: Answer) -> None:
        """Note one request."""
        if self._file is None:
            return
        line = {
            "time": timestamp(self._clock()),
            "method": request.method,
            "path": request.url.path,
            "api_version": request.query_params.get("api-version"),
            "status": answer.status,
            "code": _code(answer),
            "client_request_id": request.headers.get("x-ms-client-request-id"),
        }
        with self._lock:
            self._file.write(f"{json.dumps(line)}\n".encode())

    def close(self) -> None:
        """Write no more."""
        if self._file:
            self._file.close()
