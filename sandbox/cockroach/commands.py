"""The commands: which there are, and how each ends."""

import asyncio
import platform
import resource
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from sandbox.cockroach.arguments import COMMANDS, CommandError, Invocation, find_command, parse, split_address
from sandbox.cockroach.certificates import CertificateError, NodeCertificates
from sandbox.cockroach.clients import certs_dir, init, node_status, sql
from sandbox.cockroach.logs import STAND_IN, log, log_to_stderr
from sandbox.cockroach.membership import Descriptor, now
from sandbox.cockroach.postgres import PostgresError


def main(version: str, words: list[str]) -> int:
    """Run a command line, and return its exit code."""
    name = "cockroach"
    try:
        if not words or words[0] in ("help", "--help", "-h"):
            sys.stdout.write(usage())
            return 0
        name = find_command(words)
        invocation = parse(name, words[len(name.split()) :])
        if invocation.get("insecure") == "true":
            raise CommandError("the stand-in is secure only: --insecure is not supported")
        RUN[name](invocation, version)
    except CertificateError as error:
        advice = "Check your certificate settings, set --certs-dir, or use --insecure for insecure clusters."
        sys.stderr.write(f"ERROR: cannot load certificates.\n{advice}\n\n{error}\n")
        exit_code = 1
    except CommandError as error:
        sys.stderr.write(f"ERROR: {error}\n")
        exit_code = error.exit_code
    else:
        return 0
    sys.stderr.write(f'Failed running "{name}"\n')
    return exit_code


def usage() -> str:
    """Say which commands there are."""
    lines = [f"  {name:<18} {command.summary}\n" for name, command in COMMANDS.items()]
    return f"{STAND_IN}\n\nUsage:\n  cockroach [command] (flags)\n\n" + "".join(lines)


def show_version(invocation: Invocation, version: str) -> None:
    """Print the build; the tag alone is the real one's, since tools compare it."""
    if invocation.get("build-tag") == "true":
        sys.stdout.write(f"{version}\n")
        return
    lines = {
        "Build Tag": version,
        "Distribution": f"Roachmesh stand-in ({STAND_IN})",
        "Platform": "linux amd64",
        "Python Version": platform.python_version(),
    }
    sys.stdout.write("".join(f"{key + ':':<17} {value}\n" for key, value in lines.items()))


def start(invocation: Invocation, version: str) -> None:
    """Run a node until it is told to stop."""
    from sandbox.cockroach.cluster import Cluster
    from sandbox.cockroach.node import Node

    if invocation.get("background") == "true":
        raise CommandError("the stand-in runs in the foreground only: --background is not supported")
    if "join" not in invocation.flags:
        raise CommandError(
            "no --join flags provided to 'cockroach start'\n"
            "HINT: Consider using 'cockroach init' or 'cockroach start-single-node' instead"
        )
    listen = split_address(invocation.get("listen-addr"))
    ports = {
        "rpc": listen,
        "sql": split_address(invocation.get("sql-addr"), *listen),
        "console": split_address(invocation.get("http-addr"), listen[0], 8080),
    }
    address = _address(invocation.get("advertise-addr"), listen[0] or socket.gethostname(), listen[1])
    descriptor = Descriptor(
        address=address,
        sql_address=invocation.get("advertise-sql-addr") or address,
        build=version,
        started_at=now(),
        locality=invocation.get("locality"),
        attrs="[" + invocation.get("attrs").replace(":", ",") + "]",
    )
    peers = ",".join(invocation.flags["join"]).split(",")
    join = tuple(_address(peer.strip()) for peer in peers if peer.strip())
    log_to_stderr()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # as the real one does; a session takes two
    log.info("CockroachDB CCL %s (Roachmesh stand-in): %s", version, STAND_IN)
    if invocation.get("locality-advertise-addr"):
        log.warning("--locality-advertise-addr is not emulated: every node dials --advertise-addr")
    certificates = NodeCertificates(certs_dir(invocation))
    store = _store(invocation)

    async def run() -> None:
        cluster = Cluster(invocation.get("cluster-name"), store, join, descriptor, certificates)
        await Node(cluster, certificates, ports).run()

    try:
        asyncio.run(run())
    except (OSError, PostgresError) as error:
        log.critical("%s", error)
        raise CommandError(str(error)) from error


def workload_init(invocation: Invocation, version: str) -> None:
    """Set up MovR's tables; only then is psycopg needed."""
    from sandbox.cockroach.workload import command

    command.init(invocation, version)


def workload_run(invocation: Invocation, version: str) -> None:
    """Run MovR's operations; only then is psycopg needed."""
    from sandbox.cockroach.workload import command

    command.run(invocation, version)


def _address(address: str, default_host: str = "", default_port: int = 26257) -> str:
    return "{}:{}".format(*split_address(address, default_host, default_port))


def _store(invocation: Invocation) -> Path:
    stores = invocation.flags.get("store", ["cockroach-data"])
    if len(stores) > 1:
        raise CommandError("the stand-in has one store per node")
    fields = dict(part.split("=", 1) for part in stores[0].split(",") if "=" in part)
    store = Path(fields.get("path", stores[0])).absolute()
    try:
        store.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(f"could not create store {store}: {error.strerror}") from error
    return store


RUN: dict[str, Callable[[Invocation, str], None]] = {
    "start": start,
    "init": init,
    "node status": node_status,
    "sql": sql,
    "version": show_version,
    "workload init movr": workload_init,
    "workload run movr": workload_run,
}
