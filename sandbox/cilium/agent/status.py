"""What `cilium-dbg status` shows: the fields of the real one's StatusResponse that have a meaning here.

Source: api/v1/models and pkg/client/client.go of cilium/cilium.
"""

import argparse
import json
import socket
import sys
from pathlib import Path
from typing import Any

SOCKET = Path("/var/run/cilium/cilium.sock")
TIMEOUT_S = 10.0

Status = dict[str, Any]


def main() -> None:
    """Run `cilium-dbg`."""
    parser = argparse.ArgumentParser("cilium-dbg", description="a stand-in for cilium-dbg: status, version")
    commands = parser.add_subparsers(dest="command", required=True)
    status = commands.add_parser("status", help="the agent's status")
    status.add_argument("-o", "--output", choices=("json",))
    status.add_argument("--brief", action="store_true")
    status.add_argument("--verbose", action="store_true")
    status.add_argument("--all-clusters", action="store_true")
    commands.add_parser("version", help="what this is")
    arguments = parser.parse_args()
    if arguments.command == "version":
        sys.stdout.write("Client: 1.20.5, a stand-in for Cilium made by Roachmesh's sandbox\n")
        return
    found = _ask()
    is_well = found["cilium"]["state"] == "Ok"
    if arguments.output == "json":
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
    elif arguments.brief:
        sys.stdout.write(("OK" if is_well else f"error: {found['cilium']['msg']}") + "\n")
    else:
        sys.stdout.write(_text(found))
    sys.exit(0 if is_well else 1)


def _ask() -> Status:
    try:
        with socket.socket(socket.AF_UNIX) as agent:
            agent.settimeout(TIMEOUT_S)
            agent.connect(str(SOCKET))
            status: Status = json.load(agent.makefile())
            return status
    except (OSError, ValueError) as error:
        sys.exit(f"Cannot get the agent's status: {error}\nIs the agent running?")


def _text(status: Status) -> str:
    masquerading, mesh = status["masquerading"], status["cluster-mesh"]
    clusters = mesh["clusters"]
    ready = sum(cluster["ready"] for cluster in clusters)
    lines = {
        "KubeProxyReplacement": status["kube-proxy-replacement"]["mode"],
        "Cilium": f"{status['cilium']['state']}   {status['cilium']['msg']}",
        "IPAM": status["ipam"]["status"],
        "ClusterMesh": f"{ready}/{len(clusters)} remote clusters ready, 0 global-services",
        "Routing": "Network: Native   Host: Legacy",
        "Masquerading": f"{masquerading['mode']}   {masquerading.get('snat-exclusion-cidr-v4', '')}"
        if masquerading["enabled"]
        else "Disabled",
    }
    text = "".join(f"{name + ':':25}{value}\n" for name, value in lines.items())
    for cluster in clusters:
        state = "ready" if cluster["ready"] else "not-ready"
        text += (
            f"   {cluster['name']}: {state}, {cluster['num-nodes']} nodes, {cluster['num-failures']} failures"
        )
        text += f" (last: {cluster['last-failure']})\n   └  {cluster['status']}\n"
    return text
