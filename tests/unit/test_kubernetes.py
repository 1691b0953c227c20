"""The door to a Kubernetes API, against servers that answer, refuse, or are not there."""

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
import yaml

from roachmesh import certificates, topology
from roachmesh.certificates import KeyPair
from roachmesh.errors import KubernetesBusy, KubernetesRefused
from roachmesh.kubeconfig import Access, Context, document
from roachmesh.plan import make_plan
from roachmesh.security_rules import KUBERNETES_PORT
from tasks import hosts
from tasks.deployment import Deployment
from tasks.hosts import Host
from tasks.k3s import _cluster_id
from tasks.kubernetes import Kubernetes
from tasks.machines import Machine

AUTHORITY = certificates.make_authority("test", datetime.now(UTC))
HERE, NOBODY, THERE = (IPv4Address(f"127.77.0.{number}") for number in (1, 2, 3))
POD = {"name": "pods", "kind": "Pod", "namespaced": True, "verbs": ["get"], "singularName": ""}
NAMESPACE = {**POD, "name": "namespaces", "kind": "Namespace", "namespaced": False}
DISCOVERY: dict[str, Any] = {
    "/version": {"major": "1", "minor": "36"},
    "/apis": {"kind": "APIGroupList", "groups": []},
    "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": [POD, NAMESPACE]},
}
PODS = "/api/v1/namespaces/default/pods"


def access(authority: KeyPair = AUTHORITY) -> Access:
    me = certificates.issue(AUTHORITY, certificates.client_purpose("admin"), datetime.now(UTC))
    return Access(authority.certificate, me.certificate, me.key)


@contextmanager
def api(address: IPv4Address, answers: dict[str, tuple[int, Any]], directory: Path) -> Iterator[None]:
    """Serve answers, each a status and a body, by path."""
    node = certificates.issue(AUTHORITY, certificates.node_purpose(address, "api"), datetime.now(UTC))
    (directory / "pem").write_text(node.certificate + node.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "pem")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            status, body = answers.get(path) or (200, DISCOVERY.get(path))
            if body is None:
                status, body = 404, {"message": "there is none"}
            content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Say nothing."""

    with ThreadingHTTPServer((str(address), KUBERNETES_PORT), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.daemon_threads = True
        serving = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        serving.start()
        try:
            yield
        finally:
            server.shutdown()
            serving.join()


def pod(name: str) -> dict[str, Any]:
    return {"kind": "Pod", "metadata": {"name": name}}


def test_the_next_server_is_asked_when_one_does_not_answer(tmp_path: Path) -> None:
    cluster = Kubernetes("eastus", [NOBODY, HERE], access())

    with api(HERE, {f"{PODS}/one": (200, pod("one"))}, tmp_path):
        assert cluster.read("v1/Pod", "one", "default") == pod("one")
        assert cluster.read("v1/Pod", "two", "default") is None


def test_nobody_answering_says_whom_was_asked_and_why_not() -> None:
    with pytest.raises(KubernetesBusy, match=r"eastus: its API does not answer: 127.77.0.1: .*; 127.77.0.2"):
        Kubernetes("eastus", [HERE, NOBODY], access()).list("v1/Pod")


@pytest.mark.parametrize(
    ("status", "kind", "said"),
    [
        (403, KubernetesRefused, "its API says 403: you may not"),
        (500, KubernetesBusy, "its API says 500: you may not"),
        (503, KubernetesBusy, "its API does not answer: 127.77.0.1: you may not"),
    ],
)
def test_what_the_api_says_is_quoted(tmp_path: Path, status: int, kind: type[Exception], said: str) -> None:
    answers = {f"{PODS}/one": (status, {"message": "you may not"})}

    with api(HERE, answers, tmp_path), pytest.raises(kind, match=said):
        Kubernetes("eastus", [HERE], access()).read("v1/Pod", "one", "default")


def test_another_clusters_certificate_is_not_trusted(tmp_path: Path) -> None:
    other = certificates.make_authority("other", datetime.now(UTC))

    with api(HERE, {}, tmp_path), pytest.raises(KubernetesRefused, match="another cluster's certificate"):
        Kubernetes("eastus", [HERE], access(other)).list("v1/Pod")


def test_a_kind_that_the_cluster_does_not_know_yet_may_come(tmp_path: Path) -> None:
    cluster = Kubernetes("eastus", [HERE], access())

    with api(HERE, {}, tmp_path):
        assert not cluster.offers("helm.cattle.io/v1/HelmChart")
        with pytest.raises(KubernetesBusy, match=r"does not know that \(yet\)"):
            cluster.read("helm.cattle.io/v1/HelmChart", "cilium", "kube-system")


class Session:
    """An SSH session to a machine that has a kubeconfig."""

    is_open = True

    def __init__(self) -> None:
        self.text = yaml.safe_dump(document([Context("default", HERE, access())]))
        self.commands: list[list[str]] = []

    def run(self, command: list[str]) -> str:
        self.commands.append(command)
        return self.text


def test_each_server_is_asked_itself_and_how_to_only_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan(topology.DEFAULT)
    deployment = Deployment(key="test", plan=plan)
    servers, sessions = [], []
    for node, address in zip(plan.nodes, (HERE, THERE), strict=False):
        host = Host(name=node.name, address=address, host_key=f"the key of {node.name}")
        servers.append(Machine(what=node.name, change="unchanged", node=node, host=host))
        sessions.append(Session())
        monkeypatch.setitem(hosts._sessions, host.host_key, sessions[-1])

    def answer(uid: str) -> dict[str, tuple[int, Any]]:
        return {"/api/v1/namespaces/kube-system": (200, {"metadata": {"uid": uid}})}

    with api(HERE, answer("one"), tmp_path), api(THERE, answer("another"), tmp_path):
        for _ in range(2):
            assert [_cluster_id(deployment, server) for server in servers] == ["one", "another"]
    assert [len(session.commands) for session in sessions] == [1, 1]


def test_a_log_that_looks_like_json_stays_text(tmp_path: Path) -> None:
    with api(HERE, {f"{PODS}/one/log": (200, '{"a": 1}')}, tmp_path):
        assert Kubernetes("eastus", [HERE], access()).logs("default", "one") == '{"a": 1}'
