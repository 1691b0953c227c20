"""Leases that a server finds after a restart."""

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from sandbox.cluster import leader
from sandbox.cluster.kubernetes_api import KubernetesApi
from tests.sandbox.arm_fixtures import serving

NAME = "kube-scheduler"
CLOSE = {"Connection": "close"}  # the client would keep it open
Lease = dict[str, Any]


@pytest.fixture
def lease() -> Lease:
    """The Lease that the API server has."""
    return {
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": NAME, "namespace": "kube-system", "resourceVersion": "1"},
        "spec": {"holderIdentity": "host-a4_5c0f", "leaseDurationSeconds": 30},
    }  # fmt: skip


@pytest.fixture
def api(lease: Lease, tmp_path: Path) -> Iterator[KubernetesApi]:
    """An API server of one Lease, which another server takes between two requests if `hasty`."""

    async def answer(request: Request) -> JSONResponse:
        if request.method == "PUT":
            given = await request.json()
            if given["metadata"]["resourceVersion"] != lease["metadata"]["resourceVersion"]:
                return JSONResponse({"message": "the object has been modified"}, 409, headers=CLOSE)
            lease.update(given)
        found = JSONResponse(lease, headers=CLOSE)
        if lease["metadata"].get("labels") == {"hasty": "true"}:
            lease["metadata"] = lease["metadata"] | {"resourceVersion": "2"}
        return found

    app = Starlette(routes=[Route(leader.path_of(NAME), answer, methods=["GET", "PUT"])])
    with serving(app, tmp_path) as (address, ca_file):
        parts = urlsplit(address)
        context = ssl.create_default_context(cafile=str(ca_file))
        yield KubernetesApi(parts.hostname or "", parts.port or 0, context)


def test_a_server_frees_what_it_held_itself(api: KubernetesApi, lease: Lease) -> None:
    leader.free(api, NAME, "host-a4")
    assert lease["spec"]["holderIdentity"] == ""


def test_a_server_leaves_alone_what_another_holds(api: KubernetesApi, lease: Lease) -> None:
    leader.free(api, NAME, "host-a")
    assert lease["spec"]["holderIdentity"] == "host-a4_5c0f"


def test_a_server_leaves_alone_what_another_takes_meanwhile(api: KubernetesApi, lease: Lease) -> None:
    lease["metadata"]["labels"] = {"hasty": "true"}
    leader.free(api, NAME, "host-a4")
    assert lease["spec"]["holderIdentity"] == "host-a4_5c0f"
