"""Watch HelmChart objects, and keep a Job for each.

As with the real one, the Job's pod is where a failure is told: a chart that cannot be installed makes its
container fail again and again, while the HelmChart's conditions say no more than that there is a Job.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

from sandbox.cluster.helm.job import (
    CHART_LABEL,
    HASH_ANNOTATION,
    NotEmulated,
    binding_name,
    is_deleted,
    job_objects,
)
from sandbox.cluster.kubernetes_api import (
    ApiError,
    Event,
    KubernetesApi,
    Object,
    Unreachable,
    event_about,
    path_of,
)

log = logging.getLogger(__name__)

MANAGER = "helm-controller"
FINALIZER = "wrangler.cattle.io/on-helm-chart-remove"
RETRY_S = 2.0
_GROUP = "/apis/helm.cattle.io/v1"

Key = tuple[str, str]


class Controller:
    """One worker behind a few watches; `run` never returns."""

    def __init__(self, api: KubernetesApi) -> None:
        self._api = api
        self._due: queue.Queue[Key] = queue.Queue()
        self._charts: dict[Key, Object] = {}
        self._configs: dict[Key, Object] = {}

    def run(self) -> None:
        """Work for ever."""
        watches: list[tuple[str, Callable[[Event], None], dict[str, str]]] = [
            (f"{_GROUP}/helmchartconfigs", self._on_config, {}),
            (f"{_GROUP}/helmcharts", self._on_chart, {}),
            ("/apis/batch/v1/jobs", self._on_job, {"labelSelector": CHART_LABEL}),
            ("/api/v1/secrets", self._on_secret, {"fieldSelector": "type=Opaque"}),
        ]
        for path, handle, query in watches:
            threading.Thread(target=self._watch, args=(path, handle, query), daemon=True).start()
        while True:
            key = self._due.get()
            try:
                self._reconcile(key)
            except (ApiError, Unreachable) as error:
                log.warning("HelmChart %s/%s: %s", *key, error)
                time.sleep(RETRY_S)
                self._due.put(key)

    def _watch(self, path: str, handle: Callable[[Event], None], query: dict[str, str]) -> None:
        for event in self._api.watch(path, **query):
            if event.type != "SYNCED":
                handle(event)

    def _on_chart(self, event: Event) -> None:
        key = _key(event.object)
        if event.type == "DELETED":
            self._charts.pop(key, None)
        else:
            self._charts[key] = event.object
            self._due.put(key)

    def _on_config(self, event: Event) -> None:
        key = _key(event.object)
        if event.type == "DELETED":
            self._configs.pop(key, None)
        else:
            self._configs[key] = event.object
        self._due.put(key)

    def _on_job(self, event: Event) -> None:
        namespace, _ = _key(event.object)
        if event.type == "DELETED" or event.object.get("status", {}).get("succeeded"):
            self._due.put((namespace, event.object["metadata"]["labels"][CHART_LABEL]))

    def _on_secret(self, event: Event) -> None:
        namespace, name = _key(event.object)
        for key, chart in list(self._charts.items()):
            if key[0] == namespace and name in _followed_secrets(chart):
                self._due.put(key)

    def _reconcile(self, key: Key) -> None:
        chart = self._charts.get(key)
        if chart is None or not (chart["spec"].get("chart") or chart["spec"].get("chartContent")):
            return
        if is_deleted(chart) and FINALIZER not in chart["metadata"].get("finalizers", ()):
            return
        if chart["spec"].get("helmVersion", "v3") != "v3":
            self._say(chart, None, "Unsupported version", "Only Helm v3 charts are supported")
            return
        try:
            objects = job_objects(chart, self._configs.get(key), self._secrets(chart))
        except NotEmulated as error:
            self._say(chart, None, "Job create failed", f"Failed to generate Job: {error}")
            return
        if is_deleted(chart):
            self._api.delete(f"/apis/batch/v1/namespaces/{key[0]}/jobs/helm-install-{key[1]}")
        else:
            self._hold(chart)
        *supporting, job = objects
        for obj in supporting:
            self._api.apply(obj, MANAGER)
        current = self._api.find(path_of(job))
        if current is None:
            self._api.create(job)
            self._tell(chart, "ApplyJob", f"Applying HelmChart using Job {key[0]}/{job['metadata']['name']}")
        elif _hash(current) != _hash(job):
            self._api.delete(path_of(job), "Foreground")  # its end brings us back here
        elif is_deleted(chart) and current.get("status", {}).get("succeeded"):
            self._let_go(chart, job)
            return
        self._say(chart, job["metadata"]["name"])

    def _secrets(self, chart: Object) -> dict[str, Object]:
        namespace = chart["metadata"]["namespace"]
        found = {
            name: self._api.find(f"/api/v1/namespaces/{namespace}/secrets/{name}")
            for name in _followed_secrets(chart)
        }
        return {name: secret for name, secret in found.items() if secret}

    def _hold(self, chart: Object) -> None:
        finalizers = chart["metadata"].get("finalizers", [])
        if FINALIZER not in finalizers:
            self._api.merge(path_of(chart), {"metadata": {"finalizers": [*finalizers, FINALIZER]}})

    def _let_go(self, chart: Object, job: Object) -> None:
        name = job["metadata"]["name"]
        said = f"Uninstalled HelmChart using Job {chart['metadata']['namespace']}/{name}, removing resources"
        self._tell(chart, "RemoveJob", said)
        self._api.delete(f"/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/{binding_name(chart)}")
        left = [name for name in chart["metadata"]["finalizers"] if name != FINALIZER]
        self._api.merge(path_of(chart), {"metadata": {"finalizers": left}})

    def _say(self, chart: Object, job_name: str | None, reason: str = "", message: str = "") -> None:
        """Write the status, unless it stands there already."""
        if job_name:
            said = f"Applying HelmChart using Job {chart['metadata']['namespace']}/{job_name}"
            created = {"type": "JobCreated", "status": "True", "reason": "Job created", "message": said}
            conditions: list[dict[str, str]] = [created, {"type": "Failed", "status": "False"}]
        else:
            failed = {"type": "Failed", "status": "True", "reason": reason, "message": message}
            conditions = [{"type": "JobCreated", "status": "False"}, failed]
        status: dict[str, Any] = {"conditions": conditions} | ({"jobName": job_name} if job_name else {})
        if chart.get("status") != status:
            self._api.merge(f"{path_of(chart)}/status", {"status": status})
            if message:
                self._tell(chart, reason.title().replace(" ", ""), message, "Warning")

    def _tell(self, chart: Object, reason: str, message: str, kind: str = "Normal") -> None:
        self._api.create(event_about(chart, kind, reason, message, MANAGER))


def _key(obj: Object) -> Key:
    return obj["metadata"]["namespace"], obj["metadata"]["name"]


def _hash(job: Object) -> str:
    annotations: dict[str, str] = job["spec"]["template"]["metadata"].get("annotations", {})
    return annotations.get(HASH_ANNOTATION, "")


def _followed_secrets(chart: Object) -> list[str]:
    references = chart["spec"].get("valuesSecrets", ())
    return [reference["name"] for reference in references if not reference.get("ignoreUpdates")]
