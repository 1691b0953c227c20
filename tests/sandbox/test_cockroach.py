"""The stand-in cluster as its operators and clients see it."""

import csv
import io
import json
import re
import signal
import socket
import ssl
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.sandbox.cockroach_fixtures import (
    CLIENT,
    HTTP_PORT,
    PORT,
    Authority,
    Cluster,
    cluster,
    needs_postgres,
    run,
    wait_until,
)

pytestmark = needs_postgres

FAILED_LOGIN = "password authentication failed for user app"


@pytest.fixture(scope="module")
def running() -> Iterator[Cluster]:
    """Three nodes, initialised once; what was seen before `init` is in `before`."""
    with cluster("127.77.1", 3) as made:
        for number, node in enumerate(made.nodes, 1):
            node.locality = f"region=region-{number},zone=region-{number}-1"
            node.start()
        for node in made.nodes:
            node.wait_listening()
            assert node.health() == (503, node.health()[1])
            assert json.loads(node.health()[1])["error"] == "node is waiting for cluster initialization"
        with ThreadPoolExecutor() as pool:
            early = pool.submit(made.nodes[2].psql, "SELECT 'waited for init'")
            made.nodes[0].init()
            assert early.result().stdout == "waited for init\n"
        for node in made.nodes:
            node.wait_ready()
        yield made


def test_every_node_serves_sql_and_says_that_it_is_a_stand_in(running: Cluster) -> None:
    clusters, ids = set(), set()
    for number, node in enumerate(running.nodes, 1):
        version = node.query("SELECT version()")
        assert version.startswith("CockroachDB CCL v26.2.2 (Roachmesh stand-in on PostgreSQL ")
        statement = "SELECT gateway_region(), crdb_internal.node_id(), current_setting('application_name')"
        row = node.query(statement, PGAPPNAME="a test").split("|")
        assert (row[0], row[2]) == (f"region-{number}", "a test")
        ids.add(row[1])
        clusters.add(node.query("SELECT crdb_internal.cluster_id()"))
        assert "this is a stand-in for CockroachDB" in node.log
        assert re.search(r"^I\d{6} \d\d:\d\d:\d\d\.\d{6} \d+ node\.py:\d+ ⋮ \[n\d\] \d+  ", node.log, re.M)
    assert len(clusters) == 1
    assert ids == {"1", "2", "3"}


def test_what_one_node_writes_every_other_reads(running: Cluster) -> None:
    running.nodes[0].query(
        "CREATE TABLE mesh (writer INT PRIMARY KEY, note TEXT);"
        "CREATE PROCEDURE write_row(INT) LANGUAGE sql AS"
        " $$INSERT INTO mesh VALUES ($1, repeat('x', 300000))$$"
    )
    for number, node in enumerate(running.nodes):
        node.query(f"CALL write_row({number})")
    for node in running.nodes:
        assert node.query("SELECT count(*), sum(length(note)) FROM mesh") == "3|900000"


def test_a_cluster_is_initialised_once(running: Cluster) -> None:
    for node in running.nodes:
        again = node.cockroach("init")
        assert again.returncode == 1
        assert again.stderr.startswith("ERROR: cluster has already been initialized\n")
        assert again.stderr.endswith('Failed running "init"\n')


def test_node_status_has_the_real_columns(running: Cluster) -> None:
    columns = "id address sql_address build started_at updated_at locality attrs is_available is_live".split()
    for node in running.nodes:
        rows = json.loads(node.cockroach("node", "status", "--format", "json").stdout)
        assert [row["id"] for row in rows] == ["1", "2", "3"]
        assert all(row["is_live"] == row["is_available"] == "true" for row in rows)
        assert all(row["build"] == "v26.2.2" and row["attrs"] == "[]" for row in rows)
        assert {row["locality"][:15] for row in rows} == {
            "region=region-1",
            "region=region-2",
            "region=region-3",
        }
    table = running.nodes[1].cockroach("node", "status", "--format=csv").stdout
    assert table.splitlines()[0] == ",".join(columns)
    assert next(csv.DictReader(io.StringIO(table)))["address"] == f"127.77.1.1:{PORT}"
    one = running.nodes[1].cockroach("node", "status", "2", "--format=records").stdout
    assert one.startswith("-[ RECORD 1 ]\nid           | 2\n")
    assert "(3 rows)" in running.nodes[1].cockroach("node", "status", "--format=table").stdout


