"""From values to the objects of a release: a pure function but for the keys that it makes.

Names, labels, ports and files are those of the real chart, for whoever looks for them.
"""

import base64
import hashlib
import json
from typing import Any

import yaml

from sandbox.cilium.chart import VERSION, certificates
from sandbox.cilium.chart.values import check, remote_clusters
from sandbox.cluster.helm.values import Refused
from sandbox.cluster.kubernetes_api import Object
from sandbox.tls import Authority

AGENT_IMAGE = f"quay.io/cilium/cilium:v{VERSION}"
MESH_IMAGE = f"quay.io/cilium/clustermesh-apiserver:v{VERSION}"
HEALTH_PORT = 9879
ETCD_PORT = 2379
MESH_FOLDER = "/var/lib/cilium/clustermesh"


def render(values: Object, namespace: str) -> list[Object]:
    """Return the objects of a release.

    Raises:
        Refused: the chart refuses the values, or the sandbox does not emulate them.
    """
    check(values)
    mesh = values["clustermesh"]
    config = _config(values)
    objects = [*_accounts(namespace), _config_map("cilium-config", config), *_masquerading(values)]
    if mesh["config"]["enabled"]:
        objects += _mesh_config(values, namespace)
    if mesh["useAPIServer"]:
        objects += [*_mesh_certificates(values, namespace, _authority(values)), *_mesh_server(values)]
    # As with Helm, what reads Secrets comes after them: what is optional and late is seen a minute later.
    return [*objects, _agent(values, hashlib.sha256(json.dumps(config).encode()).hexdigest())]


def _config(values: Object) -> dict[str, str]:
    """Return the content of cilium-config, with the names that the agent's options have."""
    given: dict[str, Any] = {
        "cluster-name": values["cluster"]["name"],
        "cluster-id": values["cluster"]["id"],
        "routing-mode": values["routingMode"],
        "ipam": values["ipam"]["mode"],
        "k8s-require-ipv4-pod-cidr": values["k8s"]["requireIPv4PodCIDR"],
        "auto-direct-node-routes": values["autoDirectNodeRoutes"],
        "kube-proxy-replacement": values["kubeProxyReplacement"],
        "enable-ipv4-masquerade": values["enableIPv4Masquerade"],
        "enable-bpf-masquerade": values["bpf"]["masquerade"],
        "enable-ip-masq-agent": values["ipMasqAgent"]["enabled"],
        "ipv4-native-routing-cidr": values["ipv4NativeRoutingCIDR"],
        "identity-allocation-mode": values["identityAllocationMode"],
        "enable-ipv4": values["ipv4"]["enabled"],
        "enable-hubble": False,
        "mtu": values["MTU"],
    }
    return {key: str(value).lower() for key, value in given.items() if value not in ("", None)}


def _masquerading(values: Object) -> list[Object]:
    config = values["ipMasqAgent"].get("config")
    return [_config_map("ip-masq-agent", {"config": yaml.safe_dump(config)})] if config else []


def _config_map(name: str, data: dict[str, str]) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def _accounts(namespace: str) -> list[Object]:
    # Beside what the agent needs, what kube-proxy needs, since that stands in for eBPF.
    rules = [
        {"apiGroups": [""], "resources": ["nodes", "services", "endpoints", "configmaps", "secrets"],
         "verbs": ["get", "list", "watch"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"],
         "verbs": ["get", "list", "watch"]},
        {"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"],
         "verbs": ["get", "list", "watch"]},
        {"apiGroups": [""], "resources": ["nodes/status"], "verbs": ["patch"]},
        {"apiGroups": ["", "events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch", "update"]},
    ]  # fmt: skip
    objects: list[Object] = []
    for name in ("cilium", "clustermesh-apiserver"):
        objects += [
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}},
            {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name},
             "rules": rules},
            {
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
                "metadata": {"name": name},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
                "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
            },
        ]  # fmt: skip
    return objects


