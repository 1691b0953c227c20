"""From a client outside to the database: users, poolers and MovR, on plain machines with a split CA."""

import json
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from roachmesh.movr import LOCALITIES
from roachmesh.plan import make_plan
from roachmesh.topology import parse
from tests.e2e.conftest import World

pytestmark = [pytest.mark.machines, pytest.mark.timeout(600)]

TOPOLOGY = {
    "name": "data-path",
    "access": {"nodeport_cidrs": ["198.18.0.0/15"]},
    "cockroachdb": {"split_ca": True},
    "database": {"users": [{"name": "app"}, {"name": "reports", "login": "certificate"}]},
    "application": {"kind": "movr", "rate": 20, "concurrency": 2},
    "regions": [
        {"platform": "vm", "name": "eastus", "nodes": 2},
        {"platform": "vm", "name": "westus", "nodes": 1},
    ],
}
PLAN = make_plan(parse(TOPOLOGY))
CLIENTS = 100
PIDS = "systemctl show --property=MainPID cockroach pgbouncer application"


class DataPath:
    """The deployed topology, with a user's credentials on this computer."""

    def __init__(self, world: World, directory: Path) -> None:
        self.world, self.directory = world, directory
        self.file = directory / "data-path.yaml"
        self.write(TOPOLOGY)

    def write(self, topology: dict[str, Any]) -> None:
        self.file.write_text(yaml.safe_dump(topology))

    def roachmesh(self, verb: str, *arguments: str) -> str:
        return self.world.roachmesh(verb, str(self.file), *arguments)

    def as_root(self, statement: str) -> list[str]:
        said = self.roachmesh("sql", "--", "-Atc", r"\c movr", "-c", statement)
        return said.splitlines()[1:]

    def on(self, node: str, command: str) -> str:
        return self.roachmesh("ssh", node, "--", command)

    def credentials(self, user: str) -> dict[str, list[str]]:
        """Have a user's files written; gives the command of psql for each region."""
        said = self.roachmesh("credentials", user, "--output", str(self.directory / "files"))
        lines = [shlex.split(line, comments=False) for line in said.splitlines()]
        return {words[3]: words[:2] for words in lines}

    def psql(self, region: str, statement: str) -> str:
        command = [*self.credentials("app")[region], "-Atc", statement]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.strip()


@pytest.fixture(scope="module")
def deployed(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DataPath]:
    data_path = DataPath(world, tmp_path_factory.mktemp("data-path"))
    data_path.roachmesh("deploy")
    yield data_path
    data_path.roachmesh("destroy", "--yes")


def test_what_one_region_writes_through_its_pooler_the_other_reads_through_its_own(
    deployed: DataPath,
) -> None:
    deployed.psql("eastus", "CREATE TABLE notes (text TEXT PRIMARY KEY); INSERT INTO notes VALUES ('mine')")

    assert deployed.psql("westus", "SELECT text, current_user FROM notes") == "mine|app"


def test_movr_writes_in_both_regions_into_tables_that_live_where_they_are_used(deployed: DataPath) -> None:
    shown = [line.split("|") for line in deployed.as_root("SHOW TABLES")]
    localities = {row[1]: row[5] for row in shown if row[1] in LOCALITIES}

    assert localities == LOCALITIES
    seen = "SELECT DISTINCT crdb_region FROM rides ORDER BY 1"
    wait_until(lambda: deployed.as_root(seen) == ["eastus", "westus"], "rides of both regions")
    workers = deployed.on("westus/1", "pgrep --count --full 'workload run movr .*max-rate=10 '")
    assert workers.strip() == "2"