def test_root_needs_its_certificate(running: Cluster) -> None:
    key = running.user_certs / "client.root.key"
    certificate = key.with_suffix(".crt")
    hidden = [path.rename(path.with_name("hidden" + path.suffix)) for path in (key, certificate)]
    try:
        assert "no password supplied" in running.nodes[1].psql("SELECT 1").stderr
        guess = running.nodes[1].psql("SELECT 1", PGPASSWORD="guess")
        assert "password authentication failed for user root" in guess.stderr
        assert (
            "problem with client cert for user root: not found" in running.nodes[1].cockroach("init").stderr
        )
    finally:
        for path, name in zip(hidden, (key, certificate), strict=True):
            path.rename(name)


def test_a_password_is_checked_on_every_node_and_never_logged(running: Cluster) -> None:
    running.nodes[0].query("CREATE USER app WITH PASSWORD 'right-one'")
    for node in running.nodes:
        assert node.query("SELECT current_user", "app", PGPASSWORD="right-one") == "app"
        for attempt in ({"PGPASSWORD": "wrong-one"}, {"PGPASSWORD": "right-on"}):
            assert FAILED_LOGIN in node.psql("SELECT 1", "app", **attempt).stderr
        stranger = node.psql("SELECT 1", "nobody_known", PGPASSWORD="right-one").stderr
        assert "password authentication failed for user nobody_known" in stranger
    assert not [node for node in running.nodes if "right-one" in node.log]


def test_a_certificate_authenticates_its_own_user_alone(running: Cluster) -> None:
    running.nodes[0].query("CREATE USER carol")
    running.authority.issue(running.user_certs, "client.carol", "carol", CLIENT)
    running.authority.issue(running.user_certs, "client.dave", "carol", CLIENT)
    running.give_away(running.user_certs)
    assert running.nodes[1].query("SELECT current_user", "carol") == "carol"
    refused = running.nodes[1].psql("SELECT 1", "dave")
    assert 'certificate authentication failed for user "dave"' in refused.stderr


def test_plain_text_is_refused(running: Cluster) -> None:
    for node in running.nodes:
        done = run("psql", f"host={node.address} port={PORT} user=root sslmode=disable", "-c", "SELECT 1")
        assert "node is running secure mode, SSL connection required" in done.stderr


def test_a_query_is_cancelled_through_the_node_it_came_in_by(running: Cluster) -> None:
    node = running.nodes[2]
    with ThreadPoolExecutor() as pool:
        slow = pool.submit(node.psql, "SELECT pg_sleep(20)", PGAPPNAME="to be cancelled")
        find = (
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'to be cancelled' AND state = 'active'"
        )
        wait_until(lambda: node.query(find), "the query to run", 5)
        # psql's own cancel needs a terminal, so its process is interrupted as a terminal would.
        run("sh", "-c", "kill -INT $(pgrep -f 'pg_sleep.20')", user=None)
        assert "canceling statement due to user request" in slow.result().stderr


def test_the_sql_command_prints_what_scripts_read(running: Cluster) -> None:
    done = running.nodes[1].cockroach("sql", "-e", "SELECT 1 AS a, 'x,y' AS b", "--format=csv")
    assert (done.returncode, done.stdout) == (0, 'a,b\n1,"x,y"\n')
    done = running.nodes[1].cockroach("sql", "--execute=SELECT NULL AS a, 2 AS b")
    assert done.stdout == "a\tb\nNULL\t2\n"
    done = running.nodes[1].cockroach("sql", "-e", "SELEC 1")
    assert done.returncode == 1
    assert 'Failed running "sql"' in done.stderr


