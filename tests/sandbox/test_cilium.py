"""The agent's options and rules, and ClusterMesh over real TLS on this computer's loopback."""

import base64
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from ipaddress import IPv4Network
from pathlib import Path

import pytest
import yaml

from sandbox.cilium.agent import cni, masquerade, refusals
from sandbox.cilium.agent.options import OptionError, Options, read
from sandbox.cilium.chart import certificates
from sandbox.cilium.mesh import apiserver, kvstoremesh
from sandbox.cilium.mesh.protocol import State, read_peer, states
from tests.sandbox.cilium_values import GOOD

PODS = IPv4Network("10.10.0.0/24")
GOOD_OPTIONS = {
    "cluster-name": "eastus", "cluster-id": "1", "routing-mode": "native", "kube-proxy-replacement": "true",
    "enable-ipv4-masquerade": "true", "enable-bpf-masquerade": "true", "enable-ip-masq-agent": "true",
    "mtu": "0",
}  # fmt: skip


def options(folder: Path, **changes: str) -> Options:
    given = GOOD_OPTIONS | {name.replace("_", "-"): value for name, value in changes.items()}
    for name, value in given.items():
        (folder / name).write_text(value)
    return read(folder)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"enable_ip_masq_agent": "false"}, "native routing cidr must be configured"),
        ({"enable_bpf_masquerade": "false"}, "BPF ip-masq-agent requires"),
        ({"enable_ipv4_masquerade": "false"}, "BPF ip-masq-agent requires"),
        ({"kube_proxy_replacement": "false"}, "BPF masquerade requires NodePort"),
        ({"ipv4_native_routing_cidr": "10/8"}, "Cannot parse CIDR '10/8'"),
    ],
)
def test_options_that_cilium_refuses_end_the_agent(
    tmp_path: Path, changes: dict[str, str], said: str
) -> None:
    with pytest.raises(OptionError) as refused:
        options(tmp_path, **changes)
    assert said in str(refused.value)


def networks(*texts: str) -> tuple[IPv4Network, ...]:
    return tuple(IPv4Network(text) for text in texts)


def test_the_lists_of_ip_masq_agent_are_followed_exactly(tmp_path: Path) -> None:
    given = options(tmp_path)
    config = masquerade.ip_masq_agent(yaml.safe_dump(GOOD["ipMasqAgent"]["config"]))
    assert masquerade.excluded(given, config) == networks("10.1.0.0/16", "10.10.0.0/16")
    hidden = masquerade.ip_masq_agent("nonMasqueradeCIDRs: [10.1.0.0/16]")
    assert masquerade.excluded(given, hidden) == networks("10.1.0.0/16", "169.254.0.0/16")
    assert masquerade.excluded(given, masquerade.ip_masq_agent(""))[0] == IPv4Network("10.0.0.0/8")


def test_without_ip_masq_agent_the_native_range_is_not_masqueraded(tmp_path: Path) -> None:
    given = options(tmp_path, enable_ip_masq_agent="false", ipv4_native_routing_cidr="10.0.0.0/8")
    assert masquerade.excluded(given, masquerade.IpMasqAgent()) == networks("10.0.0.0/8")


def test_a_list_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(OptionError, match="nonsense"):
        masquerade.ip_masq_agent("nonMasqueradeCIDRs: [nonsense]")


def test_rules_spare_the_nodes_own_pods_and_the_nodes_of_the_cluster() -> None:
    rules = masquerade.rules(PODS, networks("10.2.0.0/16"), ["10.1.1.5"])
    assert "elements = { 10.1.1.5/32, 10.10.0.0/24, 10.2.0.0/16 }" in rules
    assert "ip saddr 10.10.0.0/24 ip daddr != @not_masqueraded masquerade" in rules


def test_a_nodes_pods_get_addresses_of_its_range_and_other_configurations_step_aside(tmp_path: Path) -> None:
    (tmp_path / "10-flannel.conflist").write_text("{}")
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "loopback").write_text("another's")
    cni.install(programs, tmp_path, PODS, 1500)
    assert (programs / "loopback").read_text() == "another's"
    assert (programs / "ptp").readlink() == Path("/usr/lib/cni/ptp")
    written = json.loads((tmp_path / "05-cilium.conflist").read_text())
    assert written["plugins"][0]["ipam"]["ranges"] == [[{"subnet": "10.10.0.0/24"}]]
    assert not written["plugins"][0]["ipMasq"]
    assert (tmp_path / "10-flannel.conflist.cilium_bak").exists()


