"""The clusters of all regions brought together: a way to every pod, the mesh, and access for people."""

from collections.abc import Sequence

from flows.parallel import for_each
from flows.region import DeployedRegion
from roachmesh.outcome import Outcome
from tasks.deployment import Deployment
from tasks.kubeconfig import ensure_kubeconfig
from tasks.mesh import wait_for_clustermesh
from tasks.network import ensure_routes


def connect_clusters(deployment: Deployment, regions: Sequence[DeployedRegion]) -> list[Outcome]:
    """Lead from every region to the pods of all, and wait until every cluster knows every other."""
    plan = deployment.plan
    if not plan.clusters:
        return []
    every_pod = tuple(route for region in regions for route in region.pod_routes)
    routed = for_each(plan.regions, ensure_routes, deployment, every_pod)
    for_each(plan.clusters, wait_for_clustermesh, deployment)
    return [*routed, ensure_kubeconfig(deployment)]
