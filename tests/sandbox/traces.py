"""What an instance leaves on this computer: everything that `down` must take away again."""

import json
import subprocess
from pathlib import Path
from typing import Any

from sandbox import processes
from sandbox.fabric import names
from sandbox.instance import Instance


def traces(instance: Instance) -> dict[str, list[str]]:
    """What stands now, by kind; an empty list everywhere means that nothing is left."""
    mark, folder = instance.mark, str(instance.directory)
    mounts = Path("/proc/mounts").read_text().splitlines()
    return {
        "namespaces": sorted(names.all_of(instance)),
        "links": [link["ifname"] for link in asked("ip", "link") if link["ifname"].startswith(f"{mark}-")],
        "routes": [
            route["dst"] for route in asked("ip", "route") if route["dst"] == str(instance.public_network)
        ],
        "tables": [name for name in tables() if name.startswith(instance.mark + "-")],
        "mounts": [line for line in mounts if folder in line or f"{mark}-" in line],
        "loop devices": [
            device["name"]
            for device in asked("losetup")["loopdevices"]
            if device["back-file"].startswith(folder)
        ],
        "processes": sorted(processes.roles(instance).values()),
        "groups": [str(path) for path in Path("/sys/fs/cgroup").glob(f"*/{mark}")],
        "nspawn": [str(path) for path in Path("/run/systemd/nspawn").glob(f"*/{mark}-*")],
        "files": sorted(str(path) for path in instance.directory.glob("*")),
    }


def tables() -> list[str]:
    """The names of the nftables tables in the host's own network namespace."""
    listed = subprocess.run(["nft", "-j", "list", "tables"], capture_output=True, check=True).stdout
    return [entry["table"]["name"] for entry in json.loads(listed)["nftables"] if "table" in entry]


def asked(program: str, *question: str) -> Any:
    """What a program answers in JSON."""
    option = "--json" if program == "losetup" else "-json"
    answer = subprocess.run([program, option, *question], capture_output=True, check=True).stdout
    return json.loads(answer or '{"loopdevices": []}')
