"""The database of a k3s region as objects of its Kubernetes API.

Every pod gets a node of its own, its data on that node's disk, and a name that all regions resolve.
"""

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any

from roachmesh import names, sizes
from roachmesh.plan import Plan, RegionPlan
from roachmesh.render import cockroachdb
from roachmesh.security_rules import CONSOLE_PORT, SQL_PORT

Object = dict[str, Any]

BINARY = "/cockroach/cockroach"
CERTIFICATES_DIR = "/cockroach/cockroach-certs"
STORE_DIR = "/cockroach/cockroach-data"
LOCALITIES_DIR = "/cockroach/localities"
MEMORY_DIR = "/dev/shm"  # noqa: S108 -- in memory, and the pod's alone

# Not root. CockroachDB accepts keys of root's that its group may read, which is how fsGroup makes them.
# Source: pkg/security/permission_check.go of cockroachdb/cockroach.
USER_ID = 1000
STORAGE_CLASS = "local-path"
DISRUPTION_BUDGET_VERSIONS = ("policy/v1", "policy/v1beta1")  # the latter until Kubernetes 1.25
CERTIFICATES_ANNOTATION = "roachmesh/certificates"

LABELS = {"app.kubernetes.io/name": "cockroachdb"}
_PORTS = (("grpc", SQL_PORT), ("http", CONSOLE_PORT))


def objects(
    plan: Plan,
    region: RegionPlan,
    certificates: Mapping[str, str],
    *,
    disruption_budget_version: str,
    volume_claims: Sequence[Object] = (),
) -> list[Object]:
    """Describe everything, in the order in which it is to be applied.

    Args:
        plan: The whole plan.
        region: One of its regions on k3s.
        certificates: PEM texts by the names of their files.
        disruption_budget_version: The newest of `DISRUPTION_BUDGET_VERSIONS` that the API offers.
        volume_claims: Those of the StatefulSet that exists, if there is one: Kubernetes lets nobody change
            them, and storage of this class keeps to no size anyway.
    """
    return [
        namespace(region),
        secret(_metadata(region, names.NODE_SECRET), certificates),
        _localities(region),
        _headless_service(region),
        _public_service(region),
        _disruption_budget(region, disruption_budget_version),
        _stateful_set(plan, region, certificates, volume_claims),
    ]


def namespace(region: RegionPlan) -> Object:
    """Describe the namespace of a region's database, in which the network is tested before."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": names.namespace(region.name)}}


def image(plan: Plan) -> str:
    """Name the image with CockroachDB's program."""
    return f"cockroachdb/cockroach:{plan.cockroachdb.version}"


def _metadata(region: RegionPlan, name: str) -> Object:
    return {"name": name, "namespace": names.namespace(region.name), "labels": LABELS}


def secret(metadata: Object, texts: Mapping[str, str]) -> Object:
    """Describe a Secret of texts by their names."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "type": "Opaque",
        "data": {name: b64encode(text.encode()).decode() for name, text in texts.items()},
    }


def _localities(region: RegionPlan) -> Object:
    """Say the locality of each node by the node's name, since a pod learns of its node nothing else."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _metadata(region, names.LOCALITIES),
        "data": {node.name: node.locality for node in region.nodes},
    }


def _headless_service(region: RegionPlan) -> Object:
    """Give pods their names, also before they are ready: until then they must find each other."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(region, names.STATEFUL_SET),
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": LABELS,
            "ports": _service_ports(),
        },
    }


def _public_service(region: RegionPlan) -> Object:
    """Give clients inside the cluster one name for all pods that are ready."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(region, names.PUBLIC_SERVICE),
        "spec": {"type": "ClusterIP", "selector": LABELS, "ports": _service_ports()},
    }


def _service_ports() -> list[Object]:
    return [{"name": name, "port": port, "targetPort": port, "protocol": "TCP"} for name, port in _PORTS]


def _disruption_budget(region: RegionPlan, version: str) -> Object:
    return {
        "apiVersion": version,
        "kind": "PodDisruptionBudget",
        "metadata": _metadata(region, names.STATEFUL_SET),
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": LABELS}},
    }


