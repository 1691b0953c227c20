"""The stand-in for CoreDNS answers as k3s's Corefile and `coredns-custom` say, and refuses the rest."""

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rrset
import pytest
import yaml

from sandbox.cluster import coredns
from sandbox.cluster.coredns import server
from sandbox.cluster.coredns.cluster_zone import ClusterIndex
from sandbox.cluster.coredns.corefile import CorefileError, read
from sandbox.cluster.kubernetes_api import Event

ROOT = Path(__file__).parents[2]
K3S = next(
    obj["data"]["Corefile"].replace("%{CLUSTER_DOMAIN}%", "cluster.local")
    for obj in yaml.safe_load_all((Path(coredns.__file__).parent.parent / "coredns.yaml").read_text())
    if obj["kind"] == "ConfigMap"
)
PUBLIC = "public.crdb-eastus.svc.cluster.local"
PEERS = """crdb-westus.svc.cluster.local:53 {{
    errors
    cache {{
        success 1000 5
        denial 100 2
    }}
    forward . {servers} {{
        force_tcp
        health_check 100ms
    }}
}}
"""


def object_of(name: str, namespace: str = "", **fields: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace}, **fields}


def cluster() -> ClusterIndex:
    """A cluster with a Service, a headless one of two pods, and an alias."""
    index = ClusterIndex()
    ports = [{"name": "grpc", "port": 26257, "protocol": "TCP"}]
    addresses = [{"ip": "10.10.0.5", "hostname": "cockroachdb-0"}, {"ip": "10.10.1.6"}]
    given = {
        "namespaces": [object_of("crdb-eastus"), object_of("default")],
        "services": [
            object_of("public", "crdb-eastus", spec={"clusterIP": "10.20.0.7", "ports": ports}),
            object_of("cockroachdb", "crdb-eastus", spec={"clusterIP": "None", "ports": ports}),
            object_of("nobody", "crdb-eastus", spec={"clusterIP": "None"}),
            object_of("alias", "default", spec={"type": "ExternalName", "externalName": PUBLIC}),
        ],
        "endpoints": [
            object_of(
                "cockroachdb", "crdb-eastus",
                subsets=[{"addresses": addresses, "notReadyAddresses": [{"ip": "10.10.9.9"}]}],
            ),
        ],
    }  # fmt: skip
    for kind, objects in given.items():
        for obj in objects:
            index.take(kind, Event("ADDED", obj))
        index.take(kind, Event("SYNCED", {}))
    return index


def corefile(folder: Path, text: str = K3S, custom: dict[str, str] | None = None) -> Path:
    (folder / "custom").mkdir(exist_ok=True)
    for name, content in (custom or {}).items():
        (folder / "custom" / name).write_text(content)
    (folder / "NodeHosts").write_text("10.1.1.4 k3s-eastus-1\n")
    (folder / "resolv.conf").write_text("search none\nnameserver 10.9.9.9\n")
    path = folder / "Corefile"
    path.write_text(text.replace("/etc/coredns/", f"{folder}/").replace("/etc/resolv", f"{folder}/resolv"))
    return path


def ask_on(path: Path, *questions: tuple[str, str]) -> list[dns.message.Message]:
    servers, _ = read(path)

    async def ask() -> list[dns.message.Message]:
        answer = server.Servers(servers, cluster()).answer_on(53)
        replies = [await answer(dns.message.make_query(*question).to_wire(), False) for question in questions]
        return [dns.message.from_wire(reply or b"") for reply in replies]

    return asyncio.run(ask())


def texts(message: dns.message.Message) -> list[str]:
    return sorted(item.to_text() for rrset in message.answer for item in rrset)


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("public.crdb-eastus.svc.cluster.local", "A", ["10.20.0.7"]),
        ("PUBLIC.crdb-eastus.svc.Cluster.local", "A", ["10.20.0.7"]),
        ("public.crdb-eastus.svc.cluster.local", "AAAA", []),
        ("cockroachdb.crdb-eastus.svc.cluster.local", "A", ["10.10.0.5", "10.10.1.6"]),
        ("cockroachdb-0.cockroachdb.crdb-eastus.svc.cluster.local", "A", ["10.10.0.5"]),
        ("10-10-1-6.cockroachdb.crdb-eastus.svc.cluster.local", "A", ["10.10.1.6"]),
        (f"_grpc._tcp.{PUBLIC}", "SRV", [f"0 100 26257 {PUBLIC}."]),
        ("10-10-7-7.default.pod.cluster.local", "A", ["10.10.7.7"]),
        ("alias.default.svc.cluster.local", "A", ["10.20.0.7", "public.crdb-eastus.svc.cluster.local."]),
        ("7.0.20.10.in-addr.arpa", "PTR", ["public.crdb-eastus.svc.cluster.local."]),
        ("5.0.10.10.in-addr.arpa", "PTR", ["cockroachdb-0.cockroachdb.crdb-eastus.svc.cluster.local."]),
        ("k3s-eastus-1", "A", ["10.1.1.4"]),
        ("crdb-eastus.svc.cluster.local", "A", []),
    ],
)  # fmt: skip
def test_names_of_the_cluster(tmp_path: Path, name: str, kind: str, expected: list[str]) -> None:
    (reply,) = ask_on(corefile(tmp_path), (name, kind))
    assert reply.rcode() == dns.rcode.NOERROR
    assert texts(reply) == expected


