"""Network security groups: their rules, and the six default rules of every group."""

from sandbox.arm.cloud import Cloud
from sandbox.arm.errors import ArmError
from sandbox.arm.resource_type import ResourceType
from sandbox.arm.resources import security_rules
from sandbox.arm.resources.rule_fields import default_rules
from sandbox.arm.store import Json, Resource


def show(cloud: Cloud, group: Resource) -> Json:
    """The default rules, and who uses the group."""
    shown: Json = {"resourceGuid": group.guid}
    shown["defaultSecurityRules"] = [
        _default_rule(group, name, rule) for name, rule in default_rules().items()
    ]
    for name, users in (("subnets", "virtualNetworks/subnets"), ("networkInterfaces", "networkInterfaces")):
        found = cloud.store.referrers(group.id, f"Microsoft.Network/{users}")
        if found:
            shown[name] = [{"id": str(user.id)} for user in found]
    return shown


def check_delete(cloud: Cloud, group: Resource) -> None:
    """Refuse while a subnet or an interface uses it."""
    users = cloud.store.referrers(group.id)
    if users:
        message = (
            f"Network security group {group.id} cannot be deleted because it is in use by the following "
            f"resources: {', '.join(str(user.id) for user in users)}. In order to delete the Network "
            "security group, remove the association with the resource(s). To learn how to do this, see "
            "aka.ms/deletensg."
        )
        raise ArmError(400, "InUseNetworkSecurityGroupCannotBeDeleted", message)


def _default_rule(group: Resource, name: str, properties: Json) -> Json:
    return {
        "name": name,
        "id": f"{group.id}/defaultSecurityRules/{name}",
        "etag": group.etag,
        "type": "Microsoft.Network/networkSecurityGroups/defaultSecurityRules",
        "properties": {"provisioningState": "Succeeded", **properties},
    }


TYPE = ResourceType(
    "Microsoft.Network/networkSecurityGroups",
    write_s=3,
    delete_s=10,
    read_only=("defaultSecurityRules", "subnets", "networkInterfaces", "flowLogs"),
    children={"securityRules": security_rules.TYPE},
    show=show,
    check_delete=check_delete,
)
