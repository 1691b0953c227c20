"""Route tables: packets of the subnets that they are associated with follow their routes."""

from sandbox.arm.cloud import Cloud
from sandbox.arm.errors import ArmError
from sandbox.arm.resource_type import ResourceType
from sandbox.arm.resources import routes
from sandbox.arm.store import Json, Resource


def check(cloud: Cloud, wanted: Resource, present: Resource | None) -> None:
    """Fill in the default for what gateways propagate."""
    wanted.properties.setdefault("disableBgpRoutePropagation", False)


def show(cloud: Cloud, table: Resource) -> Json:
    """The subnets that use it."""
    users = cloud.store.referrers(table.id, "Microsoft.Network/virtualNetworks/subnets")
    subnets = {"subnets": [{"id": str(user.id)} for user in users]} if users else {}
    return {"resourceGuid": table.guid, **subnets}


def check_delete(cloud: Cloud, table: Resource) -> None:
    """Refuse while a subnet uses it."""
    users = cloud.store.referrers(table.id)
    if users:
        message = (
            f"Route table {table.id.name} is in use and cannot be deleted. In order to delete the Route "
            "table, remove the association with the subnet(s): "
            f"{', '.join(str(user.id) for user in users)}."
        )
        raise ArmError(400, "InUseRouteTableCannotBeDeleted", message)


TYPE = ResourceType(
    "Microsoft.Network/routeTables",
    write_s=3,
    delete_s=10,
    shape={"disableBgpRoutePropagation": bool},
    read_only=("subnets",),
    children={"routes": routes.TYPE},
    check=check,
    show=show,
    check_delete=check_delete,
)
