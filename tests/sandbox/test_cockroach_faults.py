"""The stand-in when certificates are wrong, and when nodes stop, die and come back."""

import os
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sandbox.cockroach.certificates import CertificateError, check_key
from tests.sandbox.cockroach_fixtures import (
    CLIENT,
    PORT,
    SERVER,
    Authority,
    Cluster,
    Node,
    cluster,
    needs_postgres,
    wait_until,
)

pytestmark = needs_postgres

ACTIVE = "SELECT string_agg(left(query, 15), '|') FROM pg_stat_activity WHERE state = 'active'"


@pytest.fixture(scope="module")
def running() -> Iterator[Cluster]:
    with cluster("127.77.2", 3) as made:
        for node in made.nodes:
            node.start()
        made.nodes[0].init()
        for node in made.nodes:
            node.wait_ready()
        yield made


def test_a_key_of_root_may_be_read_by_the_group_of_the_process(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can make a key that root owns")
    key = tmp_path / "node.key"
    key.touch()
    for mode, group, allowed in (
        (0o740, os.getgid(), True),
        (0o740, 65534, False),
        (0o744, os.getgid(), False),
    ):
        key.chmod(mode)
        os.chown(key, 0, group)
        if allowed:
            check_key(key)
        else:
            with pytest.raises(CertificateError, match="exceeds"):
                check_key(key)


@pytest.fixture
def newcomer(running: Cluster) -> Iterator[Node]:
    """A fourth node, not started; the test spoils it."""
    node = running.add(4)
    node.directory.joinpath("log").touch()
    yield node
    if node.process and node.process.poll() is None:
        node.stop()
    running.nodes.remove(node)
    for path in (node.directory / "store").rglob("*.json"):
        path.unlink()


def refused_with(node: Node, message: str) -> None:
    """Start a node that must not get into the cluster, and says why."""
    node.start()
    wait_until(lambda: message in node.log, message, 10)
    assert node.health()[0] == 503
    assert node.address not in node.cluster.nodes[0].status()


def test_a_node_of_a_foreign_authority_cannot_join(newcomer: Node) -> None:
    newcomer.issue(Authority("Foreign CA"))
    refused_with(newcomer, "certificate verify failed")
    started = time.monotonic()
    wait_until(lambda: time.monotonic() - started > 2.2, "a repeated attempt", 10)
    assert newcomer.log.count(f"unable to join through 127.77.2.1:{PORT}") == 1


def test_a_foreign_client_certificate_is_refused_by_the_others(newcomer: Node) -> None:
    Authority("Foreign CA").issue(newcomer.certs, "client.node", "node", CLIENT)
    newcomer.cluster.give_away(newcomer.certs)
    refused_with(newcomer, "alert unknown ca")


def test_a_server_certificate_is_refused_as_client(newcomer: Node) -> None:
    newcomer.cluster.authority.issue(newcomer.certs, "client.node", "node", SERVER)
    newcomer.cluster.give_away(newcomer.certs)
    refused_with(newcomer, "alert unsupported certificate")
    assert "unsuitable certificate purpose" in newcomer.cluster.nodes[0].log


def test_a_client_certificate_is_refused_as_server(newcomer: Node) -> None:
    newcomer.cluster.authority.issue(newcomer.certs, "node", "node", CLIENT, address=newcomer.address)
    newcomer.cluster.give_away(newcomer.certs)
    newcomer.start()
    wait_until(lambda: "unsuitable certificate purpose" in newcomer.health()[1], "its refusal", 10)


def test_a_certificate_without_the_dialled_address_is_refused(newcomer: Node) -> None:
    newcomer.cluster.authority.issue(newcomer.certs, "node", "node", SERVER, address="127.77.2.99")
    newcomer.cluster.give_away(newcomer.certs)
    newcomer.start()
    wait_until(lambda: "IP address mismatch" in newcomer.health()[1], "its refusal", 10)


def spoil_mode(node: Node) -> None:
    (node.certs / "node.key").chmod(0o644)


def spoil_key(node: Node) -> None:
    (node.certs / "client.node.key").unlink()


def spoil_name(node: Node) -> None:
    node.cluster.authority.issue(node.certs, "client.node", "somebody", CLIENT)


def spoil_split(node: Node) -> None:
    (node.certs / "client.node.crt").unlink()


def spoil_authority(node: Node) -> None:
    (node.certs / "ca.crt").unlink()


def spoil_certificate(node: Node) -> None:
    (node.certs / "node.crt").write_text("no certificate")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_mode, "node.key has permissions -rw-r--r--, exceeds -rwx------"),
        (spoil_key, "client.node.key: No such file or directory"),
        (spoil_name, 'client certificate has principals ["somebody"], expected "node"'),
        (
            spoil_split,
            'client/server node certificate has principals ["anything" "localhost"], expected "node"',
        ),
        (spoil_authority, "problem with CA certificate: not found"),
        (spoil_certificate, "failed to parse certificate file node.crt as PEM"),
    ],
)
def test_the_loader_refuses(newcomer: Node, spoil: object, message: str) -> None:
    assert callable(spoil)
    spoil(newcomer)
    newcomer.cluster.give_away(newcomer.certs)
    newcomer.start()
    assert newcomer.process
    assert newcomer.process.wait(10) == 1
    assert "ERROR: cannot load certificates." in newcomer.log
    assert message in newcomer.log