def test_the_databases_of_a_new_cluster_are_there(running: Cluster) -> None:
    names = running.nodes[1].query("SELECT datname FROM pg_database WHERE NOT datistemplate ORDER BY 1")
    assert names.split() == ["defaultdb", "postgres", "system"]
    running.nodes[1].query("CREATE DATABASE later")
    assert running.nodes[1].psql("SELECT version()", database="later").stdout.startswith("CockroachDB CCL")


def test_liveness_is_health_without_ready(running: Cluster) -> None:
    assert running.nodes[1].health("") == (200, "{\n\n}")
    assert running.nodes[1].health("?ready=1")[0] == 200


def test_only_node_and_root_may_call_nodes(running: Cluster) -> None:
    running.authority.issue(running.user_certs, "client.eve", "eve", CLIENT)
    certs, address = running.user_certs, running.nodes[0].address
    for certificate, method, expected in (
        ("", "Health", "no client certificates in request"),
        ("client.eve", "Nodes", "need root or node client cert"),
        ("client.root", "Session", "need root or node client cert"),
        ("client.root", "Health", "{}"),
    ):
        context = ssl.create_default_context(cafile=str(certs / "ca.crt"))
        if certificate:
            context.load_cert_chain(certs / f"{certificate}.crt", certs / f"{certificate}.key")
        with (
            socket.create_connection((address, PORT), timeout=5) as raw,
            context.wrap_socket(raw, server_hostname=address) as node,
        ):
            node.sendall(json.dumps({"method": method}).encode() + b"\n")
            assert expected in node.recv(4096).decode()


def test_a_foreign_client_certificate_fails_the_handshake(running: Cluster) -> None:
    foreign = Authority("Foreign CA")
    foreign.issue(running.user_certs, "client.mallory", "root", CLIENT)
    running.give_away(running.user_certs)
    assert "alert unknown ca" in running.nodes[0].psql("SELECT 1", "mallory").stderr


def test_garbage_harms_nothing(running: Cluster) -> None:
    for garbage in (
        b"",
        b"GET / HTTP/1.1\r\n\r\n",
        struct.pack("!ii", 2**30, 80877103),
        b"\x16\x03\x01\x00\x05hello",
    ):
        with socket.create_connection((running.nodes[0].address, PORT), timeout=5) as raw:
            raw.sendall(garbage)
    with (
        socket.create_connection((running.nodes[0].address, HTTP_PORT), timeout=5) as raw,
        ssl.create_default_context(cafile=running.user_certs / "ca.crt").wrap_socket(
            raw, server_hostname=running.nodes[0].address
        ) as console,
    ):
        console.sendall(b"nonsense\r\n\r\n")
        assert console.recv(1) == b""
    assert running.nodes[0].query("SELECT 1") == "1"
    assert "Traceback" not in running.nodes[0].log


def test_a_storm_of_clients_is_served(running: Cluster) -> None:
    with ThreadPoolExecutor(24) as pool:
        answers = pool.map(lambda number: running.nodes[number % 3].query("SELECT 7"), range(48))
    assert set(answers) == {"7"}


def test_certificates_are_reloaded_on_sighup(running: Cluster) -> None:
    node = running.nodes[2]

    def served() -> str:
        return ssl.get_server_certificate((node.address, HTTP_PORT))

    before = served()
    node.issue()
    assert served() == before
    assert node.process
    node.process.send_signal(signal.SIGHUP)
    wait_until(lambda: served() != before, "the new certificate", 5)
    assert "successfully reloaded certificates" in node.log
    (node.certs / "node.key").chmod(0o644)
    node.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "reload would lose valid node cert" in node.log, "the reload to be refused", 5)
    (node.certs / "node.key").chmod(0o600)
    assert node.query("SELECT 1") == "1"
