"""Which values the stand-in takes: unknown keys, and what it does not emulate, are refused.

The real chart ignores unknown keys in silence; everything else that is refused here as invalid is refused by
the chart's templates too. Source: install/kubernetes/cilium/{values.schema.json,templates/validate.yaml}.
"""

import pkgutil
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from sandbox.cluster.helm.values import Refused
from sandbox.cluster.kubernetes_api import Object

ANYTHING = "*"
EMULATED = {
    "MTU", "autoDirectNodeRoutes", "bpf.masquerade", "cluster.id", "cluster.name",
    "clustermesh.apiserver.replicas", "clustermesh.apiserver.service.nodePort",
    "clustermesh.apiserver.tls.auto.certValidityDuration", "clustermesh.apiserver.tls.server.extraDnsNames",
    "clustermesh.apiserver.tls.server.extraIpAddresses", "clustermesh.config.clusters",
    "clustermesh.config.domain", "clustermesh.config.enabled", "clustermesh.useAPIServer", "cni.binPath",
    "cni.confPath", "enableIPv4Masquerade", "ipMasqAgent.config.masqLinkLocal",
    "ipMasqAgent.config.nonMasqueradeCIDRs", "ipMasqAgent.enabled", "ipv4NativeRoutingCIDR",
    "k8s.requireIPv4PodCIDR", "k8sServiceHost", "k8sServicePort", "kubeProxyReplacement",
    "rollOutCiliumPods", "tls.ca.cert", "tls.ca.key",
}  # fmt: skip
# What the stand-in has no use for, whatever it says: nothing that it emulates depends on it.
WITHOUT_EFFECT = {
    "affinity", "annotations", "certgen", "clustermesh.annotations", "clustermesh.apiserver.affinity",
    "clustermesh.apiserver.etcd", "clustermesh.apiserver.healthPort",
    "clustermesh.apiserver.kvstoremesh.resources",
    "clustermesh.apiserver.metrics", "clustermesh.apiserver.podAnnotations",
    "clustermesh.apiserver.podDisruptionBudget", "clustermesh.apiserver.podLabels",
    "clustermesh.apiserver.podSecurityContext", "clustermesh.apiserver.priorityClassName",
    "clustermesh.apiserver.resources", "clustermesh.apiserver.securityContext",
    "clustermesh.apiserver.service.annotations", "clustermesh.apiserver.service.labels",
    "clustermesh.apiserver.terminationGracePeriodSeconds", "clustermesh.apiserver.tls.authMode",
    "clustermesh.apiserver.tls.enableSecrets", "clustermesh.apiserver.updateStrategy", "clustermesh.cacheTTL",
    "clustermesh.policyDefaultLocalCluster", "commonLabels", "dashboards", "debug",
    "endpointHealthChecking", "envoy", "healthChecking", "image", "imagePullSecrets", "initResources",
    "k8sClientRateLimit", "l2NeighDiscovery", "l7Proxy", "livenessProbe", "monitor", "nodeSelector",
    "operator", "podAnnotations", "podLabels", "podSecurityContext", "pprof", "priorityClassName",
    "prometheus", "readinessProbe", "resources", "scheduling", "securityContext", "serviceAccounts",
    "startupProbe", "terminationGracePeriodSeconds", "tls.ca.certValidityDuration", "tunnelPort",
    "tunnelProtocol", "updateStrategy", "upgradeCompatibility",
}  # fmt: skip
# What may be said, but only so: anything else is Cilium's, and not the sandbox's.
ONLY: dict[str, tuple[Any, ...]] = {
    "agent": (True,),
    "bpf.preallocateMaps": (True, False),
    "clustermesh.apiserver.kvstoremesh.enabled": (True,),
    "clustermesh.apiserver.service.type": ("NodePort",),
    "clustermesh.apiserver.tls.auto.enabled": (True,),
    "clustermesh.apiserver.tls.auto.method": ("helm",),
    "clustermesh.maxConnectedClusters": (255,),
    "cni.exclusive": (True,),
    "cni.install": (True,),
    "identityAllocationMode": ("crd",),
    "ipam.mode": ("kubernetes",),
    "ipv4.enabled": (True,),
    "policyEnforcementMode": ("default", "never"),
    "rbac.create": (True,),
    "routingMode": ("native",),
}
CLUSTER_FIELDS = {"name", "port", "ips", "enabled"}
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")
_BOOLEANS = ("true", "false")


