"""What k3s reads on its nodes: configuration, registries, units."""

from collections.abc import Sequence
from ipaddress import IPv4Address
from typing import Any

import yaml

from roachmesh.plan import Cluster, Node, RegionPlan
from roachmesh.security_rules import KUBERNETES_PORT

BINARY = "/usr/local/bin/k3s"
DIRECTORY = "/etc/rancher/k3s"
CONFIG = f"{DIRECTORY}/config.yaml"
JOIN_DIRECTORY = f"{DIRECTORY}/config.yaml.d"
JOIN = f"{JOIN_DIRECTORY}/10-join.yaml"
TOKEN = f"{DIRECTORY}/token"
REGISTRIES = f"{DIRECTORY}/registries.yaml"
MIRROR_CA = f"{DIRECTORY}/mirror-ca.pem"
NETWORKD_DIRECTORY = "/etc/systemd/networkd.conf.d"
NETWORKD = f"{NETWORKD_DIRECTORY}/10-cilium.conf"

ETCD = "/var/lib/rancher/k3s/server/db/etcd/member"  # a server that has it is a member of a cluster
NODE_PASSWORD = "/etc/rancher/node/password"  # noqa: S105 -- a path; a machine that has it once was a node
STORAGE_DIR = "/var/lib/rancher/k3s/storage"  # where volumes of the class local-path are
CLUSTER_DOMAIN = "cluster.local"
NODE_ROLES = {"server": "k3s.service", "agent": "k3s-agent.service"}

# Cilium's own routes and rules stay when networkd starts anew. Source: "System Requirements", Cilium.
NETWORKD_DROP_IN = """\
[Network]
ManageForeignRoutes=no
ManageForeignRoutingPolicyRules=no
"""


def service(node: Node) -> str:
    """Name the unit that runs k3s on a node."""
    return NODE_ROLES[node.role]


def server_config(node: Node, cluster: Cluster, addresses: Sequence[IPv4Address]) -> str:
    """Render a server's config.yaml; but for the node's own name and address, all servers have the same.

    Args:
        node: The server.
        cluster: Its region's.
        addresses: Where clients find the servers, from inside and outside: a certificate must name them.

    Source: "k3s server" and "High Availability Embedded etcd", k3s documentation.
    """
    return _yaml(
        {
            "cluster-cidr": str(cluster.pods),
            "service-cidr": str(cluster.services),
            "cluster-dns": str(cluster.dns),
            "cluster-domain": CLUSTER_DOMAIN,
            "flannel-backend": "none",
            "disable-network-policy": True,
            "disable-kube-proxy": True,
            "disable": ["servicelb", "traefik", "metrics-server"],
            "secrets-encryption": True,
            "write-kubeconfig-mode": "0600",
            "tls-san": sorted(str(address) for address in addresses),
            **_node(node),
        }
    )


def agent_config(node: Node, region: RegionPlan) -> str:
    """Render an agent's config.yaml; the server that it names tells it of all others."""
    return _yaml({"server": server_url(region.servers[0]), **_node(node)})


def join_config(living: Node | None) -> str:
    """Render the line that says whether a server joins one that lives, or starts a cluster."""
    return _yaml({"server": server_url(living)} if living else {"cluster-init": True})


def server_url(server: Node) -> str:
    """Give where other nodes reach a server."""
    return f"https://{server.address}:{KUBERNETES_PORT}"


def registries(url: str, host: str, *, has_ca: bool) -> str:
    """Render registries.yaml, so that the images of every registry come from one mirror.

    Source: "Private Registry Configuration", k3s documentation.
    """
    document: dict[str, Any] = {"mirrors": {"*": {"endpoint": [url]}}}
    if has_ca:
        document["configs"] = {host: {"tls": {"ca_file": MIRROR_CA}}}
    return _yaml(document)


def unit(node: Node) -> str:
    """Render the unit that runs a node; a restart leaves its containers running.

    Source: the unit that k3s's own installation script writes.
    """
    return f"""\
[Unit]
Description=k3s {node.role} {node.name}
Wants=network-online.target
After=network-online.target chrony.service
RequiresMountsFor={STORAGE_DIR}

[Service]
Type=notify
KillMode=process
Delegate=yes
LimitNOFILE=1048576
LimitNPROC=infinity
LimitCORE=infinity
TasksMax=infinity
TimeoutStartSec=0
Restart=always
RestartSec=5
ExecStartPre=-/sbin/modprobe br_netfilter
ExecStartPre=-/sbin/modprobe overlay
ExecStart={BINARY} {node.role}

[Install]
WantedBy=multi-user.target
"""


def _node(node: Node) -> dict[str, Any]:
    region, zone = (tier.partition("=")[2] for tier in node.locality.split(","))
    return {
        "token-file": TOKEN,
        "node-name": node.name,
        "node-ip": str(node.address),
        "node-label": [f"topology.kubernetes.io/region={region}", f"topology.kubernetes.io/zone={zone}"],
    }


def _yaml(document: dict[str, Any]) -> str:
    return yaml.safe_dump(document, sort_keys=False)
