"""kubeconfig files: what k3s writes, read; what people use, written and merged."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Any

import yaml

from roachmesh.security_rules import KUBERNETES_PORT

LISTS = ("clusters", "users", "contexts")


@dataclass(frozen=True)
class Access:
    """What opens a cluster's API, all PEM: who it is, and who we are; the key shows in no log."""

    ca: str
    certificate: str
    key: str = field(repr=False)


@dataclass(frozen=True)
class Context:
    """A cluster as `kubectl --context` knows it, by one of its servers."""

    name: str
    address: IPv4Address
    access: Access


def read_access(text: str) -> Access:
    """Read a kubeconfig that k3s wrote for its own machine.

    Raises:
        ValueError: it is none.
    """
    try:
        document = yaml.safe_load(text)
        cluster, user = document["clusters"][0]["cluster"], document["users"][0]["user"]
        texts = (
            cluster["certificate-authority-data"],
            user["client-certificate-data"],
            user["client-key-data"],
        )
        return Access(*(base64.b64decode(one, validate=True).decode() for one in texts))
    except (yaml.YAMLError, binascii.Error, LookupError, TypeError) as exc:
        raise ValueError(f"it is no kubeconfig as k3s writes it ({type(exc).__name__})") from exc


def api_url(address: IPv4Address) -> str:
    """Give the address of a server's API."""
    return f"https://{address}:{KUBERNETES_PORT}"


def document(contexts: Sequence[Context]) -> dict[str, Any]:
    """Write a kubeconfig with these clusters, the first one current."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": one.name,
                "cluster": {
                    "server": api_url(one.address),
                    "certificate-authority-data": _encoded(one.access.ca),
                },
            }
            for one in contexts
        ],
        "users": [
            {
                "name": one.name,
                "user": {
                    "client-certificate-data": _encoded(one.access.certificate),
                    "client-key-data": _encoded(one.access.key),
                },
            }
            for one in contexts
        ],
        "contexts": [
            {"name": one.name, "context": {"cluster": one.name, "user": one.name}} for one in contexts
        ],
        "current-context": contexts[0].name,
    }


def merge(existing: dict[str, Any], ours: dict[str, Any]) -> dict[str, Any]:
    """Put our clusters into somebody's kubeconfig: his other entries and his current context stay."""
    merged = {"apiVersion": "v1", "kind": "Config", **existing}
    for key in LISTS:
        new = {one["name"]: one for one in ours[key]}
        kept = [one for one in existing.get(key) or [] if one["name"] not in new]
        merged[key] = [*kept, *new.values()]
    return merged


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
