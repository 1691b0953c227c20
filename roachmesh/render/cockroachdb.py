"""The command that starts a node of the database, the same on machines and in pods."""

from roachmesh.plan import Plan
from roachmesh.security_rules import CONSOLE_PORT, SQL_PORT


def start(
    plan: Plan, *, binary: str, certificates: str, store: str, host: str, locality: str
) -> tuple[str, ...]:
    """Give the words of the command.

    Args:
        plan: Whom to join.
        binary: Path of the program.
        certificates: Path of the directory with the node's own certificates.
        store: Path of the directory with its data.
        host: What the others dial it by.
        locality: Where it is, in tiers.

    Source: the pages "cockroach start" and "Production Checklist" of the CockroachDB documentation; 250 ms
        are what they advise for clusters over several regions.
    """
    return (
        f"{binary} start",
        f"--certs-dir={certificates}",
        f"--store={store}",
        f"--listen-addr=:{SQL_PORT}",
        f"--advertise-addr={host}:{SQL_PORT}",
        f"--http-addr=:{CONSOLE_PORT}",
        f"--join={','.join(plan.join)}",
        f"--locality={locality}",
        "--cache=.25",
        "--max-sql-memory=.25",
        "--max-offset=250ms",
    )
