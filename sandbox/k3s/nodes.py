"""What k3s writes on Node objects, and reads there.

Sources: pkg/nodepassword, pkg/etcd/metadata_controller.go, pkg/etcd/member_controller.go of k3s-io/k3s.
"""

import hashlib
import secrets
import time

from sandbox.cluster.kubernetes_api import ApiError, KubernetesApi, Object, Unreachable
from sandbox.k3s import paths
from sandbox.k3s.config import NodeConfig
from sandbox.k3s.etcd import Etcd, EtcdBusy, EtcdError
from sandbox.k3s.logs import log

ROLES = ("control-plane", "etcd", "master")
MEMBER_NAME = "etcd.k3s.cattle.io/node-name"
MEMBER_ADDRESS = "etcd.k3s.cattle.io/node-address"
FINALIZER = "wrangler.cattle.io/managed-etcd-controller"
# The real k3s keeps it in a Secret `<node>.node-password.k3s`, which goes with the Node as this does.
PASSWORD_HASH = "k3s.io/node-password-hash"  # noqa: S105
_SOMEBODY_ELSE = (404, 409)  # gone, or changed, meanwhile
_RETRY_S = 0.5


class PasswordRejected(Exception):
    """Another machine registered under this node's name, and its Node is still there."""


def path(name: str) -> str:
    """Return where a Node is."""
    return f"/api/v1/nodes/{name}"


def check_password(api: KubernetesApi, config: NodeConfig) -> None:
    """See that the node's name is free, or that it was this machine that had it.

    Raises:
        PasswordRejected: another machine did.
    """
    node = api.find(path(config.node_name))
    known = ((node or {}).get("metadata", {}).get("annotations") or {}).get(PASSWORD_HASH)
    if known and known != _password_hash():
        raise PasswordRejected(
            "Node password rejected, duplicate hostname or contents of '/etc/rancher/node/password' may not "
            "match server node-passwd entry, try enabling a unique node name with the --with-node-id flag"
        )


def describe(api: KubernetesApi, config: NodeConfig, member: str = "") -> None:
    """Write on the Node whose it is and, for a server, its roles and its etcd member; waits for the Node.

    Args:
        api: May change the Node.
        config: The node's configuration.
        member: The server's name as an etcd member.
    """
    while (node := _found(api, config.node_name)) is None:
        time.sleep(_RETRY_S)
    annotations = {
        PASSWORD_HASH: _password_hash(),
        "k3s.io/hostname": config.node_name,
        "k3s.io/internal-ip": str(config.node_ip),
    }
    metadata: Object = {"annotations": annotations}
    if member:
        annotations |= {MEMBER_NAME: member, MEMBER_ADDRESS: str(config.node_ip)}
        metadata["labels"] = {f"node-role.kubernetes.io/{role}": "true" for role in ROLES}
        metadata["finalizers"] = sorted({*(node["metadata"].get("finalizers") or ()), FINALIZER})
    api.merge(path(config.node_name), {"metadata": metadata})


def remove_members_of_deleted(api: KubernetesApi, etcd: Etcd) -> None:
    """Take a server out of etcd when its Node is deleted, for ever; every server does, one succeeds first."""
    for event in api.watch("/api/v1/nodes"):
        metadata = event.object.get("metadata", {})
        if metadata.get("deletionTimestamp") and FINALIZER in (metadata.get("finalizers") or ()):
            _remove_member(api, etcd, metadata)


def _remove_member(api: KubernetesApi, etcd: Etcd, metadata: Object) -> None:
    """Remove the member, then let the Node go; tries for as long as it must."""
    member = (metadata.get("annotations") or {}).get(MEMBER_NAME, "")
    left = [finalizer for finalizer in metadata["finalizers"] if finalizer != FINALIZER]
    change = {"finalizers": left, "resourceVersion": metadata["resourceVersion"]}
    while True:
        try:
            etcd.remove(member)
            api.merge(path(metadata["name"]), {"metadata": change})
        except (EtcdBusy, EtcdError, Unreachable) as error:
            log.error("Failed to remove member %s from etcd cluster: %s", member, error)
            time.sleep(_RETRY_S)
            continue
        except ApiError as error:
            if error.status not in _SOMEBODY_ELSE:
                raise
        return


def _found(api: KubernetesApi, name: str) -> Object | None:
    try:
        return api.find(path(name))
    except Unreachable as error:
        log.debug("node %s: %s", name, error)
        return None


def _password_hash() -> str:
    """Hash the password of this machine, which is made when it first asks."""
    if not paths.NODE_PASSWORD.exists():
        paths.write_secret(paths.NODE_PASSWORD, secrets.token_hex(16))
    return hashlib.sha256(paths.NODE_PASSWORD.read_bytes()).hexdigest()
