"""A person's own session on a machine or in the database, by the programs that people know."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from roachmesh import names
from roachmesh.errors import MissingProgram
from tasks.certificates import of_root
from tasks.deployment import Deployment
from tasks.machines import Machine
from tasks.memory_files import memory_file
from tasks.sql import node_conninfo, open_access, open_node

TUNNEL_LIFETIME = timedelta(hours=12)


def ssh(deployment: Deployment, machine: Machine, command: Sequence[str]) -> int:
    """Run OpenSSH's client on a machine, with its pinned host key; gives the exit code."""
    key = deployment.ssh_key().private_key.get_secret_value()
    host = machine.host
    with memory_file(key) as identity, memory_file(f"{host.address} {host.host_key}\n") as known_hosts:
        options = ["-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=yes"]
        options += ["-o", f"UserKnownHostsFile={known_hosts}", "-i", identity]
        return _run(["ssh", *options, f"{names.ADMIN_USER}@{host.address}", *command])


def psql(deployment: Deployment, machine: Machine, arguments: Sequence[str]) -> int:
    """Run psql as root through a tunnel to a node; gives the exit code."""
    with open_access(deployment, machine) as conninfo:
        return _run(["psql", conninfo, *arguments])


@contextmanager
def sql_for_others(deployment: Deployment, machine: Machine, local_port: int) -> Iterator[str]:
    """Open a tunnel for any client of PostgreSQL's protocol; gives the connection string.

    Such a client reads its certificate from files: they lie in a folder of the owner's alone, are valid
    for twelve hours, and go when the tunnel closes.
    """
    texts = of_root(deployment.certificates(), TUNNEL_LIFETIME)
    with (
        tempfile.TemporaryDirectory(prefix="roachmesh-") as directory,
        open_node(deployment, machine, local_port) as (host, port),
    ):
        paths = []
        for name, text in texts.items():
            path = Path(directory) / name
            path.touch(mode=0o600)
            path.write_text(text)
            paths.append(str(path))
        yield node_conninfo(host, port, *paths)


def _run(command: Sequence[str]) -> int:
    if shutil.which(command[0]) is None:
        raise MissingProgram(f"{command[0]} is not installed on this computer.", advice="Install it.")
    return subprocess.run(command, check=False).returncode
