"""A plan as people read it before the first change: everything that will exist, its picture, its price."""

from collections.abc import Iterator
from decimal import Decimal

from roachmesh import warnings
from roachmesh.cost import Cost, Line
from roachmesh.inventory import LABELS, UNKNOWN_OPERATORS, Inventory, Resource
from roachmesh.plan import Plan
from roachmesh.render.markdown import table
from roachmesh.render.picture import mermaid


def markdown(planned: Inventory, cost: Cost, *, with_picture: bool = True) -> str:
    """Write the whole preview; terminals leave out the picture, which only browsers draw."""
    plan = planned.plan
    everything = list(planned.everything())
    known = planned.operators != UNKNOWN_OPERATORS
    operators = ", ".join(map(str, planned.operators)) if known else "the address that deploys first"
    sections = [
        f"# {plan.topology}",
        f"CockroachDB {plan.cockroachdb.version} on {len(plan.nodes)} nodes in {len(plan.regions)} regions: "
        f"{len(everything)} resources, {'about' if cost.complete else 'more than'} "
        f"{_money(cost.usd_per_month)} a month. "
        f"SSH from {operators}; {_clients(plan)} from outside. Database {plan.database.name}: primary region "
        f"{plan.database.primary_region}, survives the loss of a {plan.database.survival}.",
    ]
    found = [f"- {sentence}" for sentence in warnings.find(plan)]
    if found:
        sections += ["## Warnings", "\n".join(found)]
    if with_picture:
        sections += ["## Picture", f"```mermaid\n{mermaid(plan)}\n```"]
    sections += ["## Resources", *_resources(everything), "## Cost", *_cost(cost)]
    return "\n\n".join(sections) + "\n"


def _clients(plan: Plan) -> str:
    clients = ", ".join(map(str, plan.access.nodeport_cidrs))
    return f"poolers and application from {clients}; nothing else" if clients else "nothing else"


def _resources(everything: list[Resource]) -> Iterator[str]:
    for region in dict.fromkeys(resource.region for resource in everything):
        yield f"### {region or 'everywhere'}"
        here = [resource for resource in everything if resource.region == region]
        yield table(
            ("what", "name", "details"),
            ((LABELS[one.type], one.path[-1], one.details) for one in here),
        )


def _cost(cost: Cost) -> Iterator[str]:
    yield f"Azure's list prices of {cost.date}, without taxes and discounts; a month has 730 hours."
    rows: list[tuple[str, ...]] = [
        (region.name, line.what, f"{line.count} x {line.item}", *_prices(line))
        for region in cost.regions
        for line in region.lines
    ]
    rows.append(("all", "", "", *_prices(cost)))
    yield table(("region", "what", "of", "an hour", "a month"), rows)
    yield "Traffic comes on top, by use:"
    yield table(
        ("traffic", "regions", "a GB"),
        ((one.what, ", ".join(one.regions), _money(one.usd_per_gb, 3)) for one in cost.traffic),
    )
    if cost.unknown:
        yield "\n".join(f"- Not in the sum: {sentence}." for sentence in cost.unknown)


def _prices(of: Line | Cost) -> tuple[str, str]:
    return _money(of.usd_per_hour, 4), _money(of.usd_per_month)


def _money(usd: Decimal | None, digits: int = 2) -> str:
    return "unknown" if usd is None else f"{usd:,.{digits}f} USD"
