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

from sandbox.cilium.chart import archive as cilium
from sandbox.cockroach import archive as cockroach
from sandbox.faults.faults import Faults
from sandbox.faults.kinds import Mirror
from sandbox.images import catalogue
from sandbox.images.registry import Registry
from sandbox.k3s import archive as k3s

COCKROACH = re.compile(
    r"binaries\.cockroachdb\.com/cockroach-(?P<version>v2\d\.\d+\.\d+)\.linux-amd64\.tgz(?P<checksum>\.sha256sum)?"
)
K3S = re.compile(
    r"github\.com/k3s-io/k3s/releases/download/(?P<version>v1\.\d+\.\d+\+k3s\d+)/"
    r"(k3s|(?P<checksum>sha256sum-amd64\.txt))"
)
CILIUM = re.compile(rf"helm\.cilium\.io/(index\.yaml|{re.escape(cilium.NAME)})(?P<checksum>)")
CONTENTS = """The sandbox's mirror has no {path}. It has:
/binaries.cockroachdb.com/cockroach-v2X.Y.Z.linux-amd64.tgz  (a stand-in for CockroachDB)
/binaries.cockroachdb.com/cockroach-v2X.Y.Z.linux-amd64.tgz.sha256sum
/github.com/k3s-io/k3s/releases/download/v1.X.Y+k3sZ/k3s  (a stand-in for k3s)
/github.com/k3s-io/k3s/releases/download/v1.X.Y+k3sZ/sha256sum-amd64.txt
/helm.cilium.io/index.yaml  (a stand-in for the chart cilium, in the one version that it lists)
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
        match = COCKROACH.fullmatch(path) or K3S.fullmatch(path) or CILIUM.fullmatch(path)
        if match is None:
            return PlainTextResponse(CONTENTS.format(path=f"/{path}"), status_code=404)
        if "unavailable" in wrong():
            return _resting()
        file = cache / path
        with lock:  # two machines ask at once; one builds
            if not file.exists():
                _build(match, file.parent)
        if "checksum" in wrong() and match["checksum"]:
            return PlainTextResponse(f"{'0' * 64}  {file.read_text().split()[1]}\n")
        return FileResponse(file)

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


def _build(match: re.Match[str], directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    if match.re is CILIUM:
        cilium.build(directory)
    else:
        stand_in = cockroach if match.re is COCKROACH else k3s
        stand_in.build(match["version"], directory)
