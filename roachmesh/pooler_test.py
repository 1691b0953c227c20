"""What was seen when poolers were used from every region, and what it means."""

from collections.abc import Sequence

from roachmesh.render.markdown import table
from roachmesh.topology import Model

CLIENTS = 500


class Use(Model):
    """How a region's pooler served clients of a region; no times where there is a problem.

    Attributes:
        source: Where the client was.
        target: Where the pooler, and the nodes behind it.
        problem: What does not work as it must.
        seen: The regions whose rows of this run were read.
        retries: How often a transaction was repeated that had to lose against another.
        connect_ms: A login, TLS on both sides included.
        write_ms: A row, written and committed.
        read_ms: A row, read by its key.
    """

    source: str
    target: str
    problem: str | None
    seen: tuple[str, ...]
    retries: int | None
    connect_ms: float | None
    write_ms: float | None
    read_ms: float | None


class Storm(Model):
    """What became of many clients at once.

    Attributes:
        region: Whose pooler it was.
        clients: How many there were.
        answered: How many of them got their answer.
        problems: What the others were told, each sentence once.
        seconds: From the first connection to the last answer.
        sessions: The most that the database had of them at any time it was asked.
        limit: The most that it was to have.
    """

    region: str
    clients: int
    answered: int
    problems: tuple[str, ...]
    seconds: float
    sessions: int
    limit: int


def faults(uses: Sequence[Use]) -> list[str]:
    """Name exactly what does not work as it must."""
    regions = {use.source for use in uses}
    found = []
    for use in uses:
        pair, unseen = f"{use.source} -> pooler of {use.target}", sorted(regions.difference(use.seen))
        if use.problem:
            found.append(f"{pair}: {use.problem}")
        elif unseen:
            found.append(f"{pair}: no rows from {', '.join(unseen)}")
        elif not use.retries:
            found.append(f"{pair}: a transaction that had to be repeated was not refused")
    return found


def as_markdown(uses: Sequence[Use]) -> str:
    """Draw a matrix for each thing that was measured: rows are the clients' regions, columns the poolers'."""
    regions = list(dict.fromkeys(use.source for use in uses))
    pairs = {(use.source, use.target): use for use in uses}
    parts = []
    for title, field in (("Write", "write_ms"), ("Read", "read_ms"), ("Log in", "connect_ms")):
        rows = [(source, *(_cell(pairs[source, target], field) for target in regions)) for source in regions]
        parts.append(f"## {title}\n\n" + table(("from, through the pooler of: ms", *regions), rows))
    broken = "\n".join(f"- {line}" for line in faults(uses))
    return "\n\n".join(part for part in (broken, *parts) if part)


def _cell(use: Use, field: str) -> str:
    value = getattr(use, field)
    return "🟥" if value is None else f"🟩 {value:.1f}"