@pytest.mark.parametrize(
    ("kind", "annotations", "said"),
    [
        ("Service", {}, ""),
        ("Service", {"service.cilium.io/global": "true"}, "global services are not emulated"),
        ("NetworkPolicy", {}, "network policies are not enforced"),
    ],
)
def test_objects_that_cilium_would_follow_are_refused_aloud(
    kind: str, annotations: dict[str, str], said: str
) -> None:
    reason = refusals.reason({"kind": kind, "metadata": {"annotations": annotations}})
    assert said in reason
    assert bool(said) == bool(reason)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the certificates of the server and of a client of cluster eastus."""
    authority = certificates.given(GOOD["tls"]["ca"]["cert"], GOOD["tls"]["ca"]["key"])
    for role, names in (("server", ("*.mesh.cilium.io",)), ("client", ())):
        for name, content in certificates.issue(authority, role, 1, names).items():
            (tmp_path / f"{role}-{name}").write_bytes(base64.b64decode(content))
    return tmp_path


def peer_text(folder: Path, port: int, host: str = "westus.mesh.cilium.io") -> str:
    return yaml.safe_dump(
        {
            "endpoints": [f"https://{host}:{port}"],
            "trusted-ca-file": str(folder / "client-ca.crt"),
            "cert-file": str(folder / "client-tls.crt"),
            "key-file": str(folder / "client-tls.key"),
            "cilium-host-aliases": {host: {"ips": ["127.0.0.1"]}},
        }
    )


Serve = Callable[[apiserver.Server], int]


@pytest.fixture
def serve(folder: Path) -> Iterator[Serve]:
    """Serve for one cluster on a free port, until the test is over."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server-tls.crt", folder / "server-tls.key")
    context.load_verify_locations(folder / "server-ca.crt")
    context.verify_mode = ssl.CERT_REQUIRED
    listeners, threads = [], []

    def accept(listener: socket.socket, server: apiserver.Server) -> None:
        while True:
            try:
                raw, address = listener.accept()
            except OSError:
                return
            thread = threading.Thread(
                target=apiserver.serve, args=(server, context, raw, address), daemon=True
            )
            thread.start()

    def start(server: apiserver.Server) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        thread = threading.Thread(target=accept, args=(listener, server))
        threads.append(thread)
        thread.start()
        return int(listener.getsockname()[1])

    yield start
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
    for thread in threads:
        thread.join()


def test_a_server_tells_its_clients_what_changes(folder: Path, serve: Serve) -> None:
    server = apiserver.Server("westus", 2)
    port = serve(server)
    with closing(states(read_peer(peer_text(folder, port)), "127.0.0.1")) as told:
        assert next(told) == {"name": "westus", "id": 2, "nodes": 0, "remotes": {}}
        server.set("nodes", 3)
        assert next(told)["nodes"] == 3


def test_a_server_of_another_name_is_not_believed(folder: Path, serve: Serve) -> None:
    port = serve(apiserver.Server("westus", 2))
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        next(states(read_peer(peer_text(folder, port, "westus.elsewhere.io")), "127.0.0.1"))


def test_a_client_without_a_certificate_of_the_authority_hears_nothing(folder: Path, serve: Serve) -> None:
    port = serve(apiserver.Server("westus", 2))
    context = ssl.create_default_context(cafile=str(folder / "client-ca.crt"))
    with (
        socket.create_connection(("127.0.0.1", port)) as raw,
        pytest.raises(ssl.SSLError, match="certificate required"),
        context.wrap_socket(raw, server_hostname="westus.mesh.cilium.io") as connection,
    ):
        connection.recv(1)


def check(remote: kvstoremesh.Remote, *others: kvstoremesh.Remote, **state: object) -> None:
    mesh = kvstoremesh.Mesh("eastus", 1)
    for one in (remote, *others):
        mesh.remotes[one.name] = one
    told: State = {"name": "westus", "id": 2, "nodes": 3} | state
    mesh.check(remote, told)


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"name": "northeurope"}, "it is cluster northeurope, and not westus"),
        ({"id": 1}, "its cluster id is 1 as our own"),
        ({"id": 7}, "its cluster id is 7 as that of other"),
    ],
)
def test_a_cluster_that_is_not_the_declared_one_is_not_connected(state: dict[str, object], said: str) -> None:
    other = kvstoremesh.Remote("other", connected=True, cluster_id=7)
    check(kvstoremesh.Remote("westus"), other)
    with pytest.raises(kvstoremesh.Mismatch, match=said):
        check(kvstoremesh.Remote("westus"), other, **state)


def test_a_lost_cluster_is_shown_as_such_with_the_reason(folder: Path, serve: Serve) -> None:
    port = serve(apiserver.Server("westus", 2))
    remote = kvstoremesh.Remote("westus")
    mesh = kvstoremesh.Mesh("eastus", 1)
    mesh.remotes["westus"] = remote
    mesh.found(remote, {"id": 2, "nodes": 3}, f"https://127.0.0.1:{port}")
    shown = kvstoremesh.as_status(vars(remote))
    assert (shown["connected"], shown["ready"], shown["num-nodes"]) == (True, True, 3)
    mesh.lost(remote, "the server closed the connection")
    shown = kvstoremesh.as_status(vars(remote))
    assert (shown["connected"], shown["num-failures"], shown["num-nodes"]) == (False, 1, 0)
    assert shown["status"] == "the server closed the connection"
