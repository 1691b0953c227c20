"""The PostgreSQL under the first node: made, started, asked and stopped.

It listens on a socket in its own data directory, which only its user can enter, and nowhere else.
"""

import asyncio
import os
import shutil
import signal
from pathlib import Path

from sandbox.cockroach import multiregion, pgwire, session_list
from sandbox.cockroach.logs import log
from sandbox.cockroach.rpc import Streams
from sandbox.cockroach.session_list import SessionList

INSTALLATIONS = Path("/usr/lib/postgresql")
# CockroachDB's container runs as root, which PostgreSQL refuses.
_ROOT = os.geteuid() == 0
_INSTEAD_OF_ROOT = ("nobody", "nogroup")
_AS_USER = (
    ("setpriv", "--reuid", _INSTEAD_OF_ROOT[0], "--regid", _INSTEAD_OF_ROOT[1], "--clear-groups")
    if _ROOT
    else ("setpriv",)
)
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_directories": ".",  # its data directory
    "unix_socket_permissions": "0700",
    "max_connections": "1000",
    "shared_buffers": "32MB",
    "jit": "off",
    "default_transaction_isolation": "serializable",  # CockroachDB's default
    # Killing processes loses nothing that was written; only this computer losing power would.
    "fsync": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    "autovacuum_naptime": "10min",
    "log_line_prefix": "postgres: ",
    "log_checkpoints": "off",
    # Statements, and the errors that quote them, hold passwords and people's data.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
}
# In template1, so that every database has it. A session's settings say through which node it came.
TEMPLATE = """
CREATE OR REPLACE FUNCTION pg_catalog.version() RETURNS text LANGUAGE sql STABLE AS $$
  SELECT format('CockroachDB CCL %s (Roachmesh stand-in on PostgreSQL %s)',
    current_setting('standin.version', true), split_part(current_setting('server_version'), ' ', 1)) $$;
CREATE FUNCTION pg_catalog.gateway_region() RETURNS text LANGUAGE sql STABLE AS $$
  SELECT nullif(current_setting('standin.region', true), '') $$;
CREATE SCHEMA crdb_internal;
GRANT USAGE ON SCHEMA crdb_internal TO PUBLIC;
CREATE FUNCTION crdb_internal.node_id() RETURNS bigint LANGUAGE sql STABLE AS $$
  SELECT current_setting('standin.node_id', true)::bigint $$;
CREATE FUNCTION crdb_internal.cluster_id() RETURNS uuid LANGUAGE sql STABLE AS $$
  SELECT current_setting('standin.cluster_id', true)::uuid $$;
GRANT CREATE ON SCHEMA public TO PUBLIC;
CREATE ROLE admin SUPERUSER;
GRANT admin TO root;
"""
DATABASES = ("DROP DATABASE postgres", "CREATE DATABASE postgres", "CREATE DATABASE defaultdb",
             "CREATE DATABASE system")  # fmt: skip


class PostgresError(Exception):
    """PostgreSQL could not be started, or answered a statement with an error."""


