"""PgBouncer in a cluster and on a machine: clients come in by TLS, stay through changes, and find it gone."""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from tests.e2e.conftest import World

pytestmark = [pytest.mark.machines, pytest.mark.timeout(1200)]

POOLED: dict[str, Any] = {
    "name": "pooled",
    "access": {"nodeport_cidrs": ["0.0.0.0/0"]},
    "regions": [
        {"platform": "k3s", "name": "eastus", "nodes": 1},
        {"platform": "vm", "name": "northeurope", "nodes": 1},
    ],
}
ANOTHER_USER = {**POOLED, "database": {"users": [{"name": "app"}, {"name": "second"}]}}
NONE = {**POOLED, "pooler": "none"}
KUBECTL = str(Path(sys.executable).with_name("kubectl"))
FILES = "/etc/pgbouncer"


class Pooled:
    """The deployed topology: its poolers as clients see them, its machine, kubectl for its cluster."""

    def __init__(self, world: World, directory: Path) -> None:
        self.world = world
        self.directory = directory
        self.kubeconfig = directory / "kubeconfig"
        self.say(POOLED)

    def say(self, topology: dict[str, Any]) -> None:
        self.file = self.directory / "pooled.yaml"
        self.file.write_text(yaml.safe_dump(topology))

    def roachmesh(self, verb: str, *arguments: str) -> str:
        return self.world.roachmesh(verb, str(self.file), *arguments)

    def on_machine(self, *command: str) -> str:
        return self.roachmesh("ssh", "northeurope/1", "--", *command)

    def kubectl(self, *arguments: str) -> str:
        environment = {**os.environ, "KUBECONFIG": str(self.kubeconfig)}
        command = [KUBECTL, "--context=pooled-eastus", "-n", "crdb-eastus", *arguments]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, (command, done.stderr)
        return done.stdout

    def connect(self, region: str, user: str = "app", **options: Any) -> psycopg.Connection:
        """Come in from outside, at a region's public address, and verify who answers."""
        return psycopg.connect(
            self._way_in(user)[region], autocommit=True, prepare_threshold=0, connect_timeout=10, **options
        )

    @cache  # noqa: B019 -- one object, as long as the module's tests
    def _way_in(self, user: str) -> dict[str, str]:
        """Give what the command line says to psql, by region."""
        lines = self.roachmesh("credentials", user, "--output", str(self.directory)).splitlines()
        words = [shlex.split(line.replace("#", "")) for line in lines]
        return {region: conninfo for _, conninfo, region in words}

    @property
    def processes(self) -> tuple[str, ...]:
        """What tells one process of a pooler from another, on the machine and in pods."""
        main = self.on_machine("systemctl", "show", "pgbouncer", "--property=MainPID")
        path = "jsonpath={.items[*].metadata.uid} {.items[*].status.containerStatuses[*].restartCount}"
        return main, self.kubectl("get", "pods", "-l", "app.kubernetes.io/name=pgbouncer", "-o", path)

    @property
    def written(self) -> tuple[str, ...]:
        """When files were written on the machine, and the versions of objects in the cluster."""
        files = self.on_machine("sudo", "sh", "-c", f"'stat -c %n-%y {FILES}/*'")
        path = "jsonpath={.items[*].metadata.resourceVersion}"
        kinds = "secrets,services,deployments,poddisruptionbudgets,pods"
        labels = ("-l", "app.kubernetes.io/name=pgbouncer")
        return files, self.kubectl("get", kinds, *labels, "-o", path)


@pytest.fixture(scope="module")
def pooled(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pooled]:
    pooled = Pooled(world, tmp_path_factory.mktemp("pooled"))
    pooled.roachmesh("deploy")
    pooled.roachmesh("kubeconfig", "--output", str(pooled.kubeconfig))
    yield pooled
    pooled.roachmesh("destroy", "--yes")


@pytest.mark.parametrize("region", ["eastus", "northeurope"])
def test_a_client_comes_in_by_tls_and_its_password_alone_and_prepares_statements(
    pooled: Pooled, region: str
) -> None:
    with pooled.connect(region) as connection:
        for number in range(3):
            assert connection.execute("SELECT %s::int", (number,)).fetchone() == (number,)
    for refused, why in (({"sslmode": "disable"}, "SSL required"), ({"password": "guess"}, "SASL")):
        with pytest.raises(psycopg.OperationalError, match=why):
            pooled.connect(region, **refused)


def test_sessions_live_through_a_new_certificate_and_a_new_user_and_a_second_deployment_changes_nothing(
    pooled: Pooled,
) -> None:
    processes = pooled.processes
    pooled.on_machine("sudo", "rm", f"{FILES}/server.crt")
    pooled.kubectl("patch", "secret", "pgbouncer", "-p", '{"data": {"server.crt": null}}')
    pooled.say(ANOTHER_USER)
    with pooled.connect("eastus") as pods, pooled.connect("northeurope") as machine:
        pooled.roachmesh("deploy")

        assert pods.execute("SELECT 1").fetchone() == machine.execute("SELECT 1").fetchone() == (1,)
    assert pooled.processes == processes
    for region in ("eastus", "northeurope"):
        with pooled.connect(region, "second") as connection:
            assert connection.execute("SELECT current_user").fetchone() == ("second",)

    written = pooled.written
    assert "0 created, 0 updated" in pooled.roachmesh("deploy")
    assert (pooled.processes, pooled.written) == (processes, written)


def test_a_pooler_that_is_told_something_else_is_named(pooled: Pooled) -> None:
    pooled.on_machine(
        "sudo", "sed", "-i", "s/^server_lifetime.*/server_lifetime=1/", f"{FILES}/pgbouncer.ini"
    )
    pooled.kubectl("scale", "deployment", "pgbouncer", "--replicas=1")

    said = pooled.world.roachmesh_fails("verify", str(pooled.file), code=10)

    assert f"file {FILES}/pgbouncer.ini on crdb-northeurope-1" in said
    assert "Deployment pgbouncer of eastus" in said


def test_without_a_pooler_nothing_of_it_stays(pooled: Pooled) -> None:
    pooled.say(NONE)

    pooled.roachmesh("deploy")

    assert pooled.on_machine("ls", FILES).split() == []
    assert pooled.on_machine("systemctl", "is-enabled", "pgbouncer", "||", "true").strip() == "disabled"
    kinds = "secrets,services,deployments,poddisruptionbudgets"
    assert pooled.kubectl("get", kinds, "-l", "app.kubernetes.io/name=pgbouncer", "-o", "name") == ""
    assert "0 created, 0 updated" in pooled.roachmesh("deploy")
