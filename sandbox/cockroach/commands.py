"""The commands: what each does, and how each ends."""

import asyncio
import platform
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from sandbox.cockroach import rpc, tables
from sandbox.cockroach.arguments import (
    COMMANDS,
    CommandError,
    FlagError,
    Invocation,
    find_command,
    parse,
    split_address,
)
from sandbox.cockroach.certificates import (
    CertificateError,
    NodeCertificates,
    check_key,
    client_context,
    load_directory,
)
from sandbox.cockroach.logs import STAND_IN, log, log_to_stderr
from sandbox.cockroach.membership import COLUMNS, Descriptor, now
from sandbox.cockroach.postgres import PostgresError

CERTS_DIR = "~/.cockroach-certs"
PSQL_FORMATS = {
    "table": [],
    "csv": ["--csv"],
    "tsv": ["--no-align", "--field-separator=\t", "--pset=footer=off"],
    "records": ["--expanded"],
    "html": ["--html"],
}


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
        sys.stderr.write(
            "ERROR: cannot load certificates.\nCheck your certificate settings, set --certs-dir, or use "
            f'--insecure for insecure clusters.\n\n{error}\nFailed running "{name}"\n'
        )
        return 1
    except CommandError as error:
        sys.stderr.write(f'ERROR: {error}\nFailed running "{name}"\n')
        return error.exit_code
    except KeyboardInterrupt:
        return 3
    return 0


def usage() -> str:
    """Say which commands there are."""
    lines = [f"  {name:<12} {command.summary}\n" for name, command in COMMANDS.items()]
    return f"{STAND_IN}\n\nUsage:\n  cockroach [command] (flags)\n\n" + "".join(lines)


def show_version(invocation: Invocation, version: str) -> None:
    """Print the build; the tag alone is the real one's, since tools compare it."""
    if invocation.get("build-tag") == "true":
        sys.stdout.write(version + "\n")
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
    from sandbox.cockroach.node import Node, Options

    if invocation.get("background") == "true":
        raise CommandError("the stand-in runs in the foreground only: --background is not supported")
    if "join" not in invocation.flags:
        raise CommandError(
            "no --join flags provided to 'cockroach start'\n"
            "HINT: Consider using 'cockroach init' or 'cockroach start-single-node' instead"
        )
    log_to_stderr()
    listen = split_address(invocation.get("listen-addr"))
    advertised = "{}:{}".format(
        *split_address(invocation.get("advertise-addr"), listen[0] or socket.gethostname(), listen[1])
    )
    sql_listen = split_address(invocation.get("sql-addr"), *listen)
    store = _store(invocation)
    options = Options(
        certs_dir=_certs_dir(invocation),
        store=store,
        listen=listen,
        sql_listen=sql_listen,
        http_listen=split_address(invocation.get("http-addr"), listen[0], 8080),
        join=tuple("{}:{}".format(*split_address(peer)) for peer in _listed(invocation, "join")),
        cluster_name=invocation.get("cluster-name"),
        descriptor=Descriptor(
            address=advertised,
            sql_address=invocation.get("advertise-sql-addr") or advertised,
            build=version,
            started_at=now(),
            locality=invocation.get("locality"),
            attrs="[" + invocation.get("attrs").replace(":", ",") + "]",
        ),
    )
    log.info("CockroachDB CCL %s (Roachmesh stand-in): %s", version, STAND_IN)
    if invocation.get("locality-advertise-addr"):
        log.warning("--locality-advertise-addr is not emulated: every node dials --advertise-addr")
    try:
        asyncio.run(Node(options, NodeCertificates(options.certs_dir)).run())
    except (OSError, PostgresError) as error:
        log.critical("%s", error)
        raise CommandError(str(error)) from error


def _store(invocation: Invocation) -> Path:
    stores = invocation.flags.get("store", ["cockroach-data"])
    if len(stores) > 1:
        raise CommandError("the stand-in has one store per node")
    fields = dict(part.split("=", 1) for part in stores[0].split(",") if "=" in part)
    store = Path(fields.get("path", stores[0])).absolute()
    try:
        store.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(f"could not create store {store}: {error.strerror}") from error
    return store


def _listed(invocation: Invocation, flag: str) -> list[str]:
    return [part.strip() for value in invocation.flags.get(flag, []) for part in value.split(",") if part]


