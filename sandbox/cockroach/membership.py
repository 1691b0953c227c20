"""Who is in the cluster: what a node knows of itself, and what the first node knows of all."""

import json
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

LIVE_FOR_S = 6.0  # a real node's liveness record expires after about as long
COLUMNS = (
    "id",
    "address",
    "sql_address",
    "build",
    "started_at",
    "updated_at",
    "locality",
    "attrs",
    "is_available",
    "is_live",
)


@dataclass
class Identity:
    """What a store remembers: its cluster, its node, and where the first node is."""

    cluster_id: str
    node_id: int
    first_address: str

    @property
    def is_first(self) -> bool:
        """Whether this is the node that received `init`."""
        return self.node_id == 1


@dataclass
class Descriptor:
    """What a node tells of itself when it joins."""

    address: str
    sql_address: str
    build: str
    started_at: str
    locality: str
    attrs: str

    @property
    def region(self) -> str:
        """The region tier of its locality, or nothing."""
        return _tiers(self.locality).get("region", "")


def _tiers(locality: str) -> dict[str, str]:
    return dict(tier.split("=", 1) for tier in locality.split(",") if tier)


def now() -> str:
    """Return the time as `node status` prints it."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f +0000 UTC")


def read_identity(store: Path) -> Identity | None:
    """Return what the store remembers, or None in one that never was in a cluster."""
    path = store / "identity.json"
    return Identity(**json.loads(path.read_text())) if path.exists() else None


def write_identity(store: Path, identity: Identity) -> None:
    """Remember, so that a restart needs no join."""
    _write(store / "identity.json", asdict(identity))


def _write(path: Path, content: dict[str, Any]) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(content, indent=1))
    partial.replace(path)


class Members:
    """The nodes of the cluster, kept by the first one; ids are never used again."""

    def __init__(self, store: Path) -> None:
        self._path = store / "nodes.json"
        self._nodes: dict[int, dict[str, str]] = {}
        self._seen: dict[int, float] = {}
        if self._path.exists():
            self._nodes = {int(number): node for number, node in json.loads(self._path.read_text()).items()}

    def join(self, node_id: int, descriptor: Descriptor) -> int:
        """Take a node in, or back, and return its id."""
        node_id = node_id or max(self._nodes, default=0) + 1
        self._nodes[node_id] = {**asdict(descriptor), "updated_at": now()}
        self._seen[node_id] = time.monotonic()
        _write(self._path, {str(number): node for number, node in self._nodes.items()})
        return node_id

    def saw(self, node_id: int) -> None:
        """Note a heartbeat."""
        self._nodes[node_id]["updated_at"] = now()
        self._seen[node_id] = time.monotonic()

    def rows(self) -> list[dict[str, str]]:
        """Return the rows of `node status`, every value as text."""
        self.saw(1)  # who answers is alive
        return [self._row(node_id) for node_id in sorted(self._nodes)]

    def regions(self) -> dict[str, list[str]]:
        """Return the regions that nodes are in, each with its zones."""
        zones: dict[str, set[str]] = {}
        for node in self._nodes.values():
            tiers = _tiers(node["locality"])
            if "region" in tiers:
                zones.setdefault(tiers["region"], set()).update([tiers["zone"]] if "zone" in tiers else [])
        return {region: sorted(found) for region, found in sorted(zones.items())}

    def _row(self, node_id: int) -> dict[str, str]:
        live = time.monotonic() - self._seen.get(node_id, float("-inf")) < LIVE_FOR_S
        alive = {"id": str(node_id), "is_available": str(live).lower(), "is_live": str(live).lower()}
        values = self._nodes[node_id] | alive
        return {column: values[column] for column in COLUMNS}
