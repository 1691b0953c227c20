"""The regions of the application's database: what is said to CockroachDB to have them as planned.

Source: "Multi-Region Capabilities Overview", CockroachDB documentation.
"""

from dataclasses import dataclass

from roachmesh.plan import DatabasePlan


@dataclass(frozen=True)
class DatabaseFound:
    """What there is of a database; without a primary region it has no regions and no goal."""

    primary_region: str | None = None
    regions: frozenset[str] = frozenset()
    survival: str | None = None


def statements(wanted: DatabasePlan, found: DatabaseFound | None) -> list[str]:
    """List the statements that are missing, in the order in which CockroachDB takes them.

    Regions that the topology does not have are left: their rows must go somewhere first.

    Args:
        wanted: The planned database.
        found: What there is; None when there is no such database.
    """
    missing = []
    if found is None:
        missing.append(f'CREATE DATABASE "{wanted.name}"')
        found = DatabaseFound()
    alter = f'ALTER DATABASE "{wanted.name}"'
    primary = f'{alter} SET PRIMARY REGION "{wanted.primary_region}"'
    if found.primary_region is None:
        missing.append(primary)
        found = DatabaseFound(wanted.primary_region, frozenset({wanted.primary_region}), "zone")
    missing += [f'{alter} ADD REGION "{region}"' for region in wanted.regions if region not in found.regions]
    if found.primary_region != wanted.primary_region:
        missing.append(primary)
    if found.survival != wanted.survival:
        missing.append(f"{alter} SURVIVE {wanted.survival.upper()} FAILURE")
    return missing
