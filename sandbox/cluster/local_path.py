"""The stand-in for Rancher's local-path provisioner: volumes that are folders of a node.

As with the real one, a pod of a moment makes and removes each folder on its node.
"""

import logging
import queue
import sys
import threading
import time

from sandbox.cluster.kubernetes_api import ApiError, KubernetesApi, Object, Unreachable, path_of
from sandbox.cluster.threads import end_with_any

PROVISIONER = "rancher.io/local-path"
FOLDER = "/var/lib/rancher/k3s/storage"
IMAGE = "busybox:1.37"
NAMESPACE = "kube-system"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
RETRY_S = 2.0
POD_TIMEOUT_S = 120.0

log = logging.getLogger("local-path")


class Provisioner:
    """Makes a volume for every claim that has a node, and removes what was released."""

    def __init__(self, api: KubernetesApi) -> None:
        self._api = api
        self._due: queue.Queue[Object] = queue.Queue()
        self._ended: dict[str, str] = {}
        self._pod_ended = threading.Condition()

    def run(self) -> None:
        """Work for ever."""
        for path in ("/api/v1/persistentvolumeclaims", "/api/v1/persistentvolumes"):
            threading.Thread(target=self._watch, args=(path,), daemon=True).start()
        threading.Thread(target=self._watch_pods, daemon=True).start()
        while True:
            obj = self._due.get()
            try:
                if obj["kind"] == "PersistentVolumeClaim":
                    self._provision(obj)
                else:
                    self._remove(obj)
            except (ApiError, Unreachable, TimeoutError) as error:
                log.warning("%s %s: %s", obj["kind"], obj["metadata"]["name"], error)
                time.sleep(RETRY_S)
                self._due.put(obj)

    def _watch(self, path: str) -> None:
        for event in self._api.watch(path):
            if event.type in ("ADDED", "MODIFIED") and _is_due(event.object):
                self._due.put(event.object)

    def _watch_pods(self) -> None:
        path = f"/api/v1/namespaces/{NAMESPACE}/pods"
        for event in self._api.watch(path, labelSelector="app=local-path-helper"):
            phase = event.object.get("status", {}).get("phase")
            if phase in ("Succeeded", "Failed"):
                with self._pod_ended:
                    self._ended[event.object["metadata"]["name"]] = phase
                    self._pod_ended.notify_all()

    def _provision(self, claim: Object) -> None:
        claim = self._api.find(path_of(claim)) or {"spec": {"volumeName": "gone"}}
        if claim["spec"].get("volumeName"):
            return
        metadata, spec = claim["metadata"], claim["spec"]
        storage = self._api.get(f"/apis/storage.k8s.io/v1/storageclasses/{spec['storageClassName']}")
        if storage["provisioner"] != PROVISIONER:
            return
        name = f"pvc-{metadata['uid']}"
        folder = f"{FOLDER}/{name}_{metadata['namespace']}_{metadata['name']}"
        if self._api.find(f"/api/v1/persistentvolumes/{name}"):
            return
        node = metadata["annotations"][SELECTED_NODE]
        self._on_node("create", name, node, f"mkdir -m 0777 -p {folder} && chmod 700 {FOLDER}")
        self._api.create(_volume(name, claim, storage, node, folder))
        log.info("made %s on %s for %s/%s", folder, node, metadata["namespace"], metadata["name"])

    def _remove(self, volume: Object) -> None:
        name = volume["metadata"]["name"]
        if self._api.find(path_of(volume)) is None:
            return
        terms = volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"]
        node, folder = terms[0]["matchExpressions"][0]["values"][0], volume["spec"]["hostPath"]["path"]
        self._on_node("delete", name, node, f"rm -rf {folder}")
        self._api.delete(path_of(volume))
        log.info("removed %s on %s", folder, node)

    def _on_node(self, action: str, name: str, node: str, command: str) -> None:
        """Run a shell command in the storage folder of a node, and wait for its end.

        Raises:
            TimeoutError: it did not end well in time.
        """
        pod_name = f"helper-pod-{action}-{name}"
        self._ended.pop(pod_name, None)
        pod = _helper_pod(pod_name, node, command)
        if self._api.find(path_of(pod)) is None:
            self._api.create(pod)
        with self._pod_ended:
            is_over = self._pod_ended.wait_for(lambda: pod_name in self._ended, POD_TIMEOUT_S)
        phase = self._ended.pop(pod_name, "not over")
        self._api.delete(path_of(pod))
        if not is_over or phase != "Succeeded":
            raise TimeoutError(f"pod {pod_name} on {node} is {phase}")


def main() -> None:
    """Run `local-path-provisioner start`."""
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(levelname)s %(message)s")
    log.info("this is a stand-in for Rancher's local-path provisioner, made by Roachmesh's sandbox")
    end_with_any()
    Provisioner(KubernetesApi.in_cluster()).run()


def _is_due(obj: Object) -> bool:
    metadata, spec = obj["metadata"], obj["spec"]
    if obj["kind"] == "PersistentVolumeClaim":
        is_ours = spec.get("storageClassName") and SELECTED_NODE in metadata.get("annotations", {})
        return bool(is_ours) and not spec.get("volumeName")
    provisioner = metadata.get("annotations", {}).get("pv.kubernetes.io/provisioned-by")
    phase, policy = obj.get("status", {}).get("phase"), spec["persistentVolumeReclaimPolicy"]
    return (provisioner, phase, policy) == (PROVISIONER, "Released", "Delete")


def _volume(name: str, claim: Object, storage: Object, node: str, folder: str) -> Object:
    metadata, spec = claim["metadata"], claim["spec"]
    here = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    return {
        "apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": {"name": name, "annotations": {"pv.kubernetes.io/provisioned-by": PROVISIONER}},
        "spec": {
            "accessModes": spec["accessModes"], "capacity": spec["resources"]["requests"],
            "storageClassName": spec["storageClassName"], "volumeMode": spec.get("volumeMode", "Filesystem"),
            "persistentVolumeReclaimPolicy": storage.get("reclaimPolicy", "Delete"),
            "hostPath": {"path": folder, "type": "DirectoryOrCreate"},
            "claimRef": {
                "apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": metadata["name"],
                "namespace": metadata["namespace"], "uid": metadata["uid"],
            },
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
        },
    }  # fmt: skip


def _helper_pod(name: str, node: str, command: str) -> Object:
    return {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"app": "local-path-helper"}},
        "spec": {
            "nodeName": node, "restartPolicy": "Never", "tolerations": [{"operator": "Exists"}],
            "containers": [
                {
                    "name": "helper-pod", "image": IMAGE, "imagePullPolicy": "IfNotPresent",
                    "command": ["sh", "-c", command],
                    "volumeMounts": [{"name": "data", "mountPath": FOLDER}],
                }
            ],
            "volumes": [{"name": "data", "hostPath": {"path": FOLDER, "type": "DirectoryOrCreate"}}],
        },
    }  # fmt: skip