def check(values: Object) -> None:
    """Refuse what the chart would refuse, and what the stand-in does not emulate.

    Raises:
        Refused: with every reason.
    """
    leaves = dict(_leaves(values))
    reasons = [reason for path, value in leaves.items() if (reason := _reason(path, value))]
    reasons += _combinations(values)
    if reasons:
        raise Refused("\n".join(reasons))


def remote_clusters(values: Object) -> list[Object]:
    """Return the declared clusters but this one, whether they are given as a list or as a map.

    Raises:
        Refused: something is missing, or not emulated.
    """
    given = values["clustermesh"]["config"]["clusters"]
    if isinstance(given, dict):
        given = [{**cluster, "name": name} for name, cluster in given.items()]
    if not isinstance(given, list):
        raise Refused(f"unknown type {type(given).__name__} for clustermesh.config.clusters")
    for cluster in given:
        for field in set(cluster) - CLUSTER_FIELDS:
            raise Refused(f"clustermesh.config.clusters: {field} is not emulated by the sandbox")
        if not cluster.get("ips") or not cluster.get("port") or not cluster.get("name"):
            raise Refused(f"clustermesh.config.clusters: name, port and ips are needed in {cluster}")
    own = values["cluster"]["name"]
    return [cluster for cluster in given if cluster.get("enabled", True) and cluster["name"] != own]


@cache
def known() -> frozenset[str]:
    """Return every known path; one that ends with `.*` takes anything."""
    text = (pkgutil.get_data("sandbox.cilium.chart", "values.txt") or b"").decode()
    paths = set()
    for line in text.splitlines():
        if not line.startswith("#"):
            prefix, colon, names = line.partition(": ")
            parent, names = (f"{prefix}.", names) if colon else ("", line)
            paths |= {f"{parent}{name}" for name in names.split()}
    return frozenset(paths | {path.rpartition(".")[0] for path in paths if "." in path})


def _leaves(values: Object, parent: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        path = f"{parent}{key}"
        is_group = isinstance(value, dict) and path in known() and f"{path}.{ANYTHING}" not in known()
        if is_group:
            yield from _leaves(value, f"{path}.")
        else:
            yield path, value


def _reason(path: str, value: Any) -> str:
    if path not in known():
        return f"values: {path} is no key of this chart (the real one would ignore it in silence)"
    if path in ONLY:
        if value in ONLY[path]:
            return ""
        choices = " or ".join(str(choice) for choice in ONLY[path])
        return f"values: {path}: {value} is not emulated by the sandbox, only {choices}"
    said = path in EMULATED or any(
        path == prefix or path.startswith(f"{prefix}.") for prefix in WITHOUT_EFFECT
    )
    off = value in (None, False, "", "false", "disabled") or value in ({}, [])
    if said or off or (isinstance(value, dict) and value.get("enabled") is False):
        return ""
    return f"values: {path}: {value} is not emulated by the sandbox"


def _combinations(values: Object) -> Iterator[str]:
    cluster, mesh = values["cluster"], values["clustermesh"]
    name, number = str(cluster["name"]), cluster["id"]
    if not _NAME.fullmatch(name):
        yield (
            "The cluster name is invalid: must consist of at most 32 lower case alphanumeric characters and "
            "'-', and must start and end with an alphanumeric character"
        )
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= 255:
        yield "The cluster ID is invalid: must be between 0 and 255"
    elif number and name == "default":
        yield "The cluster name is invalid: cannot use default value with cluster.id != 0"
    elif not number and (mesh["useAPIServer"] or mesh["config"]["enabled"]):
        yield "ClusterMesh requires cluster.id to be between 1 and 255"
    if str(values["kubeProxyReplacement"]).lower() not in _BOOLEANS:
        yield "kubeProxyReplacement must be explicitly set to a valid value (true or false)"
    if mesh["useAPIServer"] and bool(values["tls"]["ca"]["cert"]) != bool(values["tls"]["ca"]["key"]):
        yield "tls.ca: the certificate and the key are needed both, or none of them"
    elif mesh["useAPIServer"] and not values["tls"]["ca"]["cert"]:
        yield "values: tls.ca is needed: an authority made by the chart is not emulated by the sandbox"
