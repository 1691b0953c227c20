"""What poolers are told, against what was reviewed; which versions understand it."""

import json
import os
import subprocess
from base64 import b64decode
from configparser import ConfigParser
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from roachmesh import certificates, topology
from roachmesh.plan import make_plan
from roachmesh.pooler import PAIR, Backend, Pooler
from roachmesh.render import pooler_pods, poolers
from roachmesh.render.kubernetes import Object
from roachmesh.render.pgbouncer import PGBOUNCER

GOLDEN = Path(__file__).parent / "golden"
PLAN = make_plan(topology.DEFAULT)
CLUSTER, _, REGION = PLAN.regions
NODE = REGION.nodes[1]
PASSWORDS = {"roachmesh": "secret text", "app": 'with "quotes"'}
ON_MACHINE = poolers.on_machine(PLAN, NODE, PASSWORDS)
IN_PODS = poolers.in_pods(PLAN, CLUSTER, PASSWORDS)

PAIR_TEXTS = {"ca.crt": "an authority", "server.crt": "a certificate", "server.key": "the key"}
TEXTS = {**PGBOUNCER.files(IN_PODS), **PAIR_TEXTS}

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


def described(texts: dict[str, str]) -> list[Object]:
    return pooler_pods.objects(CLUSTER, PGBOUNCER, texts, "policy/v1")


def template(texts: dict[str, str]) -> Any:
    return described(texts)[-1]["spec"]["template"]


def test_what_is_applied_is_what_was_reviewed() -> None:
    text = json.dumps(described(TEXTS), indent=2) + "\n"
    if os.environ.get("ROACHMESH_UPDATE_GOLDEN"):
        (GOLDEN / "pgbouncer_pods.json").write_text(text)

    assert text == (GOLDEN / "pgbouncer_pods.json").read_text()


def test_pods_that_can_read_a_change_are_not_replaced_for_it_but_know_of_another_revision() -> None:
    for name in TEXTS:
        changed = {**TEXTS, name: "another"}

        assert template(changed) == template(TEXTS)
        assert pooler_pods.revision(changed) != pooler_pods.revision(TEXTS)


def test_secrets_are_in_the_secret_alone() -> None:
    secret, *others = described(TEXTS)

    assert b64decode(secret["data"]["userlist.txt"]).decode() == TEXTS["userlist.txt"]
    assert not any(text in json.dumps(others) for text in ("secret text", "the key"))


@pytest.mark.parametrize(("revision", "said"), [("old", ""), ("new", "reloaded\n")])
def test_a_pod_is_told_to_reload_only_when_it_has_the_files(tmp_path: Path, revision: str, said: str) -> None:
    (tmp_path / "revision").write_text(revision)
    script = pooler_pods.RELOAD.replace("kill -HUP 1", "true")

    done = subprocess.run(["sh", "-c", script, tmp_path, "new"], capture_output=True, text=True, check=True)

    assert done.stdout == said


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
    assert "secret text" not in repr(ON_MACHINE)


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
        ("PgBouncer 1.22.0", True),
        ("PgBouncer 1.18.0", False),
        ("pgbouncer: command not found", False),
    ],
)
def test_a_version_without_prepared_statements_in_transactions_is_too_old(
    said: str, understood: bool
) -> None:
    assert PGBOUNCER.understands(said) is understood
