"""systemd units of a database node on a plain machine."""

from roachmesh import names
from roachmesh.plan import Node, Plan
from roachmesh.render import cockroachdb, k3s

UNIT_DIR = "/etc/systemd/system"
STORE_DIR = "/var/lib/cockroach"
CERTIFICATES_DIR = "/etc/cockroach/certs"
BINARY = "/usr/local/bin/cockroach"
SERVICE = "cockroach.service"
ANSWERER = "roachmesh-answerer.service"  # stands in for the database during the network test


def store_dir(node: Node) -> str:
    """Say where a node's data disk is mounted; in a cluster it holds the volumes of pods."""
    return STORE_DIR if node.role == "vm" else k3s.STORAGE_DIR


def mount_unit(directory: str) -> str:
    """Name the unit that mounts something there; systemd insists on this name."""
    return f"{directory.strip('/').replace('/', '-')}.mount"


def store_mount(device: str, directory: str) -> str:
    """Render the unit that mounts the data disk where the store lives.

    Args:
        device: Stable path of the disk, by its LUN.
        directory: Where to.
    """
    return f"""\
[Unit]
Description=CockroachDB's store

[Mount]
What={device}
Where={directory}
Type=ext4
Options=noatime

[Install]
WantedBy=multi-user.target
"""


def cockroach_service(plan: Plan, node: Node) -> str:
    """Render the unit that runs a node.

    Recovery of a store may take long, so the start has no time limit; a stop drains first.
    Source: "Deploy CockroachDB on Microsoft Azure" and "Node Shutdown", CockroachDB documentation.
    """
    words = cockroachdb.start(
        plan,
        binary=BINARY,
        certificates=CERTIFICATES_DIR,
        store=f"{STORE_DIR}/data",
        host=str(node.address),
        locality=node.locality,
    )
    command = " \\\n  ".join(words)
    return f"""\
[Unit]
Description=CockroachDB node {node.name}
Wants=network-online.target
After=network-online.target chrony.service
RequiresMountsFor={STORE_DIR}

[Service]
Type=notify
User={names.DATABASE_USER}
ExecStart={command}
ExecReload=/bin/kill -HUP $MAINPID
TimeoutStartSec=infinity
TimeoutStopSec=300
Restart=always
RestartSec=10
LimitNOFILE=35000

[Install]
WantedBy=multi-user.target
"""
