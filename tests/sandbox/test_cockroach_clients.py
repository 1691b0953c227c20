"""What stands between an application and the database: the image's own PgBouncer, and pgweb's stand-in."""

import io
import json
import os
import socket
import subprocess
import sys
import tarfile
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from gzip import decompress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sandbox.images import catalogue
from tests.sandbox.cockroach_fixtures import PORT, Cluster, cluster, needs_postgres, wait_until

POOLER, POOLER_PORT, SERVERS, CLIENTS = "127.77.15.9", 36432, 4, 20
URL = f"postgres://app@{POOLER}:{POOLER_PORT}/movr?sslmode=disable"
INI = f"""\
[databases]
* = host={{host}} port={PORT}
[pgbouncer]
listen_addr = {POOLER}
listen_port = {POOLER_PORT}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = /etc/pgbouncer/userlist.txt
pool_mode = transaction
default_pool_size = {SERVERS}
max_prepared_statements = 100
server_tls_sslmode = verify-full
server_tls_ca_file = /etc/pgbouncer/ca.crt
"""


@pytest.fixture(scope="module")
def running() -> Iterator[Cluster]:
    """Two nodes, with a user `app` who owns the database `movr`."""
    with cluster("127.77.15", 2) as made:
        made.start()
        made.nodes[0].query("CREATE USER app WITH PASSWORD 'right-one'")
        made.nodes[0].query("CREATE DATABASE movr")
        made.nodes[0].query("ALTER DATABASE movr OWNER TO app")
        yield made


@pytest.fixture(scope="module")
def pooled(running: Cluster, base_image: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The program of PgBouncer's image, with its libraries, before the second node."""
    del base_image  # the image is made from it
    image = catalogue.find("docker.io/edoburu/pgbouncer", "v1.24.1-p1")
    assert image
    root = tmp_path_factory.mktemp("pgbouncer")
    root.chmod(0o755)
    with tarfile.open(fileobj=io.BytesIO(decompress(image.pack()[2].content))) as layer:
        layer.extractall(root, filter="fully_trusted")  # noqa: S202 -- our own, with owners
    settings = root / "etc/pgbouncer"
    (settings / "pgbouncer.ini").write_text(INI.format(host=running.nodes[1].address))
    (settings / "userlist.txt").write_text('"app" "right-one"\n')
    running.authority.write(settings)
    command = ("chroot", "--userspec=70:70", root, *image.entrypoint, *image.command)
    with serving([str(word) for word in command], {"PATH": "/usr/sbin:/usr/bin:/bin"}, POOLER, POOLER_PORT):
        yield running


@contextmanager
def serving(command: list[str], environment: dict[str, str], address: str, port: int) -> Iterator[None]:
    """Run a server until the end, from when it listens."""
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as server:
        try:
            wait_until(lambda: listens(address, port) or server.poll() is not None, "it listens", 10)
            assert server.poll() is None
            yield
        finally:
            server.terminate()


def listens(address: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((address, port)) == 0


def connect() -> psycopg.Connection:
    return psycopg.connect(URL, password="right-one", prepare_threshold=0, autocommit=True)


@needs_postgres
@pytest.mark.machines
def test_many_clients_prepare_statements_over_few_sessions(pooled: Cluster) -> None:
    """As each worker prepares under a name that others use too, PgBouncer must tell them apart."""

    def work(number: int) -> int:
        with connect() as connection:
            for value in range(number, number + 5):
                asked = connection.execute("SELECT %s::int + %s::int", (number, value))
                assert asked.fetchone() == (number + value,)
            statement = "SELECT %s::text" if number % 2 else "SELECT %s::text, 2"
            assert connection.execute(statement, ("x",)).fetchone() == (("x",) if number % 2 else ("x", 2))
            connection.execute("DISCARD ALL")
        return 1

    with ThreadPoolExecutor(CLIENTS) as pool:
        assert sum(pool.map(work, range(CLIENTS))) == CLIENTS
    shown = "SELECT node_id FROM [SHOW CLUSTER SESSIONS] WHERE user_name = 'app'"
    seen = pooled.nodes[0].query(shown).split()
    assert set(seen) == {"2"}
    assert len(seen) <= SERVERS


@needs_postgres
@pytest.mark.machines
def test_a_query_is_cancelled_through_the_pooler(pooled: Cluster) -> None:
    del pooled
    with connect() as connection:
        threading.Timer(0.5, connection.cancel_safe).start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("SELECT pg_sleep(20)")
        assert connection.execute("SELECT 1").fetchone() == (1,)


@needs_postgres
@pytest.mark.machines
def test_movr_runs_through_the_pooler_when_a_statement_is_one_trip(pooled: Cluster) -> None:
    for verb, *flags in (("init",), ("run", "--duration=1s")):
        words = [sys.executable, str(pooled.program), "workload", verb, "movr", *flags]
        done = subprocess.run(
            [*words, f"{URL}&binary_parameters=yes"],
            env={"PATH": "/usr/bin", "PGPASSWORD": "right-one"}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr


def fetch(path: str, **form: str) -> tuple[int, Any]:
    url = f"http://127.77.15.8:38081{path}?{urllib.parse.urlencode(form)}"
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


@needs_postgres
def test_pgweb_says_what_it_is_and_answers_queries(running: Cluster) -> None:
    url = f"postgres://app@{running.nodes[1].address}:{PORT}/movr?sslmode=require"
    command = [sys.executable, "-c", "from sandbox.images.pgweb import main; main()", "--bind=127.77.15.8",
               "--listen=38081"]  # fmt: skip
    environment = os.environ | {"DATABASE_URL": url, "PGPASSWORD": "right-one"}
    with serving(command, environment, "127.77.15.8", 38081):
        status, page = fetch("/")
        assert (status, "this is a stand-in for pgweb" in page) == (200, True)
        status, answer = fetch("/api/query", query="SELECT 1 AS a, 'x' AS b")
        assert (status, json.loads(answer)) == (200, {"columns": ["a", "b"], "rows": [[1, "x"]]})
        status, answer = fetch("/api/query", query="SELEC")
        assert (status, "syntax error" in answer["error"]) == (400, True)
        assert fetch("/api/query")[1]["error"] == "Query parameter is required"
        assert json.loads(fetch("/api/connection")[1])["current_user"] == "app"
        assert fetch("/api/schemas")[0] == 404
