"""What poolers are told, against what was reviewed; which versions understand it."""

import os
from configparser import ConfigParser
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from roachmesh import certificates, topology
from roachmesh.plan import make_plan
from roachmesh.pooler import PAIR, Backend, Pooler
from roachmesh.render import poolers
from roachmesh.render.pgbouncer import PGBOUNCER

GOLDEN = Path(__file__).parent / "golden"
PLAN = make_plan(topology.DEFAULT)
CLUSTER, _, REGION = PLAN.regions
NODE = REGION.nodes[1]
PASSWORDS = {"roachmesh": "secret", "app": 'with "quotes"'}
ON_MACHINE = poolers.on_machine(PLAN, NODE, PASSWORDS)
IN_PODS = poolers.in_pods(PLAN, CLUSTER, PASSWORDS)

RENDERED = {
    "pgbouncer.ini": PGBOUNCER.files(ON_MACHINE)["pgbouncer.ini"],
    "pgbouncer_pods.ini": PGBOUNCER.files(IN_PODS)["pgbouncer.ini"],
    "pgbouncer_userlist.txt": PGBOUNCER.files(ON_MACHINE)["userlist.txt"],
    "pgbouncer_hosts": PGBOUNCER.files(ON_MACHINE)["hosts"],
    "pgbouncer_drop_in.conf": PGBOUNCER.drop_in,
}


@pytest.mark.parametrize("name", RENDERED)
def test_what_is_rendered_is_what_was_reviewed(name: str) -> None:
    if os.environ.get("ROACHMESH_UPDATE_GOLDEN"):
        (GOLDEN / name).write_text(RENDERED[name])

    assert RENDERED[name] == (GOLDEN / name).read_text()


@pytest.mark.parametrize("pooler", poolers.POOLERS.values(), ids=lambda pooler: pooler.name)
@pytest.mark.parametrize("backend", [ON_MACHINE, IN_PODS], ids=["machine", "pods"])
def test_every_file_is_known_by_name_to_who_removes_and_reloads_them(
    pooler: Pooler, backend: Backend
) -> None:
    assert set(pooler.files(backend)) <= set(pooler.file_names)
    assert pooler.reloads <= {*pooler.file_names, *PAIR}


def test_all_users_together_have_no_more_connections_than_the_processors_bear() -> None:
    settings = ConfigParser()
    settings.read_string(RENDERED["pgbouncer.ini"])
    limit = settings["pgbouncer"]["max_db_connections"]

    assert limit == str(PLAN.pooler_connections(REGION)) == "16"  # four for each of 4 vCPUs
    assert settings["pgbouncer"]["default_pool_size"] == limit


def test_a_machine_names_its_own_node_first_and_pods_leave_that_to_dns() -> None:
    assert ON_MACHINE.addresses == ("10.3.1.5", "10.3.1.6", "10.3.1.4")
    assert IN_PODS.addresses == ()
    assert "hosts" not in PGBOUNCER.files(IN_PODS)


def test_no_password_shows_where_a_backend_is_printed() -> None:
    assert "secret" not in repr(ON_MACHINE)


def test_the_name_that_is_dialled_stands_in_the_certificate_of_every_node() -> None:
    for node in REGION.nodes:
        assert ON_MACHINE.host in certificates.node_purpose(node.address, node.name, ON_MACHINE.host).names
    assert IN_PODS.host in certificates.pods_purpose(CLUSTER.name).names


def test_a_poolers_certificate_serves_by_every_name_and_cannot_log_in() -> None:
    purpose = poolers.purpose(PLAN, CLUSTER, [IPv4Address("203.0.113.9")])
    authority = certificates.make_authority("test", datetime.now(UTC))
    issued = certificates.issue(authority, purpose, datetime.now(UTC))

    assert purpose.use is certificates.Use.SERVER
    assert purpose.common_name not in (*PLAN.database.with_password, "root", "node")
    assert {
        "crdb-eastus-3",
        "10.1.1.4",
        "203.0.113.9",
        "pgbouncer.crdb-eastus.svc.cluster.local",
        "pgbouncer.crdb-eastus.svc",
        "pgbouncer.crdb-eastus",
        "pgbouncer",
        "localhost",
        "127.0.0.1",
    } <= set(purpose.names)
    assert certificates.faults(issued.certificate, authority.certificate, purpose, datetime.now(UTC)) == []
    assert not any("svc" in name for name in poolers.purpose(PLAN, REGION, []).names)


@pytest.mark.parametrize(
    ("said", "understood"),
    [
        ("PgBouncer 1.24.1\nlibevent 2.1.13-stable", True),
        ("PgBouncer 1.21.0", True),
        ("PgBouncer 1.18.0", False),
        ("pgbouncer: command not found", False),
    ],
)
def test_a_version_without_prepared_statements_in_transactions_is_too_old(
    said: str, understood: bool
) -> None:
    assert PGBOUNCER.understands(said) is understood
