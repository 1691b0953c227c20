"""The commands that talk to a node: `init`, `node status` and `sql`."""

import asyncio
import ssl
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from sandbox.cockroach import rpc, tables
from sandbox.cockroach.arguments import CommandError, FlagError, Invocation, split_address
from sandbox.cockroach.certificates import CertificateError, check_key, client_context
from sandbox.cockroach.membership import COLUMNS

PSQL_FORMATS = {
    "table": [],
    "csv": ["--csv"],
    "tsv": ["--no-align", "--field-separator=\t", "--pset=footer=off"],
}
UNREACHABLE = """cannot dial server.
Is the server running?
If the server is running, check --host client-side and --advertise server-side.

"""


def init(invocation: Invocation, _: str) -> None:
    """Make the node at `--host` the first of a new cluster, once it answers."""
    asyncio.run(_bootstrap(*_server(invocation), _root_context(invocation)))
    sys.stdout.write("Cluster successfully initialized\n")


async def _bootstrap(host: str, port: int, context: ssl.SSLContext) -> None:
    # Repeated without end until the node answers, and never once it has. Source: pkg/cli/init.go.
    while True:
        try:
            async with rpc.dial(f"{host}:{port}", context) as node:
                await node.call("Health")
            break
        except (*rpc.TROUBLES, rpc.RpcError) as error:
            warning = f"node not ready to perform cluster initialization: {error}"
            sys.stderr.write(f"warning: {warning} (retrying)\n")
            await asyncio.sleep(1)
    try:
        async with rpc.dial(f"{host}:{port}", context) as node:
            await node.call("Bootstrap", timeout_s=None)
    except (*rpc.TROUBLES, rpc.RpcError) as error:
        raise CommandError(str(error)) from error


def node_status(invocation: Invocation, _: str) -> None:
    """Print the nodes, or the one whose id is given."""
    form = _format(invocation, tables.FORMATS)
    rows = asyncio.run(_nodes(*_server(invocation), _root_context(invocation)))
    if invocation.arguments:
        rows = [row for row in rows if row["id"] == invocation.arguments[0]]
        if not rows:
            raise CommandError(f"node {invocation.arguments[0]} doesn't exist")
    sys.stdout.write(tables.render(form, COLUMNS, rows))


async def _nodes(host: str, port: int, context: ssl.SSLContext) -> list[dict[str, str]]:
    try:
        async with rpc.dial(f"{host}:{port}", context) as node:
            nodes: list[dict[str, str]] = (await node.call("Nodes", timeout_s=20))["nodes"]
            return nodes
    except rpc.RpcError as error:
        raise CommandError(str(error)) from error
    except rpc.TROUBLES as error:
        raise CommandError(f"{UNREACHABLE}{error}") from error


def sql(invocation: Invocation, _: str) -> None:
    """Run statements, or a shell, through psql with `sslmode=verify-full`."""
    user = invocation.get("user", "root")
    form = _format(invocation, PSQL_FORMATS)
    host, port = _server(invocation)
    authority, certificate, key = _client_files(invocation, user)
    target = {
        "host": host, "port": port, "user": user, "dbname": invocation.get("database", "defaultdb"),
        "sslmode": "verify-full", "sslrootcert": authority, "sslcert": certificate or "", "sslkey": key or "",
        "application_name": "$ cockroach sql", "connect_timeout": 15,
    }  # fmt: skip
    connection = " ".join(f"{name}='{value}'" for name, value in target.items())
    command = ["psql", connection, "--no-psqlrc", "--set=ON_ERROR_STOP=1", "--pset=null=NULL"]
    command += PSQL_FORMATS[form]
    command += [f"--command={statement}" for statement in invocation.flags.get("execute", [])]
    command += [f"--file={path}" for path in invocation.flags.get("file", [])]
    if subprocess.run(command, check=False).returncode:
        raise CommandError("a statement or the connection failed; psql said why")


def certs_dir(invocation: Invocation) -> Path:
    """Return where certificates are looked for."""
    return Path(invocation.get("certs-dir", "~/.cockroach-certs")).expanduser()


def _server(invocation: Invocation) -> tuple[str, int]:
    return split_address(invocation.get("host"), "localhost", int(invocation.get("port") or 26257))


def _client_files(invocation: Invocation, user: str) -> tuple[Path, Path | None, Path | None]:
    """Return the CA's certificate, and the user's with its key, if there is one."""
    directory = certs_dir(invocation)
    authority = directory / "ca.crt"
    if not authority.exists():
        raise CertificateError("problem with CA certificate: not found")
    certificate = directory / f"client.{user}.crt"
    if not certificate.exists():
        return authority, None, None
    check_key(certificate.with_suffix(".key"))
    return authority, certificate, certificate.with_suffix(".key")


def _root_context(invocation: Invocation) -> ssl.SSLContext:
    authority, certificate, key = _client_files(invocation, "root")
    if not certificate:
        raise CertificateError("problem with client cert for user root: not found")
    return client_context(authority, certificate, key)


def _format(invocation: Invocation, known: Iterable[str]) -> str:
    form = invocation.get("format") or ("table" if sys.stdout.isatty() else "tsv")
    if form not in known:
        problem = f"invalid table display format: {form} (possible values: {', '.join(known)})"
        raise FlagError(f'invalid argument "{form}" for "--format" flag: {problem}')
    return form
