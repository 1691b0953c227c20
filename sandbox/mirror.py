"""The artifact mirror: `/<official host>/<official path>`, and `/ip` for who asks.

What it serves are stand-ins; their names say so, and `python -m sandbox status` lists them.
"""

import re
import threading
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from sandbox.cockroach import archive
from sandbox.faults.faults import Faults
from sandbox.faults.kinds import Mirror
from sandbox.images import catalogue
from sandbox.images.registry import Registry

COCKROACH = re.compile(
    r"binaries\.cockroachdb\.com/cockroach-(?P<version>v2\d\.\d+\.\d+)\.linux-amd64\.tgz(?P<checksum>\.sha256sum)?"
)
CONTENTS = """The sandbox's mirror has no {path}. It has:
/binaries.cockroachdb.com/cockroach-v2X.Y.Z.linux-amd64.tgz  (a stand-in for CockroachDB)
/binaries.cockroachdb.com/cockroach-v2X.Y.Z.linux-amd64.tgz.sha256sum
/v2/  (a registry of container images, which mirrors every other)
/ip  (the address that you come from)
"""


def app(cache: Path, faults: Faults) -> Starlette:
    """The application.

    Args:
        cache: Where archives are kept once they were asked for.
        faults: Among them, that it is of no use.
    """
    lock = threading.Lock()
    registry = Registry(catalogue.find)

    def wrong() -> set[str]:
        return {fault.answer for fault in faults.active(Mirror)}

    def pull(request: Request) -> Response:
        return _resting() if "unavailable" in wrong() else registry.answer(request)

    def artifact(request: Request) -> Response:
        path = request.path_params["path"]
        match = COCKROACH.fullmatch(path)
        if match is None:
            return PlainTextResponse(CONTENTS.format(path=f"/{path}"), status_code=404)
        if "unavailable" in wrong():
            return _resting()
        if "checksum" in wrong() and match["checksum"]:
            return PlainTextResponse(f"{'0' * 64}  {Path(path).stem}\n")
        with lock:  # two machines ask at once; one builds
            found = _cockroach(cache, match["version"])
        return FileResponse(found.with_name(found.name + (match["checksum"] or "")))

    return Starlette(
        routes=[
            Route("/ip", _address_of_caller),
            Route("/v2/{path:path}", pull),
            Route("/{path:path}", artifact),
        ]
    )


def _resting() -> Response:
    return PlainTextResponse("Service Unavailable", status_code=503)


def _address_of_caller(request: Request) -> Response:
    """As text, like the public services that do this."""
    return PlainTextResponse(request.client.host if request.client else "")


def _cockroach(cache: Path, version: str) -> Path:
    directory = cache / "binaries.cockroachdb.com"
    directory.mkdir(parents=True, exist_ok=True)
    found = directory / f"cockroach-{version}.linux-amd64.tgz"
    return found if found.exists() else archive.build(version, directory)
