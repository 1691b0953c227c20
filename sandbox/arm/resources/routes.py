"""User-defined routes, the children of a route table."""

from sandbox.arm.cloud import Cloud
from sandbox.arm.errors import not_emulated
from sandbox.arm.resource_type import ResourceType
from sandbox.arm.store import Resource


def check(cloud: Cloud, wanted: Resource, present: Resource | None) -> None:
    """Refuse every route: the fabric does not route by them yet, and must not pretend to."""
    raise not_emulated(f"user-defined routes: packets would not follow {wanted.id.name}")


TYPE = ResourceType("Microsoft.Network/routeTables/routes", write_s=3, delete_s=3, check=check)
