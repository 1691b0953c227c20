"""What `roachmesh status` prints."""

from collections.abc import Iterator
from datetime import datetime
from itertools import zip_longest

from roachmesh.status import LastRun, NodeStatus, Status

HEAD = ("node", "machine", "CockroachDB", "in the database", "public address")
LIVE = {True: "live", False: "not live", None: "unknown"}


def text(status: Status, now: datetime) -> str:
    """Write the table of nodes, and below it what concerns all of them."""
    rows = [HEAD, *map(_row, status.nodes)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    problems = [f"{node.node}: {node.problem}" for node in status.nodes if node.problem]
    below = [f"{name:<14}{said}" for name, said in _below(status, now)]
    parts = [[f"{status.topology}, resource group {status.resource_group}"], table, problems, below]
    return "\n\n".join("\n".join(line.rstrip() for line in part) for part in parts if part)


def _row(node: NodeStatus) -> tuple[str, ...]:
    if node.machine == "absent":
        return (node.node, node.machine, "-", "-", "-")
    return (node.node, node.machine, node.service or "-", LIVE[node.live], str(node.public_address or "-"))


def _below(status: Status, now: datetime) -> Iterator[tuple[str, str]]:
    count = f"{status.live} of {len(status.nodes)} nodes live"
    if status.mesh:
        connected = f"all {len(status.mesh)} clusters are connected"
        apart = [f"{region}: {problem}" for region, problem in status.mesh.items() if problem]
        yield from zip_longest(["mesh"], apart or [connected], fillvalue="")
    yield "database", status.database_problem or f"CockroachDB {status.version}, {count}"
    for run in status.runs:
        yield f"last {run.flow}", _run(run, now)
    cost = status.cost
    yield "cost so far", f"{cost.usd:.2f} USD, now {cost.usd_per_hour:.2f} USD an hour"
    yield "", f"(list prices of {cost.prices_of}, without traffic)"
    yield from (("", sentence) for sentence in cost.unknown)


def _run(run: LastRun, now: datetime) -> str:
    if run.started is None:
        return f"{run.state.lower()}, not started ({run.name})"
    minutes = int((now - run.started).total_seconds()) // 60
    ago = f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"
    return f"{run.state.lower()}, {run.started:%Y-%m-%d %H:%M} UTC, {ago} ago ({run.name})"
