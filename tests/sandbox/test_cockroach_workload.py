"""MovR, as `cockroach workload` makes it and drives it."""

import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.cockroach.arguments import CommandError, duration_s
from sandbox.cockroach.workload.connection import sanitize
from sandbox.cockroach.workload.latencies import Report
from sandbox.cockroach.workload.movr import spread
from tests.sandbox.cockroach_fixtures import PORT, Cluster, Node, cluster, needs_postgres, wait_until

TABLES = {
    "users": 50,
    "vehicles": 15,
    "rides": 500,
    "vehicle_location_histories": 1000,
    "promo_codes": 1000,
    "user_promo_codes": 0,
}


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    """The second of two nodes, with a user `app` who owns an empty database `movr`."""
    with cluster("127.77.10", 2) as made:
        made.start()
        made.nodes[0].query("CREATE USER app WITH PASSWORD 'right-one'")
        made.nodes[0].query("CREATE DATABASE movr")
        made.nodes[0].query("ALTER DATABASE movr OWNER TO app")
        yield made.nodes[1]


def start(node: Node, verb: str, *flags: str, url: str = "", **environment: str) -> subprocess.Popen[str]:
    authority = node.cluster.user_certs / "ca.crt"
    url = url or f"postgres://app@{node.address}:{PORT}?sslmode=verify-full&sslrootcert={authority}"
    settings = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "PGPASSWORD": "right-one", **environment}
    # The project's own Python has psycopg; a machine's has it from Debian.
    command = [sys.executable, str(node.cluster.program), "workload", verb, "movr", *flags, url]
    output = subprocess.PIPE
    return subprocess.Popen(command, stdout=output, stderr=output, text=True, env=settings, cwd="/")


def workload(node: Node, verb: str, *flags: str, **more: str) -> tuple[int, str, str]:
    process = start(node, verb, *flags, **more)
    said, complained = process.communicate(timeout=60)
    return process.returncode, said, complained


def counted(node: Node) -> dict[str, int]:
    counts = {name: node.query(f"TABLE {name}", database="movr") for name in TABLES}
    return {name: len(rows.splitlines()) for name, rows in counts.items()}


@needs_postgres
def test_init_fills_six_tables_once_and_run_writes_into_them(node: Node) -> None:
    code, _, complained = workload(node, "init")
    assert code == 0, complained
    assert counted(node) == TABLES
    foreign_keys = "SELECT count(*) FROM pg_constraint WHERE contype = 'f'"
    assert node.query(foreign_keys, database="movr") == "5"

    code, _, complained = workload(node, "init")
    assert code == 1
    assert "failed insert into users: pq: duplicate key value" in complained

    code, said, complained = workload(node, "run", "--duration=2s", "--display-every=1s", "--concurrency=4")
    assert code == 0, complained
    assert said.startswith("_elapsed___errors__ops/sec(inst)___ops/sec(cum)__p50(ms)")
    assert re.search(r"^ +1\.\ds +0 +[\d.]+ +[\d.]+( +[\d.]+){4} readVehicles$", said, re.M)
    assert said.count("__total\n") == len(re.findall(r"  \w+$", said, re.M))
    assert said.count("__result\n") == 1
    assert "right-one" not in said + complained
    assert sum(counted(node).values()) > sum(TABLES.values())


@needs_postgres
def test_run_keeps_to_its_rate_and_ends_well_when_it_is_told_to(node: Node) -> None:
    process = start(node, "run", "--max-rate=20", "--display-every=500ms")
    assert process.stdout
    wait_until(lambda: "readVehicles" in process.stdout.readline(), "operations", 10)
    process.send_signal(signal.SIGTERM)
    said, complained = process.communicate(timeout=10)
    assert process.returncode == 0, complained
    rate = re.search(r"__result\n +[\d.]+s +0 +\d+ +([\d.]+)", said)
    assert rate
    assert 5 < float(rate[1]) <= 60  # operations of a write are two, or many


@needs_postgres
def test_an_error_ends_a_run_unless_errors_are_tolerated(node: Node) -> None:
    code, _, complained = workload(node, "run", "--duration=2s", PGPASSWORD="wrong")
    assert code == 1
    assert "password authentication failed for user app" in complained
    code, said, complained = workload(
        node, "run", "--duration=1s", "--tolerate-errors", url=f"postgres://app@{node.address}:1"
    )
    assert code == 0
    assert "Connection refused" in complained
    assert said.endswith("__result\n")


@needs_postgres
def test_root_makes_a_database_that_is_missing_by_another_name(node: Node, tmp_path: Path) -> None:
    certs = shutil.copytree(node.cluster.user_certs, tmp_path / "certs")
    url = (
        f"postgres://root@{node.address}:{PORT}?sslmode=verify-full&sslrootcert={certs}/ca.crt"
        f"&sslcert={certs}/client.root.crt&sslkey={certs}/client.root.key&binary_parameters=yes"
    )
    flags = ("--db=other", "--num-users=9", "--num-rides=9", "--num-histories=9", "--num-promo-codes=1")
    for more in ((), ("--drop",)):
        code, _, complained = workload(node, "init", *flags, *more, url=url)
        assert code == 0, complained
    assert node.query("SELECT count(*) FROM users", database="other") == "9"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://root@localhost", "unsupported scheme: mysql"),
        ("postgres://root:secret@localhost/bank", 'database "bank", but database "movr" is expected'),
    ],
)
def test_a_url_of_something_else_is_refused_without_its_password(url: str, said: str) -> None:
    with pytest.raises(CommandError, match=re.escape(said)) as caught:
        sanitize(url, "movr")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--ramp=1s"], "the stand-in does not emulate --ramp"),
        (["--password=x"], "the stand-in does not emulate --password"),
        (["--duration=5"], "expected a duration with its unit"),
        (["--speed=5"], "unknown flag: --speed"),
    ],
)
def test_flags_that_do_nothing_here_are_refused(
    running_nothing: Cluster, flags: list[str], said: str
) -> None:
    code, _, complained = workload(running_nothing.nodes[0], "run", *flags, url="postgres://x@127.0.0.1")
    assert code == 4
    assert said in complained


@pytest.fixture(scope="module")
def running_nothing() -> Iterator[Cluster]:
    """The program, unpacked."""
    with cluster("127.77.11", 1) as made:
        yield made


def test_durations_are_read_as_go_writes_them() -> None:
    assert [duration_s(text) for text in ("0", "1m30s", "1.5h", "250ms")] == [0, 90, 5400, 0.25]


def test_the_first_keys_are_the_real_ones() -> None:
    assert str(spread(1, 50)) == "051eb851-eb85-4ec0-8000-000000000001"


def test_a_report_counts_from_the_last_line_and_from_the_start() -> None:
    report = Report()
    for milliseconds in range(1, 101):
        report.add("read", milliseconds / 1000)
    head, first = report.tick(1, 1).splitlines()
    assert head.startswith("_elapsed___errors")
    assert [float(word) for word in first.split()[2:8]] == pytest.approx(
        [100, 100, 50, 95, 99, 100], rel=0.02
    )
    report.add("read", 0.5)
    assert [float(word) for word in report.tick(2, 1).split()[2:5]] == pytest.approx([1, 50.5, 500], rel=0.02)
    total = report.summary(2).splitlines()[2].split()
    assert total[2:4] == ["101", "50.5"]
