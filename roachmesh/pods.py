"""What the objects of a Kubernetes API tell about pods: do they run, are they ready, and if not, why.

Source: "Pod Lifecycle", Kubernetes documentation; the same fields in 1.20 and 1.36.
"""

from collections.abc import Iterable, Mapping
from typing import Any

Object = Mapping[str, Any]


def name(pod: Object) -> str:
    """Give a pod's name."""
    return str(pod["metadata"]["name"])


def is_running(pod: Object) -> bool:
    """Tell whether a pod's containers have been started, and nobody wants it gone."""
    containers = _containers(pod)
    return (
        bool(containers)
        and "deletionTimestamp" not in pod["metadata"]
        and all("running" in container.get("state", {}) for container in containers)
    )


def is_ready(pod: Object) -> bool:
    """Tell whether a pod says that it does its work, and nobody wants it gone."""
    condition = _condition(pod, "Ready")
    return condition.get("status") == "True" and "deletionTimestamp" not in pod["metadata"]


def state(pod: Object) -> str:
    """Give the one word or two that say most: ready, not ready, or why it does not run."""
    if is_ready(pod):
        return "ready"
    if "deletionTimestamp" in pod["metadata"]:
        return "Terminating"
    if is_running(pod):
        return "not ready"
    for container in _containers(pod):
        for one in container.get("state", {}).values():
            if one.get("reason"):
                return str(one["reason"])
    return str(pod.get("status", {}).get("phase", "Pending"))


def hindrance(pod: Object) -> str:
    """Say why a pod does not run, as far as it knows itself."""
    scheduled = _condition(pod, "PodScheduled")
    said = [scheduled["message"]] if scheduled.get("status") == "False" and "message" in scheduled else []
    for container in _containers(pod):
        said += [one["message"] for one in container.get("state", {}).values() if one.get("message")]
        said += [f"exit code {ended['exitCode']}" for ended in _ends(container)]
    return ": ".join(dict.fromkeys([state(pod), *said]))


def has_ended(pod: Object) -> bool:
    """Tell whether a container of the pod ended at least once, so that its log says why."""
    return any(_ends(container) for container in _containers(pod))


def last_warning(events: Iterable[Object], about: str) -> str:
    """Give the latest warning about an object, or nothing."""
    warnings = [
        event
        for event in events
        if event.get("type") == "Warning" and event["involvedObject"].get("name") == about
    ]
    latest = max(warnings, key=_time, default=None)
    return f"{latest['reason']}: {latest['message']}" if latest else ""


def is_rolled_out(stateful_set: Object) -> bool:
    """Tell whether all pods of a StatefulSet are what it says now, and ready.

    Source: the rules of `kubectl rollout status`.
    """
    status, replicas = stateful_set.get("status", {}), stateful_set["spec"]["replicas"]
    return bool(
        status.get("observedGeneration", 0) >= stateful_set["metadata"]["generation"]
        and status.get("updateRevision") == status.get("currentRevision")
        and status.get("readyReplicas", 0) == replicas
        and status.get("replicas", 0) == replicas
    )


def _time(event: Object) -> str:
    """Give when an event happened last; all are UTC in one form, so that texts compare as times do."""
    times = (event.get("lastTimestamp"), event.get("eventTime"), event["metadata"].get("creationTimestamp"))
    return next((str(time) for time in times if time), "")


def _condition(pod: Object, kind: str) -> Object:
    conditions = pod.get("status", {}).get("conditions") or []
    return next((one for one in conditions if one["type"] == kind), {})


def _containers(pod: Object) -> list[Object]:
    return list(pod.get("status", {}).get("containerStatuses") or [])


def _ends(container: Object) -> list[Object]:
    """Give how a container ended, now and the time before."""
    states = (container.get("state", {}), container.get("lastState", {}))
    return [state["terminated"] for state in states if "terminated" in state]
