"""The gate before the database: every ordered pair of nodes, on the database's own ports."""

from collections.abc import Sequence

from flows.parallel import for_each
from tasks.deployment import Deployment
from tasks.machines import Machine
from tasks.network_test import judge_reachability, probe_from, start_answerer


def run_network_test(deployment: Deployment, machines: Sequence[Machine]) -> None:
    """Let nobody pass unless every node reaches every other."""
    endpoints = [end for ends in for_each(machines, start_answerer, deployment) for end in ends]
    observed = for_each(machines, probe_from, deployment, endpoints)
    judge_reachability(deployment, observed)
