"""Statements over libpq, sent as lib/pq sends them, since poolers tell the difference.

lib/pq prepares the unnamed statement, waits, then executes it: two round trips, between which a pooler may
change the server. With `binary_parameters=yes` in the URL, a parameter of its own, it makes one trip of both.
"""

import time
from collections.abc import Iterator
from itertools import cycle
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from psycopg import pq

from sandbox.cockroach.arguments import CommandError

CONNECT_TIMEOUT_S = 10
PAUSE_S = 0.1  # after a connection that failed; the real one tries again without one
RETRIES = 100
Row = list[str | None]
_GOOD = (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK)
_SERIALIZATION_FAILURE = b"40001"


class StatementFailed(CommandError):
    """The server, or the way to it, refused a statement."""


class Connection:
    """A connection that is made when it is needed, and anew once it is lost."""

    def __init__(self, url: str) -> None:
        self._conninfo, self._in_one_trip = _for_libpq(url)
        self._server: pq.abc.PGconn | None = None

    def run(self, statement: str, *values: object) -> list[Row]:
        """Run a statement and return its rows as text.

        CockroachDB repeats a statement that met another on its own; PostgreSQL leaves that to its client.

        Raises:
            StatementFailed: with the other side's words.
        """
        for _ in range(RETRIES):
            result = self._execute(statement, [_text(value) for value in values])
            if result.status in _GOOD:
                return [_row(result, number) for number in range(result.ntuples)]
            if result.error_field(pq.DiagnosticField.SQLSTATE) != _SERIALIZATION_FAILURE:
                break
        raise StatementFailed(self._complaint(result))

    def close(self) -> None:
        """Close it, if it is open."""
        if self._server:
            self._server.finish()
        self._server = None

    def _execute(self, statement: str, values: list[bytes | None]) -> pq.abc.PGresult:
        server = self._connected()
        if not values:
            return server.exec_(statement.encode())
        if self._in_one_trip:
            return server.exec_params(statement.encode(), values)
        prepared = server.prepare(b"", statement.encode())
        if prepared.status not in _GOOD:
            return prepared
        return server.exec_prepared(b"", values)  # type: ignore[arg-type] # None is NULL here too

    def _connected(self) -> pq.abc.PGconn:
        if not self._server or self._server.status != pq.ConnStatus.OK:
            self.close()
            server: pq.abc.PGconn = pq.PGconn.connect(self._conninfo.encode())
            if server.status != pq.ConnStatus.OK:
                complaint = _decoded(server.error_message)
                server.finish()
                time.sleep(PAUSE_S)
                raise StatementFailed(complaint)
            self._server = server
        return self._server

    def _complaint(self, result: pq.abc.PGresult) -> str:
        primary = result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY)
        lost = _decoded(self._server.error_message) if self._server else ""
        return f"pq: {_decoded(primary) if primary else lost}"


class RoundRobin:
    """Connections to several addresses, each statement to the next."""

    def __init__(self, urls: list[str]) -> None:
        self._next: Iterator[Connection] = cycle([Connection(url) for url in urls])

    def run(self, statement: str, *values: object) -> list[Row]:
        """Run a statement, as `Connection.run` does."""
        return next(self._next).run(statement, *values)


def sanitize(url: str, database: str) -> str:
    """Give a URL the database, and our name as the application's.

    Raises:
        CommandError: it names another database, or is no URL of PostgreSQL's.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("postgres", "postgresql"):
        raise CommandError(f"unsupported scheme: {parts.scheme}")
    named = parts.path.removeprefix("/")
    if named not in ("", database):
        raise CommandError(f'the URL specifies database "{named}", but database "{database}" is expected')
    query = dict(parse_qsl(parts.query)) | {"application_name": "movr"}
    return with_database(parts._replace(query=urlencode(query, quote_via=quote)).geturl(), database)


def with_database(url: str, database: str) -> str:
    """Return a URL with another database."""
    return urlsplit(url)._replace(path=f"/{quote(database)}").geturl()


def _for_libpq(url: str) -> tuple[str, bool]:
    """Return the URL without what only lib/pq knows, and whether a statement takes one trip."""
    parts = urlsplit(url)
    query = {"connect_timeout": str(CONNECT_TIMEOUT_S)} | dict(parse_qsl(parts.query))
    in_one_trip = query.pop("binary_parameters", "no") == "yes"
    return parts._replace(query=urlencode(query, quote_via=quote)).geturl(), in_one_trip


def _text(value: object) -> bytes | None:
    return None if value is None else str(value).encode()


def _row(result: pq.abc.PGresult, number: int) -> Row:
    values = [result.get_value(number, column) for column in range(result.nfields)]
    return [None if value is None else value.decode() for value in values]


def _decoded(text: bytes) -> str:
    return text.decode(errors="replace").strip()