def _certs_dir(invocation: Invocation) -> Path:
    return Path(invocation.get("certs-dir", CERTS_DIR)).expanduser()


def _server_address(invocation: Invocation) -> str:
    port = int(invocation.get("port") or 26257)
    return "{}:{}".format(*split_address(invocation.get("host"), "localhost", port))


def _client_files(invocation: Invocation, user: str) -> tuple[Path, Path | None, Path | None]:
    """Return the CA's certificate, and the user's with its key, if there is one."""
    directory = _certs_dir(invocation)
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


def init(invocation: Invocation, _: str) -> None:
    """Make the node at `--host` the first of a new cluster, once it answers."""
    context = _root_context(invocation)
    asyncio.run(_bootstrap(_server_address(invocation), context))
    sys.stdout.write("Cluster successfully initialized\n")


async def _bootstrap(address: str, context: ssl.SSLContext) -> None:
    # Repeated without end until the node answers, and never once it has. Source: pkg/cli/init.go.
    while True:
        try:
            async with rpc.dial(address, context) as node:
                await node.call("Health")
            break
        except (*rpc.TROUBLES, rpc.RpcError) as error:
            sys.stderr.write(
                f"warning: node not ready to perform cluster initialization: {error} (retrying)\n"
            )
            await asyncio.sleep(1)
    try:
        async with rpc.dial(address, context) as node:
            await node.call("Bootstrap", timeout_s=None)
    except (*rpc.TROUBLES, rpc.RpcError) as error:
        raise CommandError(str(error)) from error


def node_status(invocation: Invocation, _: str) -> None:
    """Print the nodes, or the one whose id is given."""
    form = _format(invocation, tables.FORMATS)
    rows = asyncio.run(_nodes(_server_address(invocation), _root_context(invocation)))
    if invocation.arguments:
        rows = [row for row in rows if row["id"] == invocation.arguments[0]]
        if not rows:
            raise CommandError(f"node {invocation.arguments[0]} doesn't exist")
    sys.stdout.write(tables.render(form, COLUMNS, rows))


async def _nodes(address: str, context: ssl.SSLContext) -> list[dict[str, str]]:
    try:
        async with rpc.dial(address, context) as node:
            nodes: list[dict[str, str]] = (await node.call("Nodes", timeout_s=20))["nodes"]
            return nodes
    except rpc.RpcError as error:
        raise CommandError(str(error)) from error
    except rpc.TROUBLES as error:
        raise CommandError(
            "cannot dial server.\nIs the server running?\nIf the server is running, check --host "
            f"client-side and --advertise server-side.\n\n{error}"
        ) from error


def _format(invocation: Invocation, known: tuple[str, ...]) -> str:
    form = invocation.get("format") or ("table" if sys.stdout.isatty() else "tsv")
    if form not in known:
        raise FlagError(
            f'invalid argument "{form}" for "--format" flag: invalid table display format: {form} '
            f"(possible values: {', '.join(known)})"
        )
    return form


def sql(invocation: Invocation, _: str) -> None:
    """Run statements, or a shell, through psql with `sslmode=verify-full`."""
    user = invocation.get("user", "root")
    form = _format(invocation, tuple(PSQL_FORMATS))
    authority, certificate, key = _client_files(invocation, user)
    host, port = split_address(_server_address(invocation))
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


def cert_list(invocation: Invocation, _: str) -> None:
    """Print the certificates of `--certs-dir` as the loader sees them."""
    columns = ("Usage", "Certificate File", "Key File", "Expires", "Notes", "Error")
    rows = [
        {
            "Usage": file.usage,
            "Certificate File": file.path.name,
            "Key File": file.key.name if file.key.exists() else "",
            "Expires": file.expires.strftime("%Y/%m/%d") if file.expires else "",
            "Notes": ", ".join(file.principals),
            "Error": file.error,
        }
        for file in load_directory(_certs_dir(invocation)).values()
    ]
    sys.stdout.write(f"Certificate directory: {_certs_dir(invocation)}\n")
    sys.stdout.write(tables.render(_format(invocation, tables.FORMATS), columns, rows))


RUN: dict[str, Callable[[Invocation, str], None]] = {
    "start": start,
    "init": init,
    "node status": node_status,
    "sql": sql,
    "cert list": cert_list,
    "version": show_version,
}
