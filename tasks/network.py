"""A region's network: security group, route table, virtual network with its subnet."""

from roachmesh.outcome import Outcome
from roachmesh.plan import RegionPlan
from tasks.azure_resource import ensure
from tasks.deployment import Deployment
from tasks.engine import once


@once("NSG {region.name}")
def ensure_security_group(deployment: Deployment, region: RegionPlan) -> Outcome:
    """Make a region's network security group; rules that are not ours are removed."""
    return ensure(deployment, deployment.inventory.security_group(region))


@once("route table {region.name}")
def ensure_route_table(deployment: Deployment, region: RegionPlan) -> Outcome:
    """Make a region's route table, written whole: single routes would queue in Azure."""
    return ensure(deployment, deployment.inventory.route_table(region))


@once("VNet {region.name}")
def ensure_virtual_network(deployment: Deployment, region: RegionPlan) -> Outcome:
    """Make a region's virtual network and the subnet of its nodes; subnets of others stay."""
    return ensure(deployment, deployment.inventory.virtual_network(region))
