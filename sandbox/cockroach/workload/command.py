"""`workload init movr` and `workload run movr`: flags, threads and signals.

One worker, whatever `--concurrency` says: so it is in the real one's MovR.
"""

import signal
import sys
import threading
import time
from collections.abc import Callable
from random import Random

from sandbox.cockroach.arguments import CommandError, Invocation, duration_s
from sandbox.cockroach.logs import STAND_IN, log, log_to_stderr
from sandbox.cockroach.workload import movr
from sandbox.cockroach.workload.connection import (
    Connection,
    RoundRobin,
    StatementFailed,
    sanitize,
    with_database,
)
from sandbox.cockroach.workload.latencies import Report
from sandbox.cockroach.workload.operations import Operations

DEFAULT_URL = "postgres://root@localhost:26257?sslmode=disable"
BATCH = 100  # rows of an INSERT


def init(invocation: Invocation, _: str) -> None:
    """Make the database with its tables and their first rows; rows that are there already are an error."""
    log_to_stderr()
    log.info("%s", STAND_IN)
    database, urls = _target(invocation)
    rows = movr.Rows(_sizes(invocation), int(invocation.get("seed", "1")))
    if invocation.get("drop") == "true":
        _in_default_database(urls[0], f'DROP DATABASE IF EXISTS "{database}"')
    connection = Connection(urls[0])
    try:
        _create_database(connection, urls[0], database)
        for table in movr.TABLES:
            connection.run(f"CREATE TABLE IF NOT EXISTS {table.name} ({table.columns})")
            for index in table.indexes:
                connection.run(f"CREATE INDEX IF NOT EXISTS {index}")
        for table in movr.TABLES:
            _fill(connection, table.name, list(rows.of(table.name)))
        for table in movr.TABLES:
            for reference in table.references:
                connection.run(f"ALTER TABLE {table.name} ADD FOREIGN KEY {reference}")
    finally:
        connection.close()


def run(invocation: Invocation, _: str) -> None:
    """Run operations until the duration is over, a signal comes, or an error that is not tolerated."""
    log_to_stderr()
    log.info("%s", STAND_IN)
    _, urls = _target(invocation)
    operations = Operations(RoundRobin(urls), Random(int(invocation.get("seed", "1"))))  # noqa: S311
    worker = Worker(
        operations,
        rate=float(invocation.get("max-rate", "0")),
        tolerant=invocation.get("tolerate-errors") == "true",
        display_every_s=duration_s(invocation.get("display-every", "1s")),
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: worker.done.set())
    worker.start()
    worker.report_until(duration_s(invocation.get("duration", "0")))


class Worker:
    """Works in a thread of its own, while another prints what it did."""

    def __init__(
        self, operations: Operations, rate: float, display_every_s: float, *, tolerant: bool
    ) -> None:
        self.done = threading.Event()
        self._operations = operations
        self._every_s = 1 / rate if rate else 0.0
        self._tolerant = tolerant
        self._display_every_s = display_every_s
        self._report = Report()
        self._lock = threading.Lock()
        self._failure: StatementFailed | None = None
        self._logged_at = float("-inf")

    def start(self) -> None:
        """Begin to work."""
        threading.Thread(target=self._work, daemon=True).start()

    def report_until(self, duration_s: float) -> None:
        """Print a report each so often until the end, then the summary.

        Args:
            duration_s: 0 means until somebody ends it.

        Raises:
            StatementFailed: what ended it.
        """
        started = before = time.monotonic()
        while not self.done.wait(self._pause(started, before, duration_s)):
            now = time.monotonic()
            if duration_s and now - started >= duration_s:
                break
            with self._lock:
                _print(self._report.tick(now - started, now - before))
            before = now
        self.done.set()
        if self._failure:
            raise self._failure
        with self._lock:
            _print(self._report.summary(time.monotonic() - started))

    def _pause(self, started: float, before: float, duration_s: float) -> float:
        due = before + self._display_every_s
        if duration_s:
            due = min(due, started + duration_s)
        return max(0.0, due - time.monotonic())

    def _work(self) -> None:
        due = time.monotonic()
        while not self.done.wait(max(0.0, due - time.monotonic())):
            due = max(due, time.monotonic()) + self._every_s if self._every_s else due
            try:
                self._operations.once(self._record)
            except StatementFailed as error:
                self._note(error)

    def _record(self, name: str, work: Callable[[], None]) -> None:
        started = time.monotonic()
        work()
        with self._lock:
            self._report.add(name, time.monotonic() - started)

    def _note(self, error: StatementFailed) -> None:
        with self._lock:
            self._report.errors += 1
        if not self._tolerant:
            self._failure = error
            self.done.set()
        elif time.monotonic() - self._logged_at >= self._display_every_s:
            self._logged_at = time.monotonic()
            log.error("%s", error)


def _target(invocation: Invocation) -> tuple[str, list[str]]:
    """Return the database and the URLs of it."""
    database = invocation.get("db") or "movr"
    return database, [sanitize(url, database) for url in invocation.arguments or [DEFAULT_URL]]


def _sizes(invocation: Invocation) -> movr.Sizes:
    default = movr.Sizes()
    sizes = {
        name: int(invocation.get(f"num-{name.replace('_', '-')}", str(getattr(default, name))))
        for name in ("users", "vehicles", "rides", "histories", "promo_codes")
    }
    for name in ("users", "vehicles", "rides", "histories"):
        if sizes[name] < len(movr.CITIES):
            raise CommandError(f"could not validate: at least {len(movr.CITIES)} {name} are required")
    return movr.Sizes(**sizes)


def _create_database(connection: Connection, url: str, database: str) -> None:
    """Make the database if it is missing; CockroachDB lets a session into one that is."""
    try:
        connection.run("SELECT 1")
    except StatementFailed as error:
        if f'database "{database}" does not exist' not in str(error):
            raise
        _in_default_database(url, f'CREATE DATABASE "{database}"')


def _in_default_database(url: str, statement: str) -> None:
    connection = Connection(with_database(url, "defaultdb"))
    try:
        connection.run(statement)
    finally:
        connection.close()


def _fill(connection: Connection, table: str, rows: list[movr.Row]) -> None:
    started = time.monotonic()
    for first in range(0, len(rows), BATCH):
        batch = rows[first : first + BATCH]
        places = iter(range(1, len(batch) * len(batch[0]) + 1))
        tuples = ", ".join(f"({', '.join(f'${next(places)}' for _ in row)})" for row in batch)
        try:
            connection.run(f"INSERT INTO {table} VALUES {tuples}", *(value for row in batch for value in row))  # noqa: S608
        except StatementFailed as error:
            raise StatementFailed(f"failed insert into {table}: {error}") from error
    log.info("imported %s (%.0fs, %d rows)", table, time.monotonic() - started, len(rows))


def _print(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
