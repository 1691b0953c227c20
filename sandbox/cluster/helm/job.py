"""From a HelmChart to the objects that install it: a pure function.

Source: pkg/controllers/chart/chart.go of k3s-io/helm-controller.
"""

import base64
import hashlib
from typing import Any

from sandbox.cluster.kubernetes_api import Object

CHART_LABEL = "helmcharts.helm.cattle.io/chart"
HASH_ANNOTATION = "helmcharts.helm.cattle.io/configHash"
IMAGE = "rancher/klipper-helm:v0.9.10-build20251111"
BACKOFF_LIMIT = 1000
DEFAULT_FAILURE_POLICY = "reinstall"
NOT_EMULATED = (
    "authSecret",
    "dockerRegistrySecret",
    "insecureSkipTLSVerify",
    "jobImage",
    "plainHTTP",
    "timeout",
)

_BOOTSTRAP_TOLERATIONS = [
    {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"},
    {"key": "node.kubernetes.io/network-unavailable", "effect": "NoSchedule"},
    {"key": "node.cloudprovider.kubernetes.io/uninitialized", "operator": "Equal", "value": "true",
     "effect": "NoSchedule"},
    {"key": "CriticalAddonsOnly", "operator": "Exists"},
    {"key": "node-role.kubernetes.io/etcd", "operator": "Exists", "effect": "NoExecute"},
    {"key": "node-role.kubernetes.io/control-plane", "operator": "Exists", "effect": "NoSchedule"},
]  # fmt: skip


class NotEmulated(Exception):
    """The real controller has this; the sandbox's has not."""


def job_objects(chart: Object, config: Object | None, secrets: dict[str, Object]) -> list[Object]:
    """Return everything that installs a chart, or takes it away when it is being deleted; the Job is last.

    Args:
        chart: The HelmChart.
        config: The HelmChartConfig of its name, if there is one.
        secrets: Those that `valuesSecrets` names and that exist, by name: their content makes a new Job.

    Raises:
        NotEmulated: a field is set that nothing here follows.
    """
    spec = chart["spec"]
    for field in NOT_EMULATED:
        if spec.get(field):
            raise NotEmulated(f"spec.{field} is not emulated by the sandbox")
    values = _values_secret(chart, config)
    content = _content(chart)
    owned: list[Object] = [values, content, _service_account(chart)]
    job = _job(chart, config, [_digestible(obj) for obj in (values, content, *secrets.values())])
    for obj in [*owned, job]:
        obj["metadata"]["ownerReferences"] = [_owner(chart)]
    return [*owned, _role_binding(chart), job]


def is_deleted(chart: Object) -> bool:
    """Say whether a chart is on its way out."""
    return "deletionTimestamp" in chart["metadata"]


def binding_name(chart: Object) -> str:
    """Return the name of the ClusterRoleBinding, which no owner takes along."""
    return f"helm-{chart['metadata']['namespace']}-{chart['metadata']['name']}"


def _metadata(chart: Object, name: str) -> Object:
    return {"name": name, "namespace": chart["metadata"]["namespace"]}


def _owner(chart: Object) -> Object:
    metadata = chart["metadata"]
    return {
        "apiVersion": chart["apiVersion"], "kind": chart["kind"], "name": metadata["name"],
        "uid": metadata["uid"], "controller": True, "blockOwnerDeletion": True,
    }  # fmt: skip


def _values_secret(chart: Object, config: Object | None) -> Object:
    files = {
        "values-0-000-HelmChart-ValuesContent.yaml": chart["spec"].get("valuesContent"),
        "values-1-000-HelmChartConfig-ValuesContent.yaml": config and config["spec"].get("valuesContent"),
        "ca-file.pem": chart["spec"].get("repoCA"),
    }
    return {
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": _metadata(chart, f"chart-values-{chart['metadata']['name']}"),
        "data": {name: base64.b64encode(text.encode()).decode() for name, text in files.items() if text},
    }  # fmt: skip


def _content(chart: Object) -> Object:
    name, text = chart["metadata"]["name"], chart["spec"].get("chartContent")
    return {
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": _metadata(chart, f"chart-content-{name}"),
        "data": {f"{name}.tgz.base64": text} if text else {},
    }  # fmt: skip


def _service_account(chart: Object) -> Object:
    name = f"helm-{chart['metadata']['name']}"
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _metadata(chart, name)}


