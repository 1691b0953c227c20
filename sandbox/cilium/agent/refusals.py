"""Say aloud what Cilium would do with an object and this stand-in does not: in the log, and as an event."""

import logging
import threading

from sandbox.cluster.kubernetes_api import ApiError, KubernetesApi, Object, Unreachable, event_about

GLOBAL = ("service.cilium.io/global", "io.cilium/global-service")
PATHS = ("/api/v1/services", "/apis/networking.k8s.io/v1/networkpolicies")
REASON = "NotEmulatedBySandbox"

log = logging.getLogger(__name__)


def start(api: KubernetesApi) -> None:
    """Look at every Service and NetworkPolicy, in the background."""
    for path in PATHS:
        threading.Thread(target=_watch, args=(api, path), daemon=True).start()


def reason(obj: Object) -> str:
    """Return what is not done; empty if there is nothing to do."""
    if obj["kind"] == "NetworkPolicy":
        return "network policies are not enforced by the sandbox: all traffic is let through"
    annotations = obj["metadata"].get("annotations", {})
    if any(annotations.get(name) == "true" for name in GLOBAL):
        return "global services are not emulated by the sandbox: this one has its own cluster's endpoints"
    return ""


def _watch(api: KubernetesApi, path: str) -> None:
    for event in api.watch(path):
        if event.type in ("ADDED", "MODIFIED") and (said := reason(event.object)):
            metadata = event.object["metadata"]
            log.error("%s %s/%s: %s", event.object["kind"], metadata["namespace"], metadata["name"], said)
            name = f"{metadata['name']}.{REASON.lower()}"
            try:
                api.create(event_about(event.object, "Warning", REASON, said, "cilium", name))
            except (ApiError, Unreachable) as error:
                if getattr(error, "status", 0) != 409:  # another node's agent has told it
                    log.warning("cannot make an event: %s", error)