@pytest.mark.parametrize(
    "name",
    [
        "nothing.crdb-eastus.svc.cluster.local",
        "public.elsewhere.svc.cluster.local",
        "nobody.crdb-eastus.svc.cluster.local",
        "cockroachdb-9.cockroachdb.crdb-eastus.svc.cluster.local",
        "what.cluster.local",
    ],
)
def test_names_that_the_cluster_does_not_have(tmp_path: Path, name: str) -> None:
    (reply,) = ask_on(corefile(tmp_path), (name, "A"))
    assert reply.rcode() == dns.rcode.NXDOMAIN
    assert reply.authority[0].ttl == 5


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def with_peer(
    folder: Path, use: Callable[[server.Answer, list[str]], Coroutine[Any, Any, None]], addresses: str = ""
) -> None:
    """Use a server that forwards a peer's namespace to one of ours, which keeps a list."""
    seen: list[str] = []
    port = free_port()

    async def peer(wire: bytes, is_tcp: bool) -> bytes:
        query = dns.message.from_wire(wire)
        seen.append("tcp" if is_tcp else "udp")
        reply = dns.message.make_response(query)
        reply.answer.append(dns.rrset.from_text(query.question[0].name, 30, "IN", "A", "10.11.0.3"))
        return reply.to_wire()

    async def run() -> None:
        custom = PEERS.format(servers=addresses.format(port=port) or f"127.0.0.1:{port}")
        servers, files = read(corefile(folder, custom={"peers.server": custom}))
        assert len(files) == 2
        async with server.listening(port, peer):
            await use(server.Servers(servers, cluster()).answer_on(53), seen)

    asyncio.run(run())


async def resolved(answer: server.Answer, name: str) -> dns.message.Message:
    return dns.message.from_wire(await answer(dns.message.make_query(name, "A").to_wire(), False) or b"")


PEER_NAME = "cockroachdb-0.cockroachdb.crdb-westus.svc.cluster.local"


def test_a_peers_names_are_asked_of_the_peer_over_tcp_and_kept_for_a_while(tmp_path: Path) -> None:
    async def use(answer: server.Answer, seen: list[str]) -> None:
        first, second = await resolved(answer, PEER_NAME), await resolved(answer, PEER_NAME)
        assert texts(first) == texts(second) == ["10.11.0.3"]
        assert seen == ["tcp"]

    with_peer(tmp_path, use)


def test_a_dead_peer_is_passed_over(tmp_path: Path) -> None:
    async def use(answer: server.Answer, seen: list[str]) -> None:
        for number in range(8):
            assert texts(await resolved(answer, f"{number}.{PEER_NAME}")) == ["10.11.0.3"]

    with_peer(tmp_path, use, f"127.0.0.1:{free_port()} 127.0.0.1:{{port}}")


def test_when_no_peer_answers_the_answer_is_servfail_and_is_not_kept(tmp_path: Path) -> None:
    async def use(answer: server.Answer, seen: list[str]) -> None:
        assert (await resolved(answer, PEER_NAME)).rcode() == dns.rcode.SERVFAIL
        assert (await resolved(answer, PEER_NAME)).rcode() == dns.rcode.SERVFAIL

    with_peer(tmp_path, use, f"127.0.0.1:{free_port()}")


def test_it_listens_over_udp_and_tcp(tmp_path: Path) -> None:
    servers, _ = read(corefile(tmp_path))
    port = free_port()

    async def run() -> None:
        query = dns.message.make_query("public.crdb-eastus.svc.cluster.local", "A")
        async with server.listening(port, server.Servers(servers, cluster()).answer_on(53)):
            for ask in (dns.asyncquery.udp, dns.asyncquery.tcp):
                assert texts(await ask(query, "127.0.0.1", 2, port)) == ["10.20.0.7"]

    asyncio.run(run())


