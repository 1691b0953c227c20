"""What `python -m sandbox status` tells: is it up, what is in it, what stands in for what."""

from collections import Counter
from typing import Any

from sandbox import client, host, lifecycle
from sandbox.card import STAND_INS, Card
from sandbox.instance import Instance

NETWORK = "providers/Microsoft.Network"


def read(instance: Instance) -> dict[str, Any]:
    """The status as a JSON object."""
    card = lifecycle.living(instance)
    return {
        "instance": instance.name,
        "up": card is not None,
        "started_at": card.started_at if card else None,
        "arm_endpoint": card.arm_endpoint if card else None,
        "resources": _resources(card) if card else {},
        "machines": _machines(card) if card else [],
        "faults": client.faults(card) if card else [],
        "stand_ins": [{"what": what, "stands_in_for": real} for what, real in STAND_INS],
        "missing": host.missing(),
    }


def as_text(status: dict[str, Any]) -> str:
    """The same for people."""
    lines = [f"sandbox {status['instance']} is {'up' if status['up'] else 'down'}"]
    if status["up"]:
        lines[0] += f" since {status['started_at']}, ARM at {status['arm_endpoint']}"
    lines += [f"missing on this computer: {sentence}" for sentence in status["missing"]]
    if status["resources"]:
        lines += ["", "resources", *(f"  {count:4}  {name}" for name, count in status["resources"].items())]
    if status["machines"]:
        head = ("machine", "region", "provisioning", "power", "private", "public")
        rows = [head, *(tuple(machine[key] for key in _COLUMNS) for machine in status["machines"])]
        lines += ["", *_table(rows)]
    if status["faults"]:
        lines += ["", "goes wrong on purpose", *fault_lines(status["faults"])]
    pairs = [(one["what"], one["stands_in_for"]) for one in status["stand_ins"]]
    return "\n".join([*lines, "", *_table([("here", "stands in for"), *pairs])])


_COLUMNS = ("name", "location", "provisioning", "power", "private_address", "public_address")


def fault_lines(faults: list[dict[str, Any]]) -> list[str]:
    """A line per fault: its number, its kind, its settings."""
    return [
        f"  {fault['number']}  {fault['kind']}"
        + "".join(f"  {name}={value}" for name, value in fault.items() if name not in ("number", "kind"))
        for fault in faults
    ]


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def _resources(card: Card) -> dict[str, int]:
    groups = len(client.list_of(card, "resourcegroups"))
    types = Counter(resource["type"] for resource in client.list_of(card, "resources"))
    return {"resource groups": groups, **dict(sorted(types.items()))} if groups else {}


def _machines(card: Card) -> list[dict[str, str]]:
    found = client.list_of(card, "providers/Microsoft.Compute/virtualMachines?$expand=instanceView")
    interfaces = {one["id"].lower(): one for one in client.list_of(card, f"{NETWORK}/networkInterfaces")}
    publics = {one["id"].lower(): one for one in client.list_of(card, f"{NETWORK}/publicIPAddresses")}
    return [_machine(machine, interfaces, publics) for machine in found]


def _machine(
    machine: dict[str, Any], interfaces: dict[str, dict[str, Any]], publics: dict[str, dict[str, Any]]
) -> dict[str, str]:
    properties = machine["properties"]
    interface_id = properties["networkProfile"]["networkInterfaces"][0]["id"]
    address = interfaces[interface_id.lower()]["properties"]["ipConfigurations"][0]["properties"]
    public_id = (address.get("publicIPAddress") or {}).get("id", "")
    public = publics.get(public_id.lower(), {"properties": {"ipAddress": "-"}})
    power = properties["instanceView"]["statuses"][-1]["code"].removeprefix("PowerState/")
    return {
        "name": machine["name"],
        "location": machine["location"],
        "provisioning": properties["provisioningState"],
        "power": power,
        "private_address": address["privateIPAddress"],
        "public_address": public["properties"]["ipAddress"],
    }