class Postgres:
    """One PostgreSQL server in a node's store; `root` is its superuser."""

    def __init__(self, store: Path) -> None:
        self.data = store / "postgres"
        self.sessions = SessionList(self.data)
        self._process: asyncio.subprocess.Process | None = None
        self._session: Streams | None = None
        self._session_lock = asyncio.Lock()

    async def create(self) -> None:
        """Make the database cluster anew, whatever an earlier attempt left, and start it."""
        await self.stop()
        shutil.rmtree(self.data, ignore_errors=True)
        self.data.mkdir(mode=0o700)
        if _ROOT:
            shutil.chown(self.data, *_INSTEAD_OF_ROOT)
        await self._run_initdb()
        await self.start(database="template1")
        await self.query(TEMPLATE)
        await self.query(multiregion.FUNCTIONS)
        await self.query(session_list.FUNCTIONS)
        for statement in DATABASES:
            await self.query(statement)
        # A session in template1 would keep anybody from making databases.
        if self._session:
            self._session[1].close()
        self._session, self._database = None, "system"

    async def start(self, database: str = "system") -> None:
        """Start the server and wait until it answers.

        Raises:
            PostgresError: it did not within a minute.
        """
        self._database = database
        self._data_fd = os.open(self.data, os.O_PATH | os.O_DIRECTORY)
        await self._wait_for_predecessor()
        self.sessions.clear()
        settings = [word for pair in SETTINGS.items() for word in ("-c", "=".join(pair))]
        # Should this node be killed, the kernel tells PostgreSQL to stop fast.
        self._process = await asyncio.create_subprocess_exec(
            *_AS_USER, "--pdeathsig", "INT", str(_programs() / "postgres"), "-D", str(self.data), *settings
        )
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                while not await self._answers():
                    if self._process.returncode is not None:
                        raise PostgresError(f"PostgreSQL ended with code {self._process.returncode}")
                    await asyncio.sleep(0.05)
        except TimeoutError as error:
            raise PostgresError(f"PostgreSQL did not answer within {START_TIMEOUT_S:.0f} s") from error

    async def wait(self) -> int:
        """Wait for the server's end."""
        assert self._process  # noqa: S101
        return await self._process.wait()

    async def stop(self) -> None:
        """Stop the server: its sessions are told, and what was committed is kept."""
        if not self._process or self._process.returncode is not None:
            return
        self._process.send_signal(signal.SIGINT)
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await self._process.wait()
        except TimeoutError:
            log.warning("PostgreSQL did not stop within %.0f s and is stopped at once", STOP_TIMEOUT_S)
            self._process.send_signal(signal.SIGQUIT)
            await self._process.wait()

    async def connect(self) -> Streams:
        """Connect to its socket."""
        # Through the descriptor, since a path in the store may be too long for a socket's name.
        return await asyncio.open_unix_connection(f"/proc/self/fd/{self._data_fd}/.s.PGSQL.5432")

    async def cancel(self, key: bytes) -> None:
        """Cancel the query of the session with this key."""
        _, writer = await self.connect()
        writer.write(pgwire.cancel(key))
        writer.close()

    async def query(self, statement: str) -> list[list[str | None]]:
        """Run a statement as root in a session kept for this, and return its rows as text.

        Raises:
            PostgresError: the server answered with an error.
        """
        async with self._session_lock:
            session = self._session or await self._log_in()
            self._session = None  # unless this ends well, the next statement gets a new one
            session[1].write(pgwire.message(b"Q", pgwire.cstring(statement)))
            rows = await _answer(session[0])
            self._session = session
            return rows

    async def _log_in(self) -> Streams:
        session = await self.connect()
        session[1].write(pgwire.startup({"user": "root", "database": self._database}))
        await _answer(session[0])
        return session

    async def _answers(self) -> bool:
        try:
            await self.query("SELECT 1")
        except (OSError, PostgresError):
            return False
        return True

    async def _run_initdb(self) -> None:
        initdb = await asyncio.create_subprocess_exec(
            *_AS_USER, str(_programs() / "initdb"), "--pgdata", str(self.data),
            "--username=root", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--lc-collate=C",
            "--no-sync", "--no-instructions",
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        _, complaint = await initdb.communicate()
        if initdb.returncode:
            raise PostgresError(f"initdb failed: {complaint.decode().strip()}")

    async def _wait_for_predecessor(self) -> None:
        """Let the server of a node that was killed finish its stop, or end it."""
        lock = self.data / "postmaster.pid"
        if not lock.exists():
            return
        pid = int(lock.read_text().split()[0])
        for attempt in range(100):
            command_line = Path(f"/proc/{pid}/cmdline")
            if not command_line.exists() or str(self.data) not in command_line.read_text():
                return
            if attempt == 0:
                log.warning("waiting for the PostgreSQL of an earlier process to stop")
            if attempt == 50:
                os.kill(pid, signal.SIGQUIT)
            await asyncio.sleep(0.1)


async def _answer(reader: asyncio.StreamReader) -> list[list[str | None]]:
    rows: list[list[str | None]] = []
    failure = ""
    kind = b""
    while kind != b"Z":
        try:
            kind, payload = await pgwire.read_message(reader)
        except EOFError as error:
            raise PostgresError(failure or "the session ended") from error
        if kind == b"D":
            rows.append(pgwire.data_row(payload))
        elif kind == b"E":
            failure = pgwire.error_text(payload)
    if failure:
        raise PostgresError(failure)
    return rows


def _programs() -> Path:
    """Return the directory of the newest PostgreSQL's programs."""
    versions = [path for path in INSTALLATIONS.glob("*/bin") if (path / "postgres").exists()]
    if not versions:
        raise PostgresError(f"no PostgreSQL server under {INSTALLATIONS}: install Debian's postgresql")
    return max(versions, key=lambda path: int(path.parent.name))
