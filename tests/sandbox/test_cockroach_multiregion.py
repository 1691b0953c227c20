"""Regions, survival goals, localities and cluster settings, as psql and a driver ask for them."""

from collections.abc import Iterator

import pytest

from sandbox.cockroach.dialect import translate
from tests.sandbox.cockroach_fixtures import Cluster, cluster, needs_postgres

REGIONS = ("eastus", "northeurope", "westus")


@pytest.fixture(scope="module")
def running() -> Iterator[Cluster]:
    """Three nodes in three regions."""
    with cluster("127.77.9", 3) as made:
        for region, node in zip(REGIONS, made.nodes, strict=True):
            node.locality = f"region={region},zone={region}-1"
        made.start()
        yield made


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 'ALTER DATABASE d ADD REGION x;' -- SHOW TABLES;",
        "INSERT INTO t VALUES ($1, 'it''s; fine')",
        "DO $body$ BEGIN PERFORM 1; END $body$; SELECT 2",
        "ALTER DATABASE d RENAME TO e",
        "SHOW server_version",
        "",
    ],
)
def test_what_postgresql_understands_passes_as_it_is(text: str) -> None:
    assert translate(text) == text


def test_names_are_read_as_sql_reads_them_and_never_end_a_string() -> None:
    said = translate("""SELECT 1; alter database Movr add region if not exists "us ""'east"; SELECT 2""")

    assert said == """SELECT 1; CALL crdb_internal.add_region('movr', 'us "''east', true); SELECT 2"""


@needs_postgres
def test_a_database_gets_regions_a_goal_and_localities(running: Cluster) -> None:
    first, _, last = running.nodes
    first.query("CREATE DATABASE movr")
    assert first.query("SHOW REGIONS FROM CLUSTER").splitlines()[0] == "eastus|{eastus-1}"
    for statement in (
        'ALTER DATABASE movr SET PRIMARY REGION "eastus"',
        "ALTER DATABASE movr ADD REGION westus; ALTER DATABASE movr ADD REGION northeurope",
        "ALTER DATABASE movr ADD REGION IF NOT EXISTS westus",
        "ALTER DATABASE movr SURVIVE REGION FAILURE",
    ):
        last.query(statement)

    assert first.query("SHOW REGIONS FROM DATABASE movr").splitlines() == [
        "movr|eastus|t|f|{eastus-1}",
        "movr|northeurope|f|f|{northeurope-1}",
        "movr|westus|f|f|{westus-1}",
    ]
    assert first.query("SHOW SURVIVAL GOAL FROM DATABASE movr") == "movr|region"

    here = {"database": "movr"}
    first.query("CREATE TABLE users (id int PRIMARY KEY); CREATE TABLE codes (id int PRIMARY KEY)", **here)
    first.query("ALTER TABLE users SET LOCALITY REGIONAL BY ROW", **here)
    first.query('ALTER TABLE public."codes" SET LOCALITY GLOBAL', **here)
    last.query("INSERT INTO users (id) VALUES (1)", **here)
    assert first.query("SELECT crdb_region FROM users", **here) == "westus"
    shown = [line.split("|") for line in first.query("SHOW TABLES", **here).splitlines()]
    assert [(row[1], row[5]) for row in shown] == [("codes", "GLOBAL"), ("users", "REGIONAL BY ROW")]


@needs_postgres
@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("ALTER DATABASE none PRIMARY REGION eastus", 'database "none" does not exist'),
        ("ALTER DATABASE defaultdb ADD REGION eastus", "you must add a PRIMARY REGION first"),
        (
            "ALTER DATABASE defaultdb PRIMARY REGION mars",
            "valid regions: eastus, northeurope, westus",
        ),
        ("ALTER DATABASE defaultdb SURVIVE REGION FAILURE", "must have associated regions"),
    ],
)
def test_what_cannot_be_is_refused_in_the_words_of_the_database(
    running: Cluster, statement: str, said: str
) -> None:
    done = running.nodes[1].psql(statement)

    assert done.returncode != 0
    assert said in done.stderr


@needs_postgres
def test_too_few_regions_do_not_survive_the_loss_of_one(running: Cluster) -> None:
    node = running.nodes[1]
    node.query("CREATE DATABASE small")
    node.query("ALTER DATABASE small PRIMARY REGION eastus")
    node.query("ALTER DATABASE small ADD REGION westus")

    assert (
        "at least 3 regions are required" in node.psql("ALTER DATABASE small SURVIVE REGION FAILURE").stderr
    )
    assert 'cannot drop region "eastus"' in node.psql("ALTER DATABASE small DROP REGION eastus").stderr
    node.query("ALTER DATABASE small DROP REGION westus")
    node.query("ALTER DATABASE small DROP REGION eastus")
    assert node.query("SHOW REGIONS FROM DATABASE small") == ""


@needs_postgres
def test_a_cluster_setting_is_seen_through_every_node(running: Cluster) -> None:
    first, second, _ = running.nodes
    first.query("SET CLUSTER SETTING cluster.organization = 'Roach''s mesh'")
    first.query("SET CLUSTER SETTING kv.rangefeed.enabled = true")

    assert second.query("SHOW CLUSTER SETTING cluster.organization") == "Roach's mesh"
    assert second.query("SHOW CLUSTER SETTING kv.rangefeed.enabled") == "true"
    second.query("RESET CLUSTER SETTING kv.rangefeed.enabled")
    assert first.query("SHOW CLUSTER SETTING kv.rangefeed.enabled") == ""
