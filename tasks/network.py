"""A region's network: security group, route table, virtual network with its subnet."""

from collections.abc import Sequence
from ipaddress import IPv4Network

from roachmesh import names
from roachmesh.plan import RegionPlan
from roachmesh.render import azure
from tasks.azure_resource import Ensured, ensure
from tasks.deployment import Deployment
from tasks.engine import converging


@converging("NSG {region.name}")
def ensure_security_group(
    deployment: Deployment, region: RegionPlan, operators: Sequence[IPv4Network]
) -> Ensured:
    """Make a region's network security group; rules that are not ours are removed."""
    plan = deployment.plan
    operations = deployment.network().network_security_groups
    return ensure(
        operations.get,
        operations.begin_create_or_update,
        (deployment.resource_group, names.security_group(region.name)),
        azure.security_group(plan, region, operators),
        plan=plan,
    )


@converging("route table {region.name}")
def ensure_route_table(deployment: Deployment, region: RegionPlan) -> Ensured:
    """Make a region's route table, written whole: single routes would queue in Azure."""
    plan = deployment.plan
    operations = deployment.network().route_tables
    return ensure(
        operations.get,
        operations.begin_create_or_update,
        (deployment.resource_group, names.route_table(region.name)),
        azure.route_table(plan, region),
        plan=plan,
    )


@converging("VNet {region.name}")
def ensure_virtual_network(
    deployment: Deployment, region: RegionPlan, security_group: Ensured, route_table: Ensured
) -> Ensured:
    """Make a region's virtual network and the subnet of its nodes; subnets of others stay."""
    plan = deployment.plan
    operations = deployment.network().virtual_networks
    return ensure(
        operations.get,
        operations.begin_create_or_update,
        (deployment.resource_group, names.virtual_network(region.name)),
        azure.virtual_network(plan, region, security_group.id, route_table.id),
        plan=plan,
        keep=("subnets", "virtualNetworkPeerings"),
    )
