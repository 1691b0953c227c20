"""Look at many things at once, on machines and in clusters, and say of each how it differs from the plan."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

from roachmesh.drift import Finding, differences
from roachmesh.errors import RoachmeshError
from tasks.kubernetes import Body, Kubernetes
from tasks.sessions import Session
from tasks.threads import ask_all

Look = Callable[[], Iterable[Finding]]


def look_at_all(looks: Sequence[tuple[str, Look]]) -> list[Finding]:
    """Look at everything; that something cannot be looked at is a finding too, by the name given for it."""
    return [finding for findings in ask_all(_look, looks) for finding in findings]


def _look(one: tuple[str, Look]) -> list[Finding]:
    label, look = one
    try:
        return list(look())
    except RoachmeshError as exc:
        return [Finding(label=label, type="", state="unreachable", differences=(str(exc),))]


def at_object(api: Kubernetes, wanted: Body) -> Finding:
    """Compare an object of a cluster with what it should say."""
    metadata = wanted["metadata"]
    kind = f"{wanted['apiVersion']}/{wanted['kind']}"
    found = api.read(kind, metadata["name"], metadata["namespace"])
    return at_found(api, wanted["kind"], metadata["name"], wanted, found)


def at_found(api: Kubernetes, kind: str, name: str, wanted: Any, found: Body | None) -> Finding:
    """Compare an object that was read, or that there is none."""
    label = f"{kind} {name} of {api.region}"
    if found is None:
        return Finding(label=label, type=kind, state="missing")
    return compared(label, kind, differences(wanted, found))


def at_file(host: Session, path: str, wanted: str) -> Finding:
    """Compare a file of a machine with what it should say."""
    label = f"file {path} on {host.name}"
    if not host.exists(path):
        return Finding(label=label, type="file", state="missing")
    return compared(label, "file", differences({"text": wanted}, {"text": host.run(["cat", path])}))


def at_service(host: Session, service: str) -> Finding:
    """Say whether a service of a machine runs."""
    runs = host.succeeds(["systemctl", "is-active", "--quiet", service])
    state: Literal["as planned", "not running"] = "as planned" if runs else "not running"
    return Finding(label=f"{service} on {host.name}", type="service", state=state)


def compared(label: str, kind: str, lines: Sequence[str]) -> Finding:
    """Say that a thing differs by these lines, if there are any."""
    state: Literal["different", "as planned"] = "different" if lines else "as planned"
    return Finding(label=label, type=kind, state=state, differences=tuple(lines))
