"""What a newcomer gets from ./run demo, seen with clients that are not ours."""

import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import DEMO, TOPOLOGY, World, document

pytestmark = [pytest.mark.machines, pytest.mark.timeout(900)]

CERTIFICATES = "/etc/cockroach/certs"


def test_it_ends_with_a_card_that_names_what_stands_in(world: World) -> None:
    assert "SQL shell        ./run roachmesh sql" in world.output
    assert "Prefect's UI     http://127.0.0.1:" in world.output
    assert "a `cockroach` of our own over PostgreSQL: CockroachDB" in world.output


def test_every_task_is_told_as_a_line_of_progress(world: World) -> None:
    for what in ("NSG eastus", "VM crdb-westus-2", "peering eastus <-> northeurope", "all nodes live"):
        assert re.search(rf"{what} +completed", world.output)


def test_nothing_on_the_run_page_is_left_pending_or_running(world: World) -> None:
    [first] = world.prefect("/flow_runs/filter", {"sort": "START_TIME_ASC", "limit": 1})
    subflows = world.prefect(
        "/flow_runs/filter", {"flow_runs": {"parent_flow_run_id": {"any_": [first["id"]]}}}
    )
    runs = [first, *subflows]
    of_runs = {"flow_runs": {"id": {"any_": [run["id"] for run in runs]}}}
    tasks = world.prefect("/task_runs/filter", {**of_runs, "limit": 200})

    assert sorted(run["name"] for run in runs) == [
        "deploy three-vm-regions",
        "region eastus",
        "region northeurope",
        "region westus",
    ]
    assert {run["state_type"] for run in (*runs, *tasks)} == {"COMPLETED"}


def test_what_was_written_in_each_region_is_read_from_another(world: World) -> None:
    query = [
        "--node",
        "northeurope/2",
        "--",
        "-Atqc",
        r"\c movr",
        "-c",
        "SELECT DISTINCT region FROM roachmesh_verify ORDER BY region",
    ]

    assert world.roachmesh("sql", str(TOPOLOGY), *query).split() == ["eastus", "northeurope", "westus"]


def test_the_database_is_in_all_regions_and_survives_the_loss_of_one(world: World) -> None:
    def asked(query: str) -> list[str]:
        return world.roachmesh("sql", str(TOPOLOGY), "--", "-Atc", query).split()

    assert [row.split("|")[1:3] for row in asked("SHOW REGIONS FROM DATABASE movr")] == [
        ["eastus", "t"],
        ["northeurope", "f"],
        ["westus", "f"],
    ]
    assert asked("SHOW SURVIVAL GOAL FROM DATABASE movr") == ["movr|region"]


@pytest.mark.parametrize("node", ["eastus/1", "northeurope/3"])
def test_openssl_finds_the_nodes_certificates_split_by_use(world: World, node: str) -> None:
    text = "sudo openssl x509 -noout -ext extendedKeyUsage -in"
    verify = f"sudo openssl verify -CAfile {CERTIFICATES}/ca.crt -purpose"
    server, client = f"{CERTIFICATES}/node.crt", f"{CERTIFICATES}/client.node.crt"

    said = world.on_node(
        node, f"{text} {server}; {text} {client}; {verify} sslserver {server}; {verify} sslclient {client}"
    )

    assert [line.strip() for line in said.splitlines()] == [
        "X509v3 Extended Key Usage:",
        "TLS Web Server Authentication",
        "X509v3 Extended Key Usage:",
        "TLS Web Client Authentication",
        f"{server}: OK",
        f"{client}: OK",
    ]


def test_keys_are_the_database_users_alone_and_the_authoritys_is_on_no_node(world: World) -> None:
    folders = "/etc/cockroach /var/lib /run /root /home /tmp"
    show = r"-printf '%m %u %p\n'"
    found = f"sudo find {folders} -name '*.key' {show} -o -path {CERTIFICATES} {show}"

    listing = world.on_node("westus/1", found)

    assert sorted(listing.splitlines()) == [
        f"600 cockroach {CERTIFICATES}/client.node.key",
        f"600 cockroach {CERTIFICATES}/node.key",
        f"700 cockroach {CERTIFICATES}",
    ]


def test_cockroach_runs_as_its_own_user_and_the_time_is_kept(world: World) -> None:
    said = world.on_node("eastus/2", "systemctl show cockroach -p User; chronyc tracking | grep Leap")

    assert "User=cockroach" in said
    assert "Normal" in said


def test_psql_verifies_the_node_through_the_tunnel_of_the_card(world: World) -> None:
    command = [*DEMO, "roachmesh", "sql", str(TOPOLOGY), "--node", "westus/2", "--tunnel"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as tunnel:
        assert tunnel.stdout
        line = tunnel.stdout.readline()
        conninfo = line.removeprefix('psql "').rstrip().removesuffix('"')
        assert "sslmode=verify-full" in conninfo
        assert psql(conninfo, "SELECT 1").stdout.strip() == "1"
        other = psql(conninfo.replace("host=10.2.1.5", "host=10.2.1.6"), "SELECT 1")
        assert "does not match host name" in other.stderr
        tunnel.send_signal(signal.SIGINT)
    directory = Path(re.findall(r"sslkey=(\S+)", conninfo)[0]).parent
    assert not directory.exists()


def psql(conninfo: str, statement: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["psql", conninfo, "-Atc", statement], capture_output=True, text=True, check=False)


def test_a_second_deployment_changes_nothing(world: World) -> None:
    files = f"sudo find {CERTIFICATES} /etc/systemd/system/cockroach.service -printf '%p %t\\n'"
    state = f"systemctl show cockroach chrony -p ActiveEnterTimestamp; {files}"
    before = [world.on_node(node, state) for node in ("eastus/1", "westus/3")]
    writes = len(world.arm_writes())

    world.run("deploy", {"topology": document(TOPOLOGY)})

    assert world.arm_writes()[writes:] == []
    assert [world.on_node(node, state) for node in ("eastus/1", "westus/3")] == before


def test_no_secret_is_in_prefects_database_results_logs_or_process_list(world: World) -> None:
    secrets = [world.cloud["client_secret"], "PRIVATE KEY"]
    postgres = world.instance.postgres_directory
    dump = subprocess.run(
        ["pg_dump", "-h", str(postgres), "-U", "postgres", "postgres"], capture_output=True, check=True
    ).stdout
    files = [path for path in world.instance.prefect_home.rglob("*") if path.is_file()]
    files += world.instance.directory.glob("*.log")
    arguments = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline")]

    for secret in map(str.encode, secrets):
        assert secret not in dump
        assert [path for path in files if secret in path.read_bytes()] == []
        assert [one for one in arguments if secret in one] == []
