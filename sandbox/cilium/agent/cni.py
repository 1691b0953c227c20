"""Give pods addresses and routes: a configuration of the standard CNI plugins.

kubelet reports its node Ready only once the file is there.
"""

import json
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

FILE = "05-cilium.conflist"
PLUGINS = ("host-local", "loopback", "portmap", "ptp")
DEBIANS_PLUGINS = "/usr/lib/cni"  # of every machine
ADDRESSES = "/var/run/cilium/addresses"  # forgotten when the machine restarts, as its pods are


def configuration(pod_range: IPv4Network, mtu: int) -> dict[str, Any]:
    """Return the configuration of a node with this range of pod addresses."""
    pair = {
        "type": "ptp",
        "ipMasq": False,
        "mtu": mtu,
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": str(pod_range)}]],
            "routes": [{"dst": "0.0.0.0/0"}],
            "dataDir": ADDRESSES,
        },
    }
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "0.4.0", "name": "cilium", "plugins": [pair, ports]}


def install(programs: Path, folder: Path, pod_range: IPv4Network, mtu: int) -> None:
    """Put the plugins where the node looks for them, unless they are there, then write their configuration.

    Any other configuration is put aside, as Cilium does unless `cni.exclusive` is false.
    """
    for name in PLUGINS:
        if not (programs / name).exists():
            (programs / name).symlink_to(f"{DEBIANS_PLUGINS}/{name}")
    draft = folder / f".{FILE}"
    draft.write_text(json.dumps(configuration(pod_range, mtu), indent=2))
    draft.rename(folder / FILE)
    for other in folder.glob("*.conf*"):
        if other.name != FILE and not other.name.endswith(".cilium_bak"):
            other.rename(f"{other}.cilium_bak")


def used_addresses(network: str = "cilium") -> int:
    """Count the addresses that pods of this node have."""
    return sum(path.name.count(".") == 3 for path in Path(ADDRESSES, network).glob("*"))
