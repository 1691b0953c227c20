"""Who is connected, as SHOW SESSIONS tells, and users and rights as in CockroachDB."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import psycopg
import pytest

from sandbox.cockroach.dialect import translate
from tests.sandbox.cockroach_fixtures import PORT, Cluster, cluster, needs_postgres, wait_until

VERIFIER = (
    "SCRAM-SHA-256$4096:AAECAwQFBgcICQoLDA0ODw==$VnOUBJ5ciRcqrLrKzf7cIVCEYB4v2nK5I9wjULsUAqc=:"
    "RQ7l6a0qvA8dPQbFyvmTfjWXnzLH2kBbWQYt9pZ1ttA="
)


@pytest.fixture(scope="module")
def running() -> Iterator[Cluster]:
    """Two nodes, and a user `app` with a password."""
    with cluster("127.77.12", 2) as made:
        made.start()
        made.nodes[0].query("CREATE USER app WITH PASSWORD 'right-one'")
        yield made


def connect(made: Cluster, number: int, **more: str) -> psycopg.Connection:
    address = made.nodes[number].address
    return psycopg.connect(
        host=address, port=PORT, user="app", password="right-one", dbname="defaultdb",
        sslmode="verify-full", sslrootcert=str(made.user_certs / "ca.crt"), autocommit=True, **more,
    )  # fmt: skip


@needs_postgres
def test_root_sees_every_session_with_its_node_and_its_clients_address(running: Cluster) -> None:
    root = running.nodes[0]
    shown = "SELECT {} FROM [SHOW CLUSTER SESSIONS] WHERE user_name = 'app' AND application_name = 'probe'"
    count = shown.format("count(*)")
    with connect(running, 0, application_name="probe"):
        with connect(running, 1, application_name="probe") as second:
            rows = root.query(shown.format("node_id, client_address, status, active_queries")).splitlines()
            assert {row.partition("|")[0] for row in rows} == {"1", "2"}
            assert all("|127.0.0.1:" in row and row.endswith("|IDLE|") for row in rows)
            assert root.query(count) == "2"
            # The user himself sees his own alone, and prepares what he asks.
            for _ in range(8):
                seen = second.execute("SELECT DISTINCT user_name FROM [SHOW SESSIONS] AS s").fetchall()
                assert seen == [("app",)]
            local = second.execute("SELECT node_id FROM [SHOW LOCAL SESSIONS]").fetchall()
            assert local == [(2,)]
        wait_until(lambda: root.query(count) == "1", "the session to be gone", 5)


@needs_postgres
def test_one_node_holds_hundreds_of_sessions(running: Cluster) -> None:
    with ExitStack() as stack:
        with ThreadPoolExecutor(20) as pool:
            sessions = list(pool.map(lambda _: connect(running, 0, application_name="storm"), range(320)))
        for session in sessions:
            stack.callback(session.close)
        assert {session.execute("SELECT 7").fetchone() for session in sessions} == {(7,)}
        seen = "SELECT count(*) FROM [SHOW CLUSTER SESSIONS] WHERE application_name = 'storm'"
        assert running.nodes[1].query(seen) == "320"


@needs_postgres
def test_show_sessions_has_the_real_columns_in_their_order(running: Cluster) -> None:
    with connect(running, 1) as session:
        cursor = session.execute("SHOW SESSIONS")
        assert cursor.description
        assert [column.name for column in cursor.description] == (
            "node_id session_id status user_name client_address application_name active_queries "
            "last_active_query session_start active_query_start num_txns_executed trace_id goroutine_id"
        ).split()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "SELECT count(*) FROM [ show cluster sessions ] WHERE user_name = 'a;b'",
            "SELECT count(*) FROM crdb_internal.show_sessions(false) WHERE user_name = 'a;b'",
        ),
        (
            'SELECT * FROM [SHOW REGIONS FROM DATABASE "m"] AS r; SELECT 1',
            "SELECT * FROM crdb_internal.show_regions('m') AS r; SELECT 1",
        ),
        ("SELECT '[SHOW SESSIONS]', a[1], ARRAY[1, 2]", "SELECT '[SHOW SESSIONS]', a[1], ARRAY[1, 2]"),
        ("SELECT * FROM [SHOW NONSENSE]", "SELECT * FROM [SHOW NONSENSE]"),
    ],
)
def test_a_show_in_square_brackets_is_a_table(text: str, said: str) -> None:
    assert translate(text) == said


@needs_postgres
def test_users_are_made_once_with_a_verifier_for_a_password(running: Cluster) -> None:
    node = running.nodes[1]
    for name in ("app", "verified", "verified"):
        node.query(f"CREATE USER IF NOT EXISTS {name}\nWITH PASSWORD '{VERIFIER}'")
    assert node.query("SELECT rolpassword FROM pg_authid WHERE rolname = 'verified'") == VERIFIER
    node.query("CREATE ROLE IF NOT EXISTS readers; GRANT readers TO app")
    assert node.query("SELECT pg_has_role('app', 'readers', 'MEMBER')") == "t"
    with connect(running, 0) as session:  # the first password still holds
        assert session.execute("SELECT current_user").fetchone() == ("app",)


@needs_postgres
def test_everybody_makes_tables_in_a_new_database_and_its_owner_drops_it(running: Cluster) -> None:
    node = running.nodes[1]
    node.query("CREATE DATABASE anybodys")
    secret = {"database": "anybodys", "PGPASSWORD": "right-one"}
    node.query("CREATE TABLE mine (id int)", "app", **secret)
    assert node.query("SELECT tableowner FROM pg_tables WHERE tablename = 'mine'", "app", **secret) == "app"
    assert "must be owner" in node.psql("DROP DATABASE anybodys", "app", PGPASSWORD="right-one").stderr
    node.query("ALTER DATABASE anybodys OWNER TO app")
    node.query("DROP DATABASE anybodys", "app", PGPASSWORD="right-one")
