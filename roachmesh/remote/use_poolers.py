"""Use poolers as an application does: log in, write, read, lose against another transaction, measure.

Request: {"poolers": [{"hosts": [addresses], "port"}], "rows": [{"run", "region", "through"}] one for each,
"database", "table", "user", "password", "ca": PEM}.
Answer: for each {"problem": a sentence or None, "seen": regions whose rows of this run were read, "retries":
of a transaction that had to lose, "connect_ms", "write_ms", "read_ms": each the median of several}.

Needs psycopg, Debian's python3-psycopg.
"""

import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import psycopg

CONNECT_TIMEOUT_S = 10
MEASURED = ("retries", "connect_ms", "write_ms", "read_ms")
TIMES = 5

Session = psycopg.Connection[Any]
Row = dict[str, str]
WRITE = """INSERT INTO {table} (run, region, through) VALUES (%(run)s, %(region)s, %(through)s)
ON CONFLICT (run, region, through) DO UPDATE SET written_at = now()"""
READ = "SELECT counter FROM {table} WHERE run = %(run)s AND region = %(region)s AND through = %(through)s"
COUNT = """UPDATE {table} SET counter = %(counter)s
WHERE run = %(run)s AND region = %(region)s AND through = %(through)s"""
SEEN = "SELECT DISTINCT region FROM {table} WHERE run = %(run)s"


class Wrong(Exception):
    """A pooler answers, and not as it must."""


def main(request: dict[str, Any]) -> list[dict[str, Any]]:
    """Use one after the other, so that none is measured while another is busy."""
    authority = os.memfd_create("authority")
    try:
        os.write(authority, request["ca"].encode())
        common = {
            "dbname": request["database"],
            "user": request["user"],
            "password": request["password"],
            "sslmode": "verify-full",
            "sslrootcert": f"/proc/{os.getpid()}/fd/{authority}",
            "connect_timeout": CONNECT_TIMEOUT_S,
            "application_name": "roachmesh verify",
        }
        return [
            try_to_use({**common, "port": pooler["port"]}, pooler["hosts"], request["table"], row)
            for pooler, row in zip(request["poolers"], request["rows"], strict=True)
        ]
    finally:
        os.close(authority)


def try_to_use(login: dict[str, Any], hosts: list[str], table: str, row: Row) -> dict[str, Any]:
    """Use a pooler; what is wrong with it is an answer too."""
    try:
        return {"problem": None, **use(login, hosts, table, row)}
    except (psycopg.Error, Wrong) as error:
        return {"problem": str(error).strip(), "seen": [], **dict.fromkeys(MEASURED)}


def use(login: dict[str, Any], hosts: list[str], table: str, row: Row) -> dict[str, Any]:
    """Log in to every instance, and use the first.

    Every statement is prepared, and both sessions call theirs the same: a pooler has to tell them apart.
    """

    def log_in(host: str) -> None:
        psycopg.connect(host=host, **login).close()

    first = hosts[0]
    logins = [milliseconds(partial(log_in, host)) for host in hosts]
    write, read, count, seen = (text.format(table=table) for text in (WRITE, READ, COUNT, SEEN))
    with (
        psycopg.connect(host=first, prepare_threshold=0, autocommit=True, **login) as one,
        psycopg.connect(host=first, prepare_threshold=0, autocommit=True, **login) as other,
    ):
        return {
            "connect_ms": statistics.median(logins),
            "write_ms": median(lambda: one.execute(write, row)),
            "read_ms": median(lambda: other.execute(read, row).fetchone()),
            "seen": sorted(region for (region,) in one.execute(seen, row)),
            "retries": conflict(one, other, read, count, row),
        }


def milliseconds(action: Callable[[], Any]) -> float:
    """Do something, and tell how long it takes."""
    started = time.perf_counter()
    action()
    return (time.perf_counter() - started) * 1000


def median(action: Callable[[], Any]) -> float:
    """Do something several times, and tell how long it takes."""
    return statistics.median(milliseconds(action) for _ in range(TIMES))


def conflict(one: Session, other: Session, read: str, count: str, row: Row) -> int:
    """Lose a transaction against another, and repeat it, as an application must; gives how often."""
    one.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
    (before,) = other.execute(read, row).fetchone() or (0,)
    retries = 0
    while True:
        try:
            with one.transaction():
                (value,) = one.execute(read, row).fetchone() or (0,)
                if not retries:
                    other.execute(count, {**row, "counter": value + 1})
                one.execute(count, {**row, "counter": value + 1})
            break
        except psycopg.errors.SerializationFailure:
            retries += 1
    (after,) = other.execute(read, row).fetchone() or (0,)
    if after != before + 2:
        raise Wrong(f"of two transactions that count from {before}, one was lost: it counted to {after}")
    return retries
