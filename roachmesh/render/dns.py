"""One name for a pod in every region: clusters ask each other's DNS, plain machines ask that of the clusters.

Pods' names end in their region's own namespace, so a name tells whom to ask.
Source: plugins `forward` and `cache` of CoreDNS's manual; "CoreDNS custom configuration imports", k3s
documentation; dnsmasq(8); resolved.conf(5).
"""

from collections.abc import Sequence
from typing import Any

from roachmesh import names
from roachmesh.plan import Plan, RegionPlan
from roachmesh.render.k3s import CLUSTER_DOMAIN
from roachmesh.security_rules import DNS_PORT

NAMESPACE = "kube-system"
COREDNS = "coredns"
COREDNS_LABELS = {"k8s-app": "kube-dns"}
CUSTOM = "coredns-custom"
SERVICE = "mesh-dns"
REPLICAS = 2
# CoreDNS forwards to 15 addresses at most; any node of a region answers for all its pods.
MAX_FORWARDS = 15

AZURE_DNS = "168.63.129.16"
DNSMASQ_ADDRESS = "127.0.0.2"
DNSMASQ_DIRECTORY = "/etc/dnsmasq.d"
DNSMASQ = f"{DNSMASQ_DIRECTORY}/roachmesh.conf"
RESOLVED_DIRECTORY = "/etc/systemd/resolved.conf.d"
RESOLVED = f"{RESOLVED_DIRECTORY}/roachmesh.conf"

RESOLVED_DROP_IN = f"""\
[Resolve]
DNS={DNSMASQ_ADDRESS}
Domains=~svc.{CLUSTER_DOMAIN}
"""


def objects(plan: Plan, region: RegionPlan) -> list[dict[str, Any]]:
    """Describe what a cluster's DNS needs to answer other regions, and to ask them.

    k3s's own Deployment of CoreDNS leaves the number of replicas to others, so ours stays.
    Source: issue 1606 of k3s-io/k3s.
    """
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": CUSTOM, "namespace": NAMESPACE},
            "data": {"peers.server": forwards(plan.peers_of(region))},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": SERVICE, "namespace": NAMESPACE},
            "spec": {
                "type": "NodePort",
                "selector": COREDNS_LABELS,
                "ports": [
                    {
                        "name": f"dns-{protocol.lower()}",
                        "protocol": protocol,
                        "port": 53,
                        "targetPort": 53,
                        "nodePort": DNS_PORT,
                    }
                    for protocol in ("UDP", "TCP")
                ],
            },
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": COREDNS, "namespace": NAMESPACE},
            "spec": {"replicas": min(REPLICAS, len(region.nodes))},
        },
    ]


def restarted_for(coredns: dict[str, Any], version: str) -> dict[str, Any]:
    """Have the pods of CoreDNS be of a version of what they read.

    A ConfigMap that is changed, or was gone, reaches running pods after a minute or two only.
    """
    template = {"metadata": {"annotations": {f"roachmesh/{CUSTOM}": version}}}
    return {**coredns, "spec": {**coredns["spec"], "template": template}}


def forwards(peers: Sequence[RegionPlan]) -> str:
    """Render CoreDNS's part that asks other clusters; a name that is not there yet is forgotten in 2 s."""
    return "".join(
        f"""\
{_domain(peer)}:53 {{
    errors
    cache {{
        success 1000 5
        denial 100 2
    }}
    forward . {" ".join(f"{node.address}:{DNS_PORT}" for node in peer.nodes[:MAX_FORWARDS])} {{
        force_tcp
        health_check 2s
    }}
}}
"""
        for peer in peers
    )


def dnsmasq(plan: Plan) -> str:
    """Render dnsmasq's configuration for a plain machine: all nodes of a cluster are asked at once."""
    lines = [
        "no-resolv",
        "no-hosts",
        "no-negcache",
        "all-servers",
        f"listen-address={DNSMASQ_ADDRESS}",
        "bind-interfaces",
        f"server={AZURE_DNS}",
    ]
    lines += [
        f"server=/{_domain(cluster)}/{node.address}#{DNS_PORT}"
        for cluster in plan.clusters
        for node in cluster.nodes[:MAX_FORWARDS]
    ]
    return "\n".join(lines) + "\n"


def _domain(region: RegionPlan) -> str:
    return f"{names.namespace(region.name)}.svc.{CLUSTER_DOMAIN}"