def _stateful_set(
    plan: Plan, region: RegionPlan, certificates: Mapping[str, str], volume_claims: Sequence[Object]
) -> Object:
    template = {
        "metadata": {
            "labels": LABELS,
            "annotations": {CERTIFICATES_ANNOTATION: _fingerprint(certificates)},
        },
        "spec": _pod(plan, region),
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": _metadata(region, names.STATEFUL_SET),
        "spec": {
            "serviceName": names.STATEFUL_SET,
            "replicas": len(region.nodes),
            "podManagementPolicy": "Parallel",
            "updateStrategy": {"type": "RollingUpdate"},
            "selector": {"matchLabels": LABELS},
            "template": template,
            "volumeClaimTemplates": list(volume_claims) or [_volume_claim(region)],
        },
    }


def _fingerprint(certificates: Mapping[str, str]) -> str:
    """Name the certificates, so that others mean other pods; a running node would not look at them."""
    public = [text for name, text in certificates.items() if name.endswith(".crt")]
    return sha256("".join(public).encode()).hexdigest()


def _pod(plan: Plan, region: RegionPlan) -> Object:
    secret = {"secretName": names.NODE_SECRET, "defaultMode": 0o400}
    return {
        "affinity": {
            "podAntiAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": [
                    {
                        "labelSelector": {"matchLabels": LABELS},
                        "topologyKey": "kubernetes.io/hostname",
                    }
                ]
            }
        },
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,  # their variables begin like CockroachDB's own
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER_ID,
            "runAsGroup": USER_ID,
            "fsGroup": USER_ID,
        },
        "terminationGracePeriodSeconds": 300,
        "containers": [_container(plan, region)],
        "volumes": [
            {"name": "certificates", "secret": secret},
            {"name": "localities", "configMap": {"name": names.LOCALITIES}},
        ],
    }


def _container(plan: Plan, region: RegionPlan) -> Object:
    return {
        "name": names.CONTAINER,
        "image": image(plan),
        "imagePullPolicy": "IfNotPresent",
        "command": ["/bin/sh", "-c", _script(plan, region)],
        "env": [_from_pod("POD_NAME", "metadata.name"), _from_pod("NODE_NAME", "spec.nodeName")],
        "ports": [{"name": name, "containerPort": port, "protocol": "TCP"} for name, port in _PORTS],
        "resources": _resources(region),
        "securityContext": {"allowPrivilegeEscalation": False},
        "readinessProbe": {
            "httpGet": {"path": "/health?ready=1", "port": "http", "scheme": "HTTPS"},
            "periodSeconds": 5,
            "timeoutSeconds": 5,
            "failureThreshold": 2,
        },
        "volumeMounts": [
            {"name": "store", "mountPath": STORE_DIR},
            {"name": "certificates", "mountPath": CERTIFICATES_DIR, "readOnly": True},
            {"name": "localities", "mountPath": LOCALITIES_DIR, "readOnly": True},
        ],
    }


def _from_pod(name: str, field: str) -> Object:
    return {"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": field}}}


def _script(plan: Plan, region: RegionPlan) -> str:
    """Write what a pod runs: the locality of its node is known when it stands on one."""
    words = cockroachdb.start(
        plan,
        binary=BINARY,
        certificates=CERTIFICATES_DIR,
        store=STORE_DIR,
        host=f"$POD_NAME.{names.pod_domain(region.name)}",
        locality="$locality",
    )
    lines: Iterable[str] = (*words, "--log='sinks: {stderr: {filter: INFO}}'")
    command = " \\\n  ".join(lines)
    return f'set -eu\nlocality=$(cat "{LOCALITIES_DIR}/$NODE_NAME")\nexec {command}\n'


def _volume_claim(region: RegionPlan) -> Object:
    return {
        "metadata": {"name": "store"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": STORAGE_CLASS,
            "resources": {"requests": {"storage": f"{region.data_disk_gib}Gi"}},
        },
    }


def _resources(region: RegionPlan) -> Object:
    """Ask for a quarter of a machine's processors, and half of its memory: it is shared.

    With servers, etcd, Cilium and the application. The memory is a limit too, of which CockroachDB takes
    shares for its caches.
    Numbers are written as Kubernetes writes them: in another form, each application would be a change.
    """
    size = sizes.read(region.size)
    millicpus, memory = size.vcpus * 1000 // 4, f"{size.memory_gib // 2}Gi"
    cpu = f"{millicpus}m" if millicpus % 1000 else f"{millicpus // 1000}"
    return {"requests": {"cpu": cpu, "memory": memory}, "limits": {"memory": memory}}
