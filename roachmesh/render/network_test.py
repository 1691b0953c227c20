"""The network test's pods, as objects of Kubernetes: on each node one that answers, and one that probes.

Both are Jobs, which end by themselves, should nobody be left to end them.
"""

from collections.abc import Sequence
from typing import Literal

from roachmesh import names
from roachmesh.plan import Node, RegionPlan
from roachmesh.render import kubernetes
from roachmesh.render.kubernetes import Object
from roachmesh.security_rules import DATABASE_PORTS
from roachmesh.versions import PYTHON_IMAGE

Role = Literal["answer", "probe"]

LIFETIME_S = 300
KEPT_S = 60  # a Job that has ended, until Kubernetes deletes it
NOBODY = 65534
NAME_LABEL, ROLE_LABEL, RUN_LABEL = "app.kubernetes.io/name", "app.kubernetes.io/component", "roachmesh/run"


def answering(region: RegionPlan, run: str, program: str) -> list[Object]:
    """Describe what is needed to be reached: a pod on each node, and the Service that names them.

    Args:
        region: A region on k3s.
        run: What tells this run of the test from others.
        program: The text of `roachmesh/remote/answer.py`.
    """
    arguments = [program, *map(str, DATABASE_PORTS)]
    return [
        kubernetes.namespace(region),
        _service(region),
        *(_job(node, run, "answer", arguments) for node in region.nodes),
    ]


def probing(node: Node, run: str, program: str, request: str) -> Object:
    """Describe what probes from a node.

    Args:
        node: A node of a region on k3s.
        run: What tells this run of the test from others.
        program: The text of `roachmesh/remote/probe.py`.
        request: What it is to try, as JSON.
    """
    return _job(node, run, "probe", [program, request])


def labels(run: str, role: Role) -> dict[str, str]:
    """Give the labels by which the pods of a run are found."""
    return {NAME_LABEL: names.NETWORK_TEST, ROLE_LABEL: role, RUN_LABEL: run}


def _service(region: RegionPlan) -> Object:
    """Name all pods that answer, whatever run they are of, and as soon as they have addresses."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": names.NETWORK_TEST, "namespace": names.namespace(region.name)},
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": {NAME_LABEL: names.NETWORK_TEST, ROLE_LABEL: "answer"},
            "ports": [{"name": f"port-{port}", "port": port, "protocol": "TCP"} for port in DATABASE_PORTS],
        },
    }


def _job(node: Node, run: str, role: Role, arguments: Sequence[str]) -> Object:
    """Describe a Job of one pod on one node.

    Its pod is bound to the node by hand, so that no scheduler and no lack of room keeps it from there. It
    is killed at once when it is deleted, since its program has nothing to end in order.
    """
    container = {
        "name": role,
        "image": PYTHON_IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-c", *arguments],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    pod = {
        "nodeName": node.name,
        "hostname": names.test_pod(node.name, run),
        "subdomain": names.NETWORK_TEST,
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {"runAsNonRoot": True, "runAsUser": NOBODY, "runAsGroup": NOBODY},
        "containers": [container],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": f"{role}-{names.test_pod(node.name, run)}",
            "namespace": names.namespace(node.region),
            "labels": labels(run, role),
        },
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": LIFETIME_S,
            "ttlSecondsAfterFinished": KEPT_S,
            "template": {"metadata": {"labels": labels(run, role)}, "spec": pod},
        },
    }
