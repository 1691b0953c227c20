"""The poolers of a k3s region as objects of its Kubernetes API."""

from collections.abc import Mapping
from hashlib import sha256

from roachmesh import names
from roachmesh.plan import POOLER_PODS, RegionPlan
from roachmesh.pooler import Pooler
from roachmesh.render import kubernetes
from roachmesh.render.kubernetes import Object
from roachmesh.security_rules import POOLER_NODE_PORT, POOLER_PORT

USER_ID = 70  # postgres, in the images of poolers
REVISION = "revision"  # a file beside the others, which says which ones they are
LOADED, ASKED = "roachmesh/loaded", "roachmesh/asked"

# Gives nothing as long as the kubelet has not brought the files of this revision.
RELOAD = f'[ "$(cat "$0/{REVISION}")" = "$1" ] || exit 0; kill -HUP 1; echo reloaded'


def objects(
    region: RegionPlan, pooler: Pooler, texts: Mapping[str, str], budget_version: str
) -> list[Object]:
    """Describe everything, in the order in which it is to be applied.

    Args:
        region: A region on k3s.
        pooler: The kind.
        texts: All its files, the certificates among them, by their names.
        budget_version: The API version of the PodDisruptionBudget.
    """
    return [
        _secret(region, pooler, texts),
        _service(region, pooler),
        _disruption_budget(region, pooler, budget_version),
        _deployment(region, pooler),
    ]


def revision(texts: Mapping[str, str]) -> str:
    """Name what all files say; nobody guesses a password or a key from it, since those are random."""
    return sha256("\0".join(f"{name}\0{texts[name]}" for name in sorted(texts)).encode()).hexdigest()


def labels(pooler: Pooler) -> dict[str, str]:
    """Give what marks the pods of a pooler."""
    return {"app.kubernetes.io/name": pooler.name}


def annotated(region: RegionPlan, pod: str, annotation: str, value: str) -> Object:
    """Describe a pod as far as one annotation of ours; another one of ours goes."""
    metadata = {"name": pod, "namespace": names.namespace(region.name), "annotations": {annotation: value}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata}


def _metadata(region: RegionPlan, pooler: Pooler) -> Object:
    return {"name": pooler.name, "namespace": names.namespace(region.name), "labels": labels(pooler)}


def _secret(region: RegionPlan, pooler: Pooler, texts: Mapping[str, str]) -> Object:
    return kubernetes.secret(_metadata(region, pooler), {**texts, REVISION: revision(texts)})


def _service(region: RegionPlan, pooler: Pooler) -> Object:
    """Give clients one name inside the cluster, and one port of every node outside of it."""
    port = {"name": "sql", "port": POOLER_PORT, "targetPort": POOLER_PORT, "protocol": "TCP"}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(region, pooler),
        "spec": {
            "type": "NodePort",
            "selector": labels(pooler),
            "ports": [{**port, "nodePort": POOLER_NODE_PORT}],
        },
    }


def _disruption_budget(region: RegionPlan, pooler: Pooler, version: str) -> Object:
    return {
        "apiVersion": version,
        "kind": "PodDisruptionBudget",
        "metadata": _metadata(region, pooler),
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": labels(pooler)}},
    }


def _deployment(region: RegionPlan, pooler: Pooler) -> Object:
    """Describe the pods, none of which goes before another one can do its work."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(region, pooler),
        "spec": {
            "replicas": POOLER_PODS,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "selector": {"matchLabels": labels(pooler)},
            "template": {"metadata": {"labels": labels(pooler)}, "spec": _pod(pooler)},
        },
    }


def _pod(pooler: Pooler) -> Object:
    """Spread pods over nodes as far as there are some, and let clients end what they do."""
    elsewhere = {
        "weight": 100,
        "podAffinityTerm": {
            "labelSelector": {"matchLabels": labels(pooler)},
            "topologyKey": "kubernetes.io/hostname",
        },
    }
    secret = {"secretName": pooler.name, "defaultMode": 0o440}
    return {
        "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [elsewhere]}},
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER_ID,
            "runAsGroup": USER_ID,
            "fsGroup": USER_ID,
        },
        "terminationGracePeriodSeconds": 60,
        "containers": [_container(pooler)],
        "volumes": [{"name": "files", "secret": secret}],
    }


def _container(pooler: Pooler) -> Object:
    probe = {"tcpSocket": {"port": "sql"}, "timeoutSeconds": 5}
    return {
        "name": pooler.name,
        "image": pooler.image,
        "imagePullPolicy": "IfNotPresent",
        "command": list(pooler.pod_command),
        "ports": [{"name": "sql", "containerPort": POOLER_PORT, "protocol": "TCP"}],
        "resources": {
            "requests": {"cpu": "100m", "memory": pooler.pod_memory},
            "limits": {"memory": pooler.pod_memory},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "readinessProbe": {**probe, "periodSeconds": 5, "failureThreshold": 2},
        "livenessProbe": {**probe, "periodSeconds": 10, "failureThreshold": 6},
        # Who has not heard yet that it goes must still find it. SIGINT lets transactions end; SIGTERM, which
        # comes next, would wait for clients to leave. Source: PgBouncer's documentation, "Signals".
        "lifecycle": {"preStop": {"exec": {"command": ["sh", "-c", "sleep 5; kill -INT 1; sleep 50"]}}},
        "volumeMounts": [{"name": "files", "mountPath": pooler.directory, "readOnly": True}],
    }
