"""A region's network: security group, route table, virtual network with its subnet."""

from collections.abc import Sequence
from ipaddress import IPv4Network

from roachmesh import names
from roachmesh.inventory import PodRoute
from roachmesh.outcome import Outcome
from roachmesh.plan import RegionPlan
from tasks.azure_resource import ensure, read_settled
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


@once("own routes {region.name}")
def ensure_own_routes(deployment: Deployment, region: RegionPlan, routes: Sequence[PodRoute]) -> Outcome:
    """Lead to a region's pods in its own network, before other regions are there; routes to others' stay."""
    kept = [one for one in _read_routes(deployment, region) if not one.pods.overlaps(_pods(region))]
    return _ensure_routes(deployment, region, [*routes, *kept])


@once("routes {region.name}")
def ensure_routes(deployment: Deployment, region: RegionPlan, routes: Sequence[PodRoute]) -> Outcome:
    """Lead to the pods of all regions from this one; every other route in its table goes."""
    return _ensure_routes(deployment, region, routes)


def _ensure_routes(deployment: Deployment, region: RegionPlan, routes: Sequence[PodRoute]) -> Outcome:
    known = deployment.inventory.model_copy(update={"pod_routes": tuple(routes)})
    outcome = ensure(deployment, known.route_table(region))
    return outcome.model_copy(update={"what": f"{len(routes)} routes in {outcome.what}"})


def _read_routes(deployment: Deployment, region: RegionPlan) -> list[PodRoute]:
    """Read the routes of ours in a region's table."""
    found = read_settled(deployment, deployment.inventory.route_table(region)) or {}
    return [
        PodRoute(
            node=route["name"].removeprefix(names.pod_route("")),
            pods=route["properties"]["addressPrefix"],
            address=route["properties"]["nextHopIpAddress"],
        )
        for route in found.get("properties", {}).get("routes", [])
        if route["name"].startswith(names.pod_route(""))
    ]


def _pods(region: RegionPlan) -> IPv4Network:
    if region.cluster is None:
        raise TypeError(f"{region.name} has no pods")
    return region.cluster.pods
