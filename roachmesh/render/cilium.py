"""Cilium by its chart: values with types, since the chart itself takes a misspelt key in silence.

Source: install/kubernetes/cilium/values.yaml of cilium/cilium, 1.20.
"""

import base64
from ipaddress import IPv4Address, IPv4Network
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from roachmesh.certificates import KeyPair
from roachmesh.plan import Plan, RegionPlan
from roachmesh.render import kubernetes
from roachmesh.security_rules import MESH_PORT

NAMESPACE = "kube-system"
CHART = "cilium"
CA_SECRET, CA_VALUES = "cilium-ca-values", "ca.yaml"
OPERATORS = 2
# On every k3s node, servers and agents, a balancer over all servers' APIs. Source: k3s's Architecture page.
API_HOST, API_PORT = "127.0.0.1", 6444


class Values(BaseModel):
    """A part of the chart's values, spelt as the chart does; a key that is not written here is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


class ClusterValues(Values):
    """Which cluster of the mesh this is."""

    name: str
    id: int


class IpamValues(Values):
    """Who gives pods their addresses: Kubernetes, a range for each node."""

    mode: Literal["kubernetes"] = "kubernetes"


class KubernetesValues(Values):
    """Agents wait until their node has a range."""

    require_ipv4_pod_cidr: Literal[True] = Field(default=True, alias="requireIPv4PodCIDR")


class BpfValues(Values):
    """Masquerading without iptables."""

    masquerade: Literal[True] = True


class MasqueradeRanges(Values):
    """Whereto pods keep their own address."""

    non_masquerade_cidrs: tuple[IPv4Network, ...] = Field(alias="nonMasqueradeCIDRs")
    masq_link_local: Literal[True] = True


class MasqueradeValues(Values):
    """Everything else sees the node's address, Azure's own services among it."""

    enabled: Literal[True] = True
    config: MasqueradeRanges


class OperatorValues(Values):
    """How many operators there are, each on a node of its own."""

    replicas: int


class MeshService(Values):
    """Where other clusters find this one's mesh."""

    type: Literal["NodePort"] = "NodePort"
    node_port: int = MESH_PORT


class AutomaticCertificates(Values):
    """The chart issues certificates, from the authority that all clusters share."""

    enabled: Literal[True] = True
    method: Literal["helm"] = "helm"


class MeshTls(Values):
    """The mesh's certificates."""

    auto: AutomaticCertificates = AutomaticCertificates()


class MeshServer(Values):
    """What answers other clusters."""

    service: MeshService = MeshService()
    tls: MeshTls = MeshTls()


class Peer(Values):
    """Another cluster: any of its nodes answers."""

    name: str
    port: int = MESH_PORT
    ips: tuple[IPv4Address, ...]


class MeshConfig(Values):
    """Which other clusters there are."""

    enabled: Literal[True] = True
    domain: Literal["mesh.cilium.io"] = "mesh.cilium.io"
    clusters: tuple[Peer, ...]


class MeshValues(Values):
    """ClusterMesh, declared: nobody connects clusters by hand."""

    use_api_server: Literal[True] = Field(default=True, alias="useAPIServer")
    apiserver: MeshServer = MeshServer()
    config: MeshConfig


class CiliumValues(Values):
    """The chart's values for one cluster; pods are plain addresses, which Azure's routes lead to."""

    cluster: ClusterValues
    routing_mode: Literal["native"] = "native"
    auto_direct_node_routes: Literal[False] = False  # Azure has no layer 2 to put them on
    ipam: IpamValues = IpamValues()
    k8s: KubernetesValues = Field(default=KubernetesValues(), alias="k8s")
    kube_proxy_replacement: Literal[True] = True
    k8s_service_host: str = Field(default=API_HOST, alias="k8sServiceHost")
    k8s_service_port: int = Field(default=API_PORT, alias="k8sServicePort")
    enable_ipv4_masquerade: Literal[True] = Field(default=True, alias="enableIPv4Masquerade")
    bpf: BpfValues = BpfValues()
    ip_masq_agent: MasqueradeValues
    operator: OperatorValues
    clustermesh: MeshValues | None


def values(plan: Plan, region: RegionPlan) -> CiliumValues:
    """Derive the chart's values for a region's cluster; ClusterMesh is absent where it is the only one."""
    if region.cluster is None:
        raise TypeError(f"{region.name} has no cluster")
    inside = [range_ for one in plan.regions for range_ in (one.vnet, *one.ranges[1:])]
    peers = tuple(
        Peer(name=peer.name, ips=tuple(node.address for node in peer.nodes)) for peer in plan.peers_of(region)
    )
    return CiliumValues(
        cluster=ClusterValues(name=region.name, id=region.cluster.id),
        ip_masq_agent=MasqueradeValues(config=MasqueradeRanges(non_masquerade_cidrs=tuple(inside))),
        operator=OperatorValues(replicas=min(OPERATORS, len(region.nodes))),
        clustermesh=MeshValues(config=MeshConfig(clusters=peers)) if peers else None,
    )


def objects(
    plan: Plan, region: RegionPlan, authority: KeyPair, repository: str, ca_pem: str | None
) -> list[dict[str, Any]]:
    """Describe what k3s's Helm controller needs to install Cilium: the authority's key, then the chart.

    A chart that fails stays as it is: the controller's default would uninstall it, and the network with it.

    Args:
        plan: The whole plan.
        region: One of its regions on k3s.
        authority: That of all clusters' networks.
        repository: URL of the Helm repository.
        ca_pem: Certificates to trust for it instead of the public ones.

    Source: "Using Helm", k3s documentation; pkg/controllers/chart/chart.go of k3s-io/helm-controller.
    """
    ca = {"cert": _encoded(authority.certificate), "key": _encoded(authority.key)}
    secret = kubernetes.secret(
        {"name": CA_SECRET, "namespace": NAMESPACE}, {CA_VALUES: yaml.safe_dump({"tls": {"ca": ca}})}
    )
    said = values(plan, region).model_dump(mode="json", by_alias=True, exclude_none=True)
    chart = {
        "apiVersion": "helm.cattle.io/v1",
        "kind": "HelmChart",
        "metadata": {"name": CHART, "namespace": NAMESPACE},
        "spec": {
            "bootstrap": True,
            "failurePolicy": "abort",
            "repo": repository,
            **({"repoCA": ca_pem} if ca_pem else {}),
            "chart": CHART,
            "version": plan.cilium.version,
            "targetNamespace": NAMESPACE,
            "valuesContent": yaml.safe_dump(said, sort_keys=False),
            "valuesSecrets": [{"name": CA_SECRET, "keys": [CA_VALUES], "ignoreUpdates": False}],
        },
    }
    return [secret, chart]


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
