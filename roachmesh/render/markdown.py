"""What a run page shows, as Markdown."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Address

from roachmesh import names
from roachmesh.drift import Finding
from roachmesh.outcome import Outcome
from roachmesh.plan import Plan
from roachmesh.security_rules import APPLICATION_NODE_PORT, POOLER_PORT


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Write a table; a cell's own bars are kept apart from the table's."""
    header = list(header)
    cells = [header, ["---"] * len(header), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def changes(outcomes: Sequence[Outcome]) -> str:
    """Count what was created, updated and left alone; where something was, name what was not."""
    counts = Counter(outcome.change for outcome in outcomes)
    lines = [f"{counts['created']} created, {counts['updated']} updated, {counts['unchanged']} unchanged."]
    changed = [(one.what, one.change) for one in outcomes if one.change != "unchanged"]
    if changed and counts["unchanged"]:
        lines += ["", table(("what", "change"), changed)]
    return "\n".join(lines)


def comparison(findings: Sequence[Finding]) -> str:
    """Write what is not as planned, and what a deployment would do about it."""
    amiss = [finding for finding in findings if finding.state != "as planned"]
    count = f"{len(findings) - len(amiss)} of {len(findings)} resources are as planned."
    if not amiss:
        return count
    rows = [(one.label, one.state, "; ".join(one.differences), one.deploying_means) for one in amiss]
    return f"{count}\n\n{table(('what', 'state', 'differences', 'deploying would'), rows)}"


def foreseen(findings: Sequence[Finding]) -> str:
    """Count what a deployment would do about what is not as planned."""
    amiss = Counter(finding.deploying_means for finding in findings if finding.state != "as planned")
    if not amiss:
        return f"All {len(findings)} resources are as planned."
    rows = [(means, str(count)) for means, count in amiss.most_common()]
    return table(("deploying would", f"of {len(findings)} resources"), rows)


def card(plan: Plan, addresses: Mapping[str, IPv4Address]) -> str:
    """Say how to reach a deployment; `addresses` are the public ones by node name."""
    rows = [(node.name, str(node.address), str(addresses[node.name]), node.locality) for node in plan.nodes]
    parts = [
        f"# {plan.topology} is up",
        "SQL: `roachmesh sql TOPOLOGY.yaml`; a machine: `roachmesh ssh TOPOLOGY.yaml REGION/NUMBER`.",
        table(("node", "private address", "public address (SSH)", "locality"), rows),
    ]
    services = _services(plan)
    if services:
        users = ", ".join(user.name for user in plan.database.users)
        says = f"What a SQL user ({users}) needs: `roachmesh credentials TOPOLOGY.yaml USER`."
        header = ("region", "what", "at every node's", "from its cluster")
        parts += ["## For clients", says, table(header, services)]
    return "\n\n".join(parts)


def _services(plan: Plan) -> list[tuple[str, str, str, str]]:
    """List what clients may use in each region."""
    found: list[tuple[str, str, str, str]] = []
    for region in plan.regions:
        if plan.pooler != "none":
            inside = f"{names.pooler_host(region.name, plan.pooler)}:{POOLER_PORT}" if region.cluster else ""
            found.append((region.name, plan.pooler, f"port {plan.pooler_port(region)}", inside))
        if plan.application.kind == "image" and region.cluster:
            found.append((region.name, str(plan.application.image), f"port {APPLICATION_NODE_PORT}", ""))
    return found
