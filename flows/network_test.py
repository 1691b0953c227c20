"""The gate before the database: every ordered pair of pods and machines, on the database's own ports."""

from collections.abc import Sequence
from uuid import uuid4

from flows.parallel import Parallel
from roachmesh.reachability import Endpoint, Observation
from tasks.deployment import Deployment
from tasks.machines import Machine, in_region
from tasks.network_test import judge_reachability, probe_from, start_answerer
from tasks.network_test_pods import probe_from_pod, remove_pods, start_answering_pods


def run_network_test(deployment: Deployment, machines: Sequence[Machine]) -> None:
    """Let nobody pass unless every pod and every plain machine reaches every other."""
    run = uuid4().hex[:8]
    try:
        endpoints = _answer_everywhere(deployment, machines, run)
        observed = _probe_from_everywhere(deployment, machines, run, endpoints)
        judge_reachability(deployment, observed)
    finally:
        for region in deployment.plan.clusters:
            remove_pods(deployment, region, run)


def _answer_everywhere(deployment: Deployment, machines: Sequence[Machine], run: str) -> list[Endpoint]:
    work = Parallel()
    for region in deployment.plan.regions:
        if region.cluster:
            work.start(start_answering_pods, deployment, region, run)
        else:
            for machine in in_region(machines, region.name):
                work.start(start_answerer, deployment, machine)
    return [endpoint for endpoints in work.join() for endpoint in endpoints]


def _probe_from_everywhere(
    deployment: Deployment, machines: Sequence[Machine], run: str, endpoints: Sequence[Endpoint]
) -> list[list[Observation]]:
    work = Parallel()
    for region in deployment.plan.regions:
        if region.cluster:
            for node in region.nodes:
                work.start(probe_from_pod, deployment, node, run, endpoints)
        else:
            for machine in in_region(machines, region.name):
                work.start(probe_from, deployment, machine, endpoints)
    return work.join()