def wait_until(check: Callable[[], bool], what: str, timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not check():
        assert time.monotonic() < deadline, what
        time.sleep(1)


def test_a_user_with_a_certificate_has_one_of_the_clients_own_authority(deployed: DataPath) -> None:
    command = deployed.credentials("reports")["westus"]
    certificate = (deployed.directory / "files" / "client.reports.crt").read_text()
    verify = "sudo openssl verify -CAfile /etc/cockroach/certs/{} /dev/stdin"

    assert "host=10.2.1.4 port=26257 user=reports" in command[1]
    piped = f"printf %s {shlex.quote(certificate)} | "
    assert deployed.on("westus/1", piped + verify.format("ca-client.crt")).strip() == "/dev/stdin: OK"
    assert "OK" not in deployed.on("westus/1", piped + verify.format("ca.crt") + " 2>&1 || true")
    # CockroachDB shows hashes to nobody; the sandbox's shows them to root.
    assert deployed.as_root("SELECT rolpassword IS NULL FROM pg_authid WHERE rolname = 'reports'") == ["t"]


def test_many_clients_share_the_few_connections_that_a_pooler_may_have(deployed: DataPath) -> None:
    command = deployed.credentials("app")["westus"]
    script = deployed.directory / "read.sql"
    script.write_text("SELECT count(*) FROM vehicles WHERE city = 'rome';\n")
    options = [f"--client={CLIENTS}", "--jobs=2", "--protocol=prepared", "--no-vacuum", "--time=5"]
    with subprocess.Popen(
        ["pgbench", *options, f"--file={script}", command[1]], stdout=subprocess.PIPE, text=True
    ) as pgbench:
        asked = "SELECT count(*) FROM [SHOW CLUSTER SESSIONS] WHERE client_address LIKE '10.2.1.4:%'"
        sessions = int(deployed.as_root(asked)[0])
        said, _ = pgbench.communicate(timeout=60)

    assert pgbench.returncode == 0
    assert "number of failed transactions: 0 " in said
    assert 0 < sessions <= PLAN.pooler_connections(PLAN.regions[1])


def test_passwords_are_in_no_process_list_unit_or_log(deployed: DataPath) -> None:
    deployed.credentials("app")
    password = (deployed.directory / "files" / "app.pgpass").read_text().strip().rpartition(":")[2]
    assert len(password) == 64

    for node in ("eastus/1", "westus/1"):
        shown = deployed.on(node, "ps axww; systemctl cat application pgbouncer; sudo journalctl --no-pager")
        assert "workload run movr" in shown
        assert password not in shown
    modes = deployed.on(
        "westus/1", "sudo stat -c '%a %U' /etc/roachmesh/application.env /etc/pgbouncer/userlist.txt"
    )
    assert modes.split() == ["600", "root", "600", "postgres"]
    assert {path.stat().st_mode & 0o77 for path in (deployed.directory / "files").iterdir()} == {0}


def test_a_second_deployment_changes_nothing_and_restarts_nothing(deployed: DataPath) -> None:
    before = [deployed.on(node, PIDS) for node in ("eastus/1", "eastus/2", "westus/1")]
    writes = deployed.world.arm_writes()

    said = deployed.roachmesh("deploy")

    assert "0 created, 0 updated," in said
    assert deployed.world.arm_writes() == writes
    assert [deployed.on(node, PIDS) for node in ("eastus/1", "eastus/2", "westus/1")] == before


def test_verify_has_500_clients_at_once_and_shows_how_long_it_takes_from_where_to_where(
    deployed: DataPath,
) -> None:
    said = deployed.roachmesh("verify")

    assert "500 of 500 clients at once were answered" in said
    assert "| from, through the pooler of: ms | eastus | westus |" in said
    assert "| region | rides | the latest began at |" in said


def test_an_application_and_a_pooler_that_are_down_are_named_and_mended(deployed: DataPath) -> None:
    deployed.on("eastus/1", "sudo systemctl stop application")
    assert "application.service on crdb-eastus-1" in deployed.world.roachmesh_fails(
        "verify", str(deployed.file), code=10
    )
    deployed.on("westus/1", "sudo systemctl stop pgbouncer")
    assert "westus" in deployed.world.roachmesh_fails("verify", str(deployed.file), code=40)

    deployed.roachmesh("deploy")
    deployed.roachmesh("verify")


def test_tables_that_were_being_filled_when_a_run_was_killed_are_filled_anew(deployed: DataPath) -> None:
    deployed.as_root(
        "CREATE TABLE roachmesh_filling_movr (x INT); DROP TABLE vehicle_location_histories, rides"
    )

    deployed.roachmesh("deploy")

    tables = {line.split("|")[1] for line in deployed.as_root("SHOW TABLES")}
    assert LOCALITIES.keys() <= tables
    assert "roachmesh_filling_movr" not in tables
    assert "notes" in tables


def test_without_a_pooler_and_an_application_neither_is_left(deployed: DataPath) -> None:
    deployed.write({**TOPOLOGY, "pooler": "none", "application": {}})

    deployed.roachmesh("deploy")

    for node in ("eastus/1", "westus/1"):
        left = deployed.on(
            node, "systemctl is-active pgbouncer application; sudo ls -A /etc/roachmesh; ss -tln"
        )
        assert left.split()[:2] == ["inactive", "inactive"]
        assert ":6432" not in left
    assert json.loads(deployed.roachmesh("status", "--json"))["nodes"]
