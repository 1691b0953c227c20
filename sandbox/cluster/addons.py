"""What a k3s server runs beside Kubernetes: cluster DNS, local volumes, the controller of HelmChart objects.

Every server runs this; one of them, the holder of a Lease, does the work.
"""

import logging
import pkgutil
import socket
import threading
from pathlib import Path

import yaml

from sandbox.cluster.helm.controller import Controller
from sandbox.cluster.kubernetes_api import ApiError, KubernetesApi, Object, Unreachable
from sandbox.cluster.leader import Lease
from sandbox.cluster.threads import end_with_any

MANAGER = "k3s"
LEASE = "k3s-addons"
COREDNS, LOCAL_STORAGE, HELM = "coredns", "local-storage", "helm-controller"
NODE_HOSTS_MANAGER = "k3s-node-hosts"

log = logging.getLogger(__name__)


def run(kubeconfig: Path, disabled: set[str], cluster_dns: str, cluster_domain: str) -> None:
    """Deploy the addons and run the controllers, for ever, once this server leads.

    Meant for a process of its own, to be started again when it ends.

    Args:
        kubeconfig: An administrator's.
        disabled: Of `coredns`, `local-storage`, `helm-controller`: what k3s was told not to run.
        cluster_dns: Address of the Service of cluster DNS.
        cluster_domain: The cluster's domain.

    Raises:
        Lost: another server leads now, or the API server cannot be asked.
    """
    end_with_any()
    api = KubernetesApi.from_kubeconfig(kubeconfig)
    lease = Lease(api, LEASE, socket.gethostname())  # a server that is started again leads at once
    lease.acquire()
    log.info("this server deploys the addons now")
    worker = threading.Thread(
        target=_work, args=(api, disabled, {"CLUSTER_DNS": cluster_dns, "CLUSTER_DOMAIN": cluster_domain})
    )
    worker.daemon = True
    worker.start()
    lease.keep()


def _work(api: KubernetesApi, disabled: set[str], settings: dict[str, str]) -> None:
    retry = threading.Event()
    while True:
        try:
            _deploy(api, disabled, settings)
            break
        except (ApiError, Unreachable) as error:
            log.warning("addons: %s", error)
            retry.wait(1)
    if COREDNS not in disabled:
        threading.Thread(target=_write_node_hosts, args=(api,), daemon=True).start()
    if HELM not in disabled:
        Controller(api).run()


def _deploy(api: KubernetesApi, disabled: set[str], settings: dict[str, str]) -> None:
    files = {HELM: "helm/crds.yaml", COREDNS: "coredns.yaml", LOCAL_STORAGE: "local-storage.yaml"}
    for addon, file in files.items():
        if addon not in disabled:
            for obj in _objects(file, settings):
                api.apply(obj, MANAGER)


def _objects(file: str, settings: dict[str, str]) -> list[Object]:
    text = (pkgutil.get_data("sandbox.cluster", file) or b"").decode()
    for name, value in settings.items():
        text = text.replace(f"%{{{name}}}%", value)
    return list(yaml.safe_load_all(text))


def _write_node_hosts(api: KubernetesApi) -> None:
    """Keep the names of nodes in CoreDNS's ConfigMap, as k3s does."""
    hosts: dict[str, str] = {}
    synced, written = False, None
    for event in api.watch("/api/v1/nodes"):
        if event.type == "SYNCED":
            synced = True
        else:
            hosts.pop(event.object["metadata"]["name"], None)
            if event.type != "DELETED":
                hosts |= _host(event.object)
        text = "".join(f"{address} {name}\n" for name, address in sorted(hosts.items()))
        if synced and text != written:
            written = _apply_node_hosts(api, text)


def _host(node: Object) -> dict[str, str]:
    addresses = node.get("status", {}).get("addresses", ())
    internal = [entry["address"] for entry in addresses if entry["type"] == "InternalIP"]
    return {node["metadata"]["name"]: internal[0]} if internal else {}


def _apply_node_hosts(api: KubernetesApi, text: str) -> str | None:
    metadata = {"name": "coredns", "namespace": "kube-system"}
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"NodeHosts": text}}
    try:
        api.apply(config, NODE_HOSTS_MANAGER)
    except (ApiError, Unreachable) as error:
        log.warning("NodeHosts: %s", error)
        return None
    return text