def _agent(values: Object, config_hash: str) -> Object:
    labels = {
        "k8s-app": "cilium",
        "app.kubernetes.io/name": "cilium-agent",
        "app.kubernetes.io/part-of": "cilium",
    }
    annotations = {"cilium.io/cilium-configmap-checksum": config_hash} if values["rollOutCiliumPods"] else {}
    environment: list[Object] = [
        {"name": "K8S_NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        {"name": "CILIUM_K8S_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
    ]
    if values["k8sServiceHost"]:
        environment += [
            {"name": "KUBERNETES_SERVICE_HOST", "value": str(values["k8sServiceHost"])},
            {"name": "KUBERNETES_SERVICE_PORT", "value": str(values["k8sServicePort"])},
        ]
    mounts = {
        "cilium-run": (
            "/var/run/cilium",
            {"hostPath": {"path": "/var/run/cilium", "type": "DirectoryOrCreate"}},
        ),
        "etc-cni-netd": (
            "/host/etc/cni/net.d",
            {"hostPath": {"path": values["cni"]["confPath"], "type": "DirectoryOrCreate"}},
        ),
        "cni-path": (
            "/host/opt/cni/bin",
            {"hostPath": {"path": values["cni"]["binPath"], "type": "DirectoryOrCreate"}},
        ),
        "cilium-config-path": ("/tmp/cilium/config-map", {"configMap": {"name": "cilium-config"}}),  # noqa: S108
        "kubernetes": ("/usr/local/lib/kubernetes", {"hostPath": {"path": "/usr/local/lib/kubernetes"}}),
        "xtables-lock": (
            "/run/xtables.lock",
            {"hostPath": {"path": "/run/xtables.lock", "type": "FileOrCreate"}},
        ),
        "clustermesh-secrets": (MESH_FOLDER, _mesh_volume("local", "cilium-clustermesh")),
    }
    health = {"host": "127.0.0.1", "path": "/healthz", "port": HEALTH_PORT, "scheme": "HTTP"}
    probe = {"httpGet": health, "timeoutSeconds": 5}
    container = {
        "name": "cilium-agent", "image": AGENT_IMAGE, "imagePullPolicy": "IfNotPresent",
        "command": ["cilium-agent"], "args": ["--config-dir=/tmp/cilium/config-map"],
        "env": environment, "securityContext": {"privileged": True},
        "livenessProbe": probe | {"periodSeconds": 30, "failureThreshold": 10},
        "readinessProbe": probe | {"periodSeconds": 3, "failureThreshold": 3},
        "volumeMounts": [{"name": name, "mountPath": path} for name, (path, _) in mounts.items()],
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }  # fmt: skip
    return {
        "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "cilium", "labels": labels},
        "spec": {
            "selector": {"matchLabels": {"k8s-app": "cilium"}},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 2}},
            "template": {
                "metadata": {"labels": labels, "annotations": annotations},
                "spec": {
                    "hostNetwork": True, "serviceAccountName": "cilium", "restartPolicy": "Always",
                    "priorityClassName": "system-node-critical", "terminationGracePeriodSeconds": 1,
                    "tolerations": [{"operator": "Exists"}], "nodeSelector": {"kubernetes.io/os": "linux"},
                    "containers": [container],
                    "volumes": [{"name": name, **source} for name, (_, source) in mounts.items()],
                },
            },
        },
    }  # fmt: skip


def _mesh_volume(role: str, secret: str) -> Object:
    """Return the volume of a client of ClusterMesh: which clusters there are, and its certificate."""
    items = [
        {"key": "tls.key", "path": f"{role}-etcd-client.key"},
        {"key": "tls.crt", "path": f"{role}-etcd-client.crt"},
        {"key": "ca.crt", "path": f"{role}-etcd-client-ca.crt"},
    ]
    own = {"name": f"clustermesh-apiserver-{'remote' if role == 'common' else role}-cert", "items": items}
    sources = [{"secret": {"name": secret, "optional": True}}, {"secret": {**own, "optional": True}}]
    return {"projected": {"defaultMode": 0o400, "sources": sources}}


def _authority(values: Object) -> Authority:
    try:
        return certificates.given(values["tls"]["ca"]["cert"], values["tls"]["ca"]["key"])
    except ValueError as error:
        raise Refused(f"tls.ca: {error}") from error


def _mesh_config(values: Object, namespace: str) -> list[Object]:
    """Return what agents read (all clusters through the local server), and what the local server reads."""
    domain = values["clustermesh"]["config"]["domain"]
    agents, servers = {}, {}
    for cluster in remote_clusters(values):
        name = cluster["name"]
        address = f"{name}.{domain}"
        agents[name] = _etcd_config("local", f"clustermesh-apiserver.{namespace}.svc:{ETCD_PORT}")
        aliases = {"cilium-host-aliases": {address: {"ips": cluster["ips"]}}}
        servers[name] = _etcd_config("common", f"{address}:{cluster['port']}", aliases)
    return [
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}
        for name, data in (("cilium-clustermesh", agents), ("cilium-kvstoremesh", servers))
    ]


