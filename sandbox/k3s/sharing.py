"""What the servers of a cluster put into the API for those who join: rights, the bootstrap data, settings.

The real k3s's supervisor serves the same by itself, at /v1-k3s.
"""

from collections.abc import Iterable

from sandbox.cluster.kubernetes_api import KubernetesApi, Object
from sandbox.k3s import bootstrap
from sandbox.k3s.bootstrap import Bootstrap
from sandbox.k3s.config import ServerConfig

SERVERS, AGENTS = "k3s:server", "k3s:agent"
SETTINGS_PATH = "/api/v1/namespaces/kube-system/configmaps/k3s-agent-settings"
_MANAGER = "k3s"
_RBAC = "rbac.authorization.k8s.io"


def publish(api: KubernetesApi, config: ServerConfig, shared: Bootstrap, password: str) -> None:
    """Write everything; who joins finds it as soon as a server says that it is ready."""
    for obj in (*rights(), settings(config, shared), shared.secret(password)):
        api.apply(obj, _MANAGER)


def tokens(password: str, agent_password: str) -> str:
    """Return the API server's file of tokens: who shows which belongs to which group."""
    if agent_password in ("", password):
        return f'{password},server,server,"{SERVERS},{AGENTS}"\n'
    return f'{password},server,server,"{SERVERS},{AGENTS}"\n{agent_password},node,node,"{AGENTS}"\n'


def settings(config: ServerConfig, shared: Bootstrap) -> Object:
    """Return what an agent is told by its servers."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "k3s-agent-settings", "namespace": "kube-system"},
        "data": {
            "client-ca": shared.files["client-ca.crt"],
            "cluster-cidr": str(config.cluster_cidr),
            "cluster-dns": str(config.cluster_dns),
            "cluster-domain": config.cluster_domain,
            "kube-proxy": str(config.kube_proxy).lower(),
        },
    }


def rights() -> Iterable[Object]:
    """Yield the roles of whoever shows a token, and their bindings."""
    yield _role(
        "ClusterRole", "k3s:agent", "",
        _rule("nodes", "get", "patch"),
    )  # fmt: skip
    yield _role("Role", "k3s:agent", "default", _rule("endpoints", "get", "list", "watch", name="kubernetes"))
    yield _role("Role", "k3s:agent", "kube-system", _rule("configmaps", "get", name="k3s-agent-settings"))
    yield _role("Role", "k3s:server", "kube-system", _rule("secrets", "get", name=bootstrap.NAME))
    yield _binding("k3s:agent", "", "ClusterRole", "k3s:agent", AGENTS)
    yield _binding("k3s:agent", "default", "Role", "k3s:agent", AGENTS)
    yield _binding("k3s:agent", "kube-system", "Role", "k3s:agent", AGENTS)
    yield _binding("k3s:server", "kube-system", "Role", "k3s:server", SERVERS)
    # A kubelet asks for its certificate with the token, and for the next one with the certificate.
    requests = "system:certificates.k8s.io:certificatesigningrequests"
    for role, group in (
        ("system:node-bootstrapper", AGENTS),
        ("system:node-proxier", AGENTS),
        (f"{requests}:nodeclient", AGENTS),
        (f"{requests}:selfnodeclient", "system:nodes"),
    ):
        yield _binding(f"k3s:{role.rpartition(':')[2]}", "", "ClusterRole", role, group)


def _role(kind: str, name: str, namespace: str, *rules: Object) -> Object:
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": kind,
        "metadata": {"name": name} | ({"namespace": namespace} if namespace else {}),
        "rules": list(rules),
    }


def _rule(resource: str, *verbs: str, name: str = "") -> Object:
    named = {"resourceNames": [name]} if name else {}
    return {"apiGroups": [""], "resources": [resource], "verbs": list(verbs)} | named


def _binding(name: str, namespace: str, kind: str, role: str, group: str) -> Object:
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "RoleBinding" if namespace else "ClusterRoleBinding",
        "metadata": {"name": name} | ({"namespace": namespace} if namespace else {}),
        "roleRef": {"apiGroup": _RBAC, "kind": kind, "name": role},
        "subjects": [{"apiGroup": _RBAC, "kind": "Group", "name": group}],
    }
