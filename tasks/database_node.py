"""A node of the database wherever it runs, known by its machine."""

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address
from typing import Protocol

from tasks.cockroachdb import MachineNode
from tasks.cockroachdb_pods import PodNode
from tasks.deployment import Deployment
from tasks.machines import Machine


class DatabaseNode(Protocol):
    """What can be done with a node, on a machine and in a pod alike."""

    @property
    def host(self) -> str:
        """What its certificate names it."""

    @property
    def listens_on(self) -> IPv4Address:
        """Where SQL is, seen from its machine."""

    def is_ready(self) -> bool:
        """Ask whether it takes part in a cluster."""

    def run(self, command: Sequence[str], files: Mapping[str, str], timeout_s: int) -> str:
        """Run `cockroach` where the node runs.

        Args:
            command: Its words; `{files}` in them stands for the directory of `files`.
            files: Texts by name, kept in memory, for the program's user alone, while it runs.
            timeout_s: Seconds after which it is given up.
        """


def database_node(deployment: Deployment, machine: Machine) -> DatabaseNode:
    """Give the node of the database that a machine carries.

    Raises:
        HostUnreachable, HostFailed: there is no session to the machine.
        KubernetesBusy: no server of the machine's cluster answers.
    """
    region = deployment.plan.region_of(machine.node)
    if region.cluster:
        return PodNode(deployment, region, machine)
    return MachineNode(deployment, machine)