def _etcd_config(role: str, endpoint: str, more: Object | None = None) -> str:
    files = {
        "trusted-ca-file": f"{MESH_FOLDER}/{role}-etcd-client-ca.crt",
        "key-file": f"{MESH_FOLDER}/{role}-etcd-client.key",
        "cert-file": f"{MESH_FOLDER}/{role}-etcd-client.crt",
    }
    text = yaml.safe_dump({"endpoints": [f"https://{endpoint}"], **files, **(more or {})})
    return base64.b64encode(text.encode()).decode()


def _mesh_certificates(values: Object, namespace: str, authority: Authority) -> list[Object]:
    tls = values["clustermesh"]["apiserver"]["tls"]
    days = tls["auto"]["certValidityDuration"]
    names = (
        "clustermesh-apiserver.cilium.io", "*.mesh.cilium.io",
        f"*.{values['clustermesh']['config']['domain']}", f"clustermesh-apiserver.{namespace}.svc",
        *tls["server"]["extraDnsNames"], "127.0.0.1", "::1",
        *tls["server"]["extraIpAddresses"],
    )  # fmt: skip
    cluster = values["cluster"]["name"]
    data = {
        "cilium-ca": certificates.secret(authority),
        "clustermesh-apiserver-server-cert": certificates.issue(
            authority, "clustermesh-apiserver.cilium.io", days, tuple(dict.fromkeys(names))
        ),
        "clustermesh-apiserver-remote-cert": certificates.issue(authority, f"remote-{cluster}", days),
        "clustermesh-apiserver-local-cert": certificates.issue(authority, f"local-{cluster}", days),
    }
    return [
        {
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": content,
            "type": "Opaque" if name == "cilium-ca" else "kubernetes.io/tls",
        }
        for name, content in data.items()
    ]  # fmt: skip


def _mesh_server(values: Object) -> list[Object]:
    settings = values["clustermesh"]["apiserver"]
    labels = {"k8s-app": "clustermesh-apiserver", "app.kubernetes.io/part-of": "cilium"}
    server_secret = {"secretName": "clustermesh-apiserver-server-cert", "defaultMode": 0o400}
    volumes = {
        "etcd-server-secrets": {"secret": server_secret},
        "kvstoremesh-secrets": _mesh_volume("common", "cilium-kvstoremesh"),
        "run": {"emptyDir": {}},
    }
    environment = [
        {"name": name, "valueFrom": {"configMapKeyRef": {"name": "cilium-config", "key": key}}}
        for name, key in (("CLUSTER_NAME", "cluster-name"), ("CLUSTER_ID", "cluster-id"))
    ]
    run = {"name": "run", "mountPath": "/run/clustermesh"}
    image = {"image": MESH_IMAGE, "imagePullPolicy": "IfNotPresent", "env": environment}
    ready = {"tcpSocket": {"port": ETCD_PORT}, "periodSeconds": 3}
    apiserver = {
        "name": "apiserver", **image, "command": ["clustermesh-apiserver"], "args": ["clustermesh"],
        "ports": [{"name": "etcd", "containerPort": ETCD_PORT, "protocol": "TCP"}], "readinessProbe": ready,
        "volumeMounts": [run, {"name": "etcd-server-secrets", "mountPath": "/var/lib/etcd-secrets"}],
    }  # fmt: skip
    kvstoremesh = {
        "name": "kvstoremesh", **image, "command": ["clustermesh-apiserver"], "args": ["kvstoremesh"],
        "volumeMounts": [run, {"name": "kvstoremesh-secrets", "mountPath": MESH_FOLDER}],
    }  # fmt: skip
    deployment = {
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "clustermesh-apiserver", "labels": labels},
        "spec": {
            "replicas": settings["replicas"],
            "selector": {"matchLabels": {"k8s-app": "clustermesh-apiserver"}},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "serviceAccountName": "clustermesh-apiserver", "containers": [apiserver, kvstoremesh],
                    "priorityClassName": "system-cluster-critical", "terminationGracePeriodSeconds": 1,
                    "volumes": [{"name": name, **source} for name, source in volumes.items()],
                },
            },
        },
    }  # fmt: skip
    port = {
        "port": ETCD_PORT, "targetPort": ETCD_PORT, "nodePort": settings["service"]["nodePort"],
        "protocol": "TCP",  # said, since server-side apply in Kubernetes 1.20 knows no default here
    }  # fmt: skip
    service = {
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "clustermesh-apiserver", "labels": labels},
        "spec": {"type": "NodePort", "selector": {"k8s-app": "clustermesh-apiserver"}, "ports": [port]},
    }  # fmt: skip
    return [deployment, service]
