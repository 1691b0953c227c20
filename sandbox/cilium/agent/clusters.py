"""The agent's view of ClusterMesh: through the server of its own cluster, as with kvstoremesh."""

import logging
import threading
import time
from dataclasses import replace
from pathlib import Path

from sandbox.cilium.mesh.kvstoremesh import as_status
from sandbox.cilium.mesh.protocol import TROUBLES, State, declared_clusters, read_peer, states
from sandbox.cluster.kubernetes_api import ApiError, KubernetesApi, Unreachable

FOLDER = Path("/var/lib/cilium/clustermesh")
RESCAN_S = 5.0

log = logging.getLogger(__name__)


class Clusters:
    """Which clusters are declared, and what our server says of them."""

    def __init__(self, api: KubernetesApi, namespace: str) -> None:
        self._api = api
        self._namespace = namespace
        self._remotes: dict[str, State] = {}
        self._trouble = "not connected yet"

    def start(self) -> None:
        """Follow our server in the background, as soon as any cluster is declared."""
        threading.Thread(target=self._follow, daemon=True).start()

    def status(self) -> State:
        """Return the part `cluster-mesh` of the agent's status."""
        clusters = [self._of(path.name) for path in declared_clusters(FOLDER)]
        return {"clusters": clusters, "num-global-services": 0}

    def _of(self, name: str) -> State:
        unknown = {
            "name": name, "connected": False, "cluster_id": 0, "nodes": 0, "failures": 0, "last_failure": "",
            "status": self._trouble or "Waiting for initial connection to be established",
        }  # fmt: skip
        return as_status(self._remotes.get(name, unknown))

    def _follow(self) -> None:
        while True:
            declared = declared_clusters(FOLDER)
            if declared:
                self._stay_connected(declared[0])
            time.sleep(RESCAN_S)

    def _stay_connected(self, path: Path) -> None:
        try:
            peer = read_peer(path.read_text())
            service = self._api.get(f"/api/v1/namespaces/{self._namespace}/services/clustermesh-apiserver")
            address = service["spec"]["clusterIP"]
            for state in states(replace(peer, addresses=(address,)), address):
                self._remotes, self._trouble = state["remotes"], ""
        except (*TROUBLES, ApiError, Unreachable) as error:
            if self._trouble != str(error):
                log.warning("clustermesh-apiserver: %s", error)
            self._remotes, self._trouble = {}, str(error)
