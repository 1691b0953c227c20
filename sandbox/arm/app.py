"""The ASGI application: reads a request, lets one thread at a time at the store, writes the log."""

import json
import logging
import re
import time
import uuid
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from sandbox.arm import api_versions, faulty, responses, urls
from sandbox.arm.cloud import Cloud, Fabric, Machines
from sandbox.arm.errors import ArmError
from sandbox.arm.request_log import RequestLog
from sandbox.arm.resource_type import Answer, Call
from sandbox.arm.store import Json
from sandbox.arm.tokens import Credentials, Tokens
from sandbox.instance import Instance

METHODS = ["GET", "HEAD", "PUT", "PATCH", "POST", "DELETE"]
READS = {"GET", "HEAD"}
BUCKETS = {"GET": ("reads", 249), "HEAD": ("reads", 249), "DELETE": ("deletes", 199)}

log = logging.getLogger(__name__)


class App:
    """ARM and the token endpoint.

    Args:
        instance: Whose addresses it hands out.
        credentials: Who may ask.
        fabric: What carries packets; None is control-plane mode, in which nothing moves:
            for tests and benchmarks of what talks to ARM.
        machines: What boots machines; None as with `fabric`.
        clock: Seconds since 1970.
        latency: Multiplies Azure's typical durations; 0 is at once.
        request_log: Where a line per request goes.
    """

    def __init__(
        self,
        instance: Instance,
        credentials: Credentials,
        *,
        fabric: Fabric | None = None,
        machines: Machines | None = None,
        clock: Callable[[], float] = time.time,
        latency: float = 0.0,
        request_log: Path | None = None,
    ) -> None:
        self.cloud = Cloud(
            instance=instance,
            tenant_id=credentials.tenant_id,
            subscription_id=credentials.subscription_id,
            client_id=credentials.client_id,
            clock=clock,
            fabric=fabric,
            machines=machines,
            latency=latency,
        )
        self._tokens = Tokens(credentials, clock, self.cloud.faults)
        self._log = RequestLog(request_log, clock)
        self._asgi = Starlette(routes=[Route("/{path:path}", self._endpoint, methods=METHODS)])

    def close(self) -> None:
        """Take no more work."""
        self.cloud.operations.close()
        self._log.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection's request."""
        await self._asgi(scope, receive, send)

    async def _endpoint(self, request: Request) -> Response:
        body = await request.body()
        return await run_in_threadpool(self._respond, request, body)

    def _respond(self, request: Request, body: bytes) -> Response:
        answer = self._answer(request, body)
        try:
            self._log.write(request, answer)
        except OSError as error:  # a full disk: what the log lacks would be believed not to have happened
            answer = _failed(error)
        content = b"" if answer.body is None else json.dumps(answer.body).encode()
        headers = _headers(request) | answer.headers
        if content:
            headers["Content-Type"] = "application/json; charset=utf-8"
        return Response(content, answer.status, headers)

    def _answer(self, request: Request, body: bytes) -> Answer:
        path = re.sub("/{2,}", "/", request.url.path).rstrip("/") or "/"  # `az resource` doubles some
        base_url = f"{request.url.scheme}://{request.url.netloc}"
        try:
            token = self._tokens.handle(request.method, path, base_url, body)
            if token:
                return token
            keeper = self._tokens.is_keeper(request.headers.get("authorization"))
            if path != "/metadata/endpoints" and not keeper:
                self._tokens.check(request.headers.get("authorization"))
            call = _call(request, path, base_url, body)
            if not keeper:
                self._let_strike(call)
            return self._handle(call)
        except ArmError as error:
            return responses.refused(error)
        except Exception as error:
            log.exception("%s %s", request.method, path)
            return _failed(error)

    def _let_strike(self, call: Call) -> None:
        """What its own commands ask of the sandbox is the keeper's alone, and always answered."""
        if call.path.lower().startswith(faulty.PATH):
            raise ArmError(404, "NotFound", f"No resource is found at {call.method} {call.path}.")
        with self.cloud.store.lock:
            faulty.strike(self.cloud, call)

    def _handle(self, call: Call) -> Answer:
        """Answer under the lock; whatever was written is carried by the fabric before the answer leaves."""
        try:
            with self.cloud.store.lock:
                self.cloud.operations.settle()
                return urls.route(self.cloud, call)
        finally:
            self.cloud.converge(wait=call.method not in READS)


def _failed(error: Exception) -> Answer:
    message = f"The sandbox failed: {type(error).__name__}: {error}"
    return responses.refused(ArmError(500, "InternalServerError", message))


def _call(request: Request, path: str, base_url: str, body: bytes) -> Call:
    query = {key.lower(): value for key, value in request.query_params.items()}
    api_versions.check_given(path, query.get("api-version"))
    return Call(request.method, path, query, request.headers, _json(body), base_url)


def _json(body: bytes) -> Json:
    try:
        document = json.loads(body) if body.strip() else {}
    except ValueError as error:
        message = f"The request content was invalid and could not be deserialized: '{error}'."
        raise ArmError(400, "InvalidRequestContent", message) from None
    if not isinstance(document, dict):
        raise ArmError(400, "InvalidRequestContent", "The request content was invalid: it is no JSON object.")
    return document


def _headers(request: Request) -> dict[str, str]:
    """What every answer of ARM carries. The buckets are never empty: the sandbox does not throttle yet."""
    request_id = str(uuid.uuid4())
    bucket, left = BUCKETS.get(request.method, ("writes", 199))
    headers = {
        "Date": formatdate(usegmt=True),
        "Cache-Control": "no-cache",
        "x-ms-request-id": request_id,
        "x-ms-correlation-request-id": request.headers.get("x-ms-correlation-request-id", request_id),
        "x-ms-routing-request-id": f"SANDBOX:{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}:{request_id}",
        f"x-ms-ratelimit-remaining-subscription-{bucket}": str(left),
    }
    client_id = request.headers.get("x-ms-client-request-id")
    return headers | ({"x-ms-client-request-id": client_id} if client_id else {})
