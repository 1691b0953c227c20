"""How one resource of Azure converges: read, compare, write only what differs, wait with a deadline."""

from collections.abc import Callable
from typing import Any, Literal

from azure.core.exceptions import ResourceNotFoundError
from azure.core.polling import LROPoller

from roachmesh import names
from roachmesh.drift import differences
from roachmesh.errors import NotOurs, NotReadyYet
from roachmesh.plan import Plan
from roachmesh.render.azure import Body
from roachmesh.topology import Model
from tasks.azure_errors import azure_errors
from tasks.engine import logger
from tasks.wait import wait_until

WRITE_TIMEOUT_S = 600.0
SETTLED_STATES = ("Succeeded", "Failed", "Canceled", None)  # None: some types have no such state
SETTLE_EVERY_S = 5.0  # Azure allows 12 reads a minute of one machine

# Methods of the SDK's operations groups; `begin_create_or_update` and `create_or_update` both put.
Get = Callable[..., Any]
Put = Callable[..., Any]


class Ensured(Model):
    """A resource that is as the plan says, and what it took."""

    id: str
    change: Literal["created", "updated", "unchanged"]


def ensure(
    get: Get, put: Put, path: tuple[str, ...], body: Body, *, plan: Plan, keep: tuple[str, ...] = ()
) -> Ensured:
    """Make a resource what `body` says.

    Args:
        get: The SDK's method that reads such a resource.
        put: The one that writes it.
        path: What both are told first: resource group and names.
        body: What the resource must say; what it leaves out may be anything.
        plan: Whose tags the resource must carry, if it can carry any.
        keep: Properties that are lists in which items of others, by name, may stay.

    Raises:
        NotOurs: it exists and is not tagged as this topology's.
        AzureRefused, AzureBusy: from Azure.
        NotReadyYet: Azure did not finish the write in time.
    """
    where = path[-1]
    found = read_settled(get, path, WRITE_TIMEOUT_S)
    if found is not None:
        if "tags" in body:
            require_ours(found, plan, where)
        body = _with_kept(body, found, keep)
        drift = differences(body, found)
        if not is_sound(found):
            drift.append("its last write failed")
        if not drift:
            return Ensured(id=found["id"], change="unchanged")
        logger().info("%s differs: %s", where, "; ".join(drift))
    with azure_errors(where):
        written = put(*path, body)
        if isinstance(written, LROPoller):
            written = finish(written, where)
    return Ensured(id=written.as_dict()["id"], change="updated" if found else "created")


def read(get: Get, path: tuple[str, ...], **options: Any) -> Body | None:
    """Read a resource in the wire's words; None when there is none."""
    with azure_errors(path[-1]):
        try:
            found: Body = get(*path, **options).as_dict()
        except ResourceNotFoundError:
            return None
    return found


def read_settled(get: Get, path: tuple[str, ...], timeout_s: float, **options: Any) -> Body | None:
    """Read a resource when no write to it is under way, or none any more: who began it may be dead.

    Raises:
        NotReadyYet: it is still being written, or deleted, after `timeout_s`.
    """

    def settled() -> tuple[Body | None] | None:
        found = read(get, path, **options)
        return (found,) if found is None or _provisioning_state(found) in SETTLED_STATES else None

    what = f"{path[-1]}, which another run still writes"
    (found,) = wait_until(settled, what=what, timeout_s=timeout_s, every_s=SETTLE_EVERY_S)
    return found


def is_sound(found: Body) -> bool:
    """Tell whether the last write of a resource succeeded."""
    return _provisioning_state(found) in ("Succeeded", None)


def _provisioning_state(found: Body) -> str | None:
    state: str | None = found.get("properties", {}).get("provisioningState")
    return state


def finish(poller: LROPoller[Any], what: str, timeout_s: float = WRITE_TIMEOUT_S) -> Any:
    """Wait for a long-running operation; its own error is raised as it is."""
    poller.wait(timeout_s)
    if not poller.done():
        raise NotReadyYet(
            f"{what}: Azure did not finish within {timeout_s:.0f} s (last: {poller.status()}).",
            advice="Run the deployment again: it continues.",
        )
    return poller.result()


def require_ours(found: Body, plan: Plan, where: str) -> None:
    """Refuse to touch what does not carry this topology's tag."""
    owner = (found.get("tags") or {}).get(names.TAG_TOPOLOGY)
    if owner != plan.topology:
        whose = f"belongs to the topology {owner!r}" if owner else "was not made by Roachmesh"
        raise NotOurs(
            f"it exists and {whose}.", where=where, advice="Give the topology another name, or remove it."
        )


def _with_kept(body: Body, found: Body, keep: tuple[str, ...]) -> Body:
    """Add to the lists named by `keep` what others put there, since a PUT replaces the whole list."""
    if not keep:
        return body
    properties = dict(body["properties"])
    for key in keep:
        wanted = properties.get(key, [])
        ours = {item["name"] for item in wanted}
        theirs = [item for item in found.get("properties", {}).get(key, []) if item["name"] not in ours]
        if wanted or theirs:
            properties[key] = wanted + theirs
    return {**body, "properties": properties}