def test_what_does_not_fit_a_datagram_is_cut(tmp_path: Path) -> None:
    index = cluster()
    addresses = [{"ip": f"10.10.2.{number}"} for number in range(1, 200)]
    index.take(
        "endpoints", Event("ADDED", object_of("nobody", "crdb-eastus", subsets=[{"addresses": addresses}]))
    )
    servers, _ = read(corefile(tmp_path))

    async def both() -> None:
        answer = server.Servers(servers, index).answer_on(53)
        query = dns.message.make_query("nobody.crdb-eastus.svc.cluster.local", "A").to_wire()
        assert dns.message.from_wire(await answer(query, False) or b"").flags & dns.flags.TC
        assert len(texts(dns.message.from_wire(await answer(query, True) or b""))) == 199

    asyncio.run(both())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (".:53 {\n rewrite name a b\n}", "Corefile:2: plugin/rewrite: is not emulated"),
        (".:53 {\n cache 30 {\n  prefetch 10\n }\n}", "plugin/cache: prefetch 10 is not emulated"),
        (".:53 {\n kubernetes cluster.local {\n  pods verified\n }\n}", "plugin/kubernetes: pods verified"),
        (".:53 {\n forward . tls://1.1.1.1\n}", "plugin/forward: tls://1.1.1.1 is not emulated"),
        (".:53 {\n forward . 10.0.0.1 {\n  health_check soon\n }\n}", "soon is no duration"),
        (".:53 {\n loop\n forward . 127.0.0.53\n}", "Loop (127.0.0.53:53 -> :53) detected"),
        (".:53 {\n errors\n", "Corefile:1: the block is not closed"),
        (".:53 {\n}\n.:53 {\n}", "cannot serve dns://.:53 - it is already defined"),
        ("errors", "a server's line ends with {"),
        ("(snippet) {\n}", "snippets and variables are not emulated"),
    ],
)
def test_what_is_not_emulated_is_refused_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    path = corefile(tmp_path, text)
    with pytest.raises(CorefileError) as refused:
        server.Servers(read(path)[0], cluster())
    assert said in str(refused.value)


def test_overrides_stand_in_the_block_that_imports_them(tmp_path: Path) -> None:
    override = "rewrite name exact a b\n"
    with pytest.raises(CorefileError, match=r"custom/my\.override:1: plugin/rewrite"):
        read(corefile(tmp_path, custom={"my.override": override}))


def test_the_program_reads_its_files_again_when_they_change(tmp_path: Path) -> None:
    port = free_port()
    hosts = f"hosts {tmp_path}/custom/names\n"
    path = corefile(tmp_path, f".:{port} {{\n{hosts}import {tmp_path}/custom/*.override\nreload 1s\n}}\n")
    (tmp_path / "custom/names").write_text("10.0.0.1 one\n")
    program = tmp_path / "coredns"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        "from sandbox.cluster.coredns.program import main\nmain()\n"
    )
    program.chmod(0o755)

    def asked(name: str, until: str) -> None:
        deadline = time.monotonic() + 20
        query = dns.message.make_query(name, "A")
        while time.monotonic() < deadline:
            try:
                reply = dns.query.udp(query, "127.0.0.1", 0.5, port)
            except (OSError, dns.exception.Timeout):
                continue
            if dns.rcode.to_text(reply.rcode()) == until:
                return
            time.sleep(0.1)
        raise AssertionError(f"{name} never was {until}")

    with subprocess.Popen([program, "-conf", path], stdout=subprocess.PIPE, text=True) as process:
        try:
            asked("one", "NOERROR")
            asked("two", "NXDOMAIN")
            refused = tmp_path / "custom/peers.override"
            refused.write_text("rewrite name a b\n")
            time.sleep(1.5)
            asked("one", "NOERROR")  # what cannot be read changes nothing
            refused.write_text(f"hosts {tmp_path}/custom/others\n")
            path.write_text(path.read_text().replace(hosts, ""))
            (tmp_path / "custom/others").write_text("10.0.0.2 two\n")
            asked("two", "NOERROR")
        finally:
            process.terminate()
            said = process.communicate()[0]
    assert "Corefile changed but reload failed" in said
    assert said.count("this is a stand-in for CoreDNS") == 2