def _role_binding(chart: Object) -> Object:
    account = {"kind": "ServiceAccount", **_metadata(chart, f"helm-{chart['metadata']['name']}")}
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": binding_name(chart)}, "subjects": [account],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
    }  # fmt: skip


def _digestible(obj: Object) -> str:
    return "".join(f"{key}{value}" for key, value in sorted(obj.get("data", {}).items()))


def _job(chart: Object, config: Object | None, content: list[str]) -> Object:
    name, spec = chart["metadata"]["name"], chart["spec"]
    action = "delete" if is_deleted(chart) else "install"
    pod: dict[str, Any] = {
        "restartPolicy": "OnFailure",
        "serviceAccountName": f"helm-{name}",
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "containers": [
            {
                "name": "helm", "image": IMAGE, "imagePullPolicy": "IfNotPresent",
                "args": _arguments(chart, action), "env": _environment(chart, config),
                "volumeMounts": [
                    {"name": "values", "mountPath": "/config"},
                    {"name": "content", "mountPath": "/chart"},
                ],
            }
        ],
        "volumes": [
            {"name": "values", "projected": {"sources": _sources(chart)}},
            {"name": "content", "configMap": {"name": f"chart-content-{name}"}},
        ],
    }  # fmt: skip
    if spec.get("bootstrap"):
        pod["nodeSelector"]["node-role.kubernetes.io/control-plane"] = "true"
        pod |= {"hostNetwork": True, "tolerations": _BOOTSTRAP_TOLERATIONS}
    if reference := spec.get("repoCAConfigMap"):
        pod["volumes"].append({"name": "ca-files", "configMap": reference})
        pod["containers"][0]["volumeMounts"].append({"name": "ca-files", "mountPath": "/ca-files"})
    digest = hashlib.sha256("".join([*content, repr(pod)]).encode()).hexdigest().upper()
    return {
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": _metadata(chart, f"helm-{action}-{name}") | {"labels": {CHART_LABEL: name}},
        "spec": {
            "backoffLimit": spec.get("backOffLimit", BACKOFF_LIMIT),
            "template": {
                "metadata": {
                    "labels": {CHART_LABEL: name},
                    "annotations": {HASH_ANNOTATION: f"SHA256={digest}"},
                },
                "spec": pod,
            },
        },
    }  # fmt: skip


def _arguments(chart: Object, action: str) -> list[str]:
    spec = chart["spec"]
    if action == "delete":
        return ["delete"]
    arguments = ["install"]
    for field, flag in (("targetNamespace", "--namespace"), ("version", "--version")):
        if spec.get(field):
            arguments += [flag, spec[field]]
    for field, flag in (("createNamespace", "--create-namespace"), ("takeOwnership", "--take-ownership")):
        arguments += [flag] if spec.get(field) else []
    for key, value in sorted(spec.get("set", {}).items()):
        typed = isinstance(value, int) or value.lower() in ("true", "false", "null")
        arguments += ["--set" if typed else "--set-string", f"{key}={value}"]
    return arguments


def _environment(chart: Object, config: Object | None) -> list[Object]:
    metadata, spec = chart["metadata"], chart["spec"]
    policy = spec.get("failurePolicy") or DEFAULT_FAILURE_POLICY
    variables = {
        "NAME": metadata["name"],
        "VERSION": spec.get("version", ""),
        "REPO": spec.get("repo", ""),
        "CHART": f"{metadata['name']}/{spec['chart']}" if spec.get("repo") else spec.get("chart", ""),
        "CHART_NAMESPACE": metadata["namespace"],
        "TARGET_NAMESPACE": spec.get("targetNamespace") or metadata["namespace"],
        "FAILURE_POLICY": (config and config["spec"].get("failurePolicy")) or policy,
    }
    if spec.get("bootstrap"):
        variables |= {
            "KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "6444", "BOOTSTRAP": "true",
        }  # fmt: skip
    return [{"name": name, "value": value} for name, value in variables.items()]


def _sources(chart: Object) -> list[Object]:
    """Return what is projected into /config; later files win, and their names say the order."""
    sources: list[Object] = [{"secret": {"name": f"chart-values-{chart['metadata']['name']}"}}]
    number = 0
    for reference in chart["spec"].get("valuesSecrets", ()):
        items = []
        for key in reference.get("keys", ()):
            number += 1
            path = f"values-0-{number:03d}-HelmChart-{reference['name']}-{key}.yaml"
            items.append({"key": key, "path": path})
        sources.append({"secret": {"name": reference["name"], "items": items}})
    return sources