def test_one_certificate_for_both_uses_is_enough(newcomer: Node) -> None:
    (newcomer.certs / "client.node.crt").unlink()
    newcomer.cluster.authority.issue(newcomer.certs, "node", "node", SERVER, CLIENT, address=newcomer.address)
    newcomer.cluster.give_away(newcomer.certs)
    newcomer.start()
    newcomer.wait_ready()
    assert newcomer.query("SELECT 1") == "1"


def test_a_client_authority_of_its_own_verifies_all_clients(newcomer: Node) -> None:
    clients = Authority("Client CA")
    clients.write(newcomer.certs, "ca-client")
    newcomer.cluster.give_away(newcomer.certs)
    newcomer.start()
    newcomer.wait_ready()
    assert "alert unknown ca" in newcomer.psql("SELECT 1").stderr
    clients.issue(newcomer.cluster.user_certs, "client.split", "split", CLIENT)
    newcomer.cluster.give_away(newcomer.cluster.user_certs)
    newcomer.cluster.nodes[0].query("CREATE USER split")
    assert newcomer.query("SELECT current_user", "split") == "split"


def test_a_node_of_another_cluster_name_cannot_join(newcomer: Node) -> None:
    newcomer.start("--cluster-name=other")
    wait_until(lambda: "peer node expects cluster name" in newcomer.log, "its refusal", 10)


def test_a_node_that_died_is_not_live_until_it_is_back_with_its_id(running: Cluster) -> None:
    first, _, third = running.nodes
    before = first.status()[third.address]["id"]
    third.stop(signal.SIGKILL)
    wait_until(lambda: first.status()[third.address]["is_live"] == "false", "it to be seen as dead", 10)
    assert first.status()[third.address]["is_available"] == "false"
    third.start()
    third.wait_ready()
    row = first.status()[third.address]
    assert (row["id"], row["is_live"]) == (before, "true")


def postgres_of(node: Node) -> list[int]:
    """The processes that run on a node's data."""
    wanted = str(node.directory / "store")
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"postgres" in words[0] and wanted.encode() in b" ".join(words):
            found.append(int(path.parent.name))
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_without_the_first_node_there_is_no_quorum_until_it_is_back(
    running: Cluster, number: signal.Signals
) -> None:
    first, second, third = running.nodes
    first.query(f"CREATE TABLE kept_{number} AS SELECT 'still here' AS note")
    with ThreadPoolExecutor() as pool:
        slow = pool.submit(second.psql, "SELECT 'asleep', pg_sleep(30)")
        wait_until(lambda: "asleep" in third.query(ACTIVE), "a session to be open", 5)
        started = time.monotonic()
        if number == signal.SIGTERM:
            for pid in postgres_of(first):  # systemd signals every process of a service
                os.kill(pid, number)
        code = first.stop(number)
        assert slow.result().returncode != 0
    assert code == (0 if number == signal.SIGTERM else -number)
    assert time.monotonic() - started < 5
    wait_until(lambda: not postgres_of(first), "PostgreSQL to be gone", 10)
    wait_until(lambda: second.health()[0] == third.health()[0] == 503, "no quorum", 10)
    assert "node is not healthy" in second.health()[1]
    assert second.health("")[0] == 200
    if number == signal.SIGTERM:
        started = time.monotonic()
        assert "internal error while retrieving user account" in second.psql("SELECT 1").stderr
        assert time.monotonic() - started < 7
    first.start()
    for node in running.nodes:
        node.wait_ready()
    assert second.query(f"TABLE kept_{number}") == "still here"
    assert {row["id"] for row in third.status().values() if row["is_live"] == "true"} == {"1", "2", "3"}


def test_a_stopped_node_ends_its_sessions_and_says_goodbye(running: Cluster) -> None:
    _, second, third = running.nodes
    with ThreadPoolExecutor() as pool:
        slow = pool.submit(second.psql, "SELECT 'asleep', pg_sleep(30)")
        wait_until(lambda: "asleep" in third.query(ACTIVE), "a session to be open", 5)
        assert second.stop() == 0
        assert slow.result().returncode != 0
    assert second.log.rstrip().endswith("server drained and shutdown completed")
    assert second.health("")[0] == 0
    second.start()
    second.wait_ready()


def test_systemd_is_told_when_the_node_is_ready(running: Cluster, newcomer: Node) -> None:
    with (
        tempfile.TemporaryDirectory(dir="/tmp") as directory,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bus,
    ):
        bus.settimeout(10)
        bus.bind(f"{directory}/notify")
        Path(directory).chmod(0o755)
        Path(directory, "notify").chmod(0o777)
        os.environ["NOTIFY_SOCKET"] = f"{directory}/notify"
        try:
            newcomer.start()
        finally:
            del os.environ["NOTIFY_SOCKET"]
        assert bus.recv(100) == b"READY=1"
        newcomer.stop()


def test_init_waits_for_its_node() -> None:
    with cluster("127.77.3", 1) as made, ThreadPoolExecutor() as pool:
        node = made.nodes[0]
        early = pool.submit(node.cockroach, "init")
        started = time.monotonic()
        wait_until(lambda: time.monotonic() - started > 0.7, "a first attempt", 5)
        node.start()
        done = early.result()
        assert (done.returncode, done.stdout) == (0, "Cluster successfully initialized\n")
        assert "node not ready to perform cluster initialization" in done.stderr
        node.wait_ready()
