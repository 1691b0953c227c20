"""What clusters are told: k3s's files, Cilium's values, names of pods."""

import base64
import pkgutil
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from roachmesh import certificates, topology
from roachmesh.certificates import KeyPair
from roachmesh.plan import Plan, make_plan
from roachmesh.render import cilium, dns, k3s
from roachmesh.render.cilium import CiliumValues, MasqueradeRanges, Peer, values
from sandbox.cilium.chart.render import render
from sandbox.cluster.helm.values import merged

SEED = make_plan(topology.DEFAULT)


def k3s_plan(*regions: dict[str, Any]) -> Plan:
    return make_plan(topology.parse({"regions": [{"platform": "k3s", **region} for region in regions]}))


ALONE = k3s_plan({"name": "eastus", "nodes": 1})


def test_all_servers_are_told_the_same_but_for_their_own_name_and_address() -> None:
    region = SEED.clusters[0]
    own = {"node-name", "node-ip", "node-label"}
    assert region.cluster is not None

    told = []
    for server in region.servers:
        config = yaml.safe_load(k3s.server_config(server, region.cluster, [server.address]))
        assert config["node-ip"] == str(server.address)
        told.append({key: value for key, value in config.items() if key not in {*own, "tls-san"}})

    assert told[0] == told[1] == told[2]


def test_the_token_stands_in_no_configuration() -> None:
    region = SEED.clusters[0]
    assert region.cluster is not None

    assert "token: " not in k3s.server_config(region.servers[0], region.cluster, [])
    assert "token" not in k3s.unit(region.servers[0])


def test_only_one_line_says_whether_a_server_begins_or_joins() -> None:
    assert yaml.safe_load(k3s.join_config(None)) == {"cluster-init": True}
    assert yaml.safe_load(k3s.join_config(SEED.nodes[1])) == {"server": "https://10.1.1.5:6443"}


@pytest.mark.parametrize(
    "misspelt",
    [
        lambda: CiliumValues.model_validate(
            {**values(SEED, SEED.clusters[0]).model_dump(by_alias=True), "kubeProxyReplacment": True}
        ),
        lambda: MasqueradeRanges.model_validate({"nonMasqueradeCidrs": []}),
        lambda: Peer.model_validate({"name": "westus", "ips": [], "ports": 1}),
    ],
)
def test_a_misspelt_value_of_the_chart_is_refused(misspelt: Any) -> None:
    with pytest.raises(ValidationError):
        misspelt()


@pytest.mark.parametrize("plan", [SEED, ALONE], ids=["mesh", "alone"])
def test_the_chart_knows_every_value(plan: Plan) -> None:
    """The sandbox's chart refuses keys that Cilium's own has not, and combinations that Cilium refuses."""
    region = plan.clusters[0]
    defaults = yaml.safe_load(pkgutil.get_data("sandbox.cilium.chart", "values.yaml") or b"")
    authority = certificates.make_authority("test", datetime.now(UTC))
    secret, chart = cilium.objects(plan, region, authority, "", None)
    told = yaml.safe_load(chart["spec"]["valuesContent"])
    secrets = yaml.safe_load(base64.b64decode(secret["data"][cilium.CA_VALUES]))

    assert render(merged(merged(defaults, told), secrets), cilium.NAMESPACE)


def test_pods_keep_their_address_towards_all_networks_of_the_topology_and_no_others() -> None:
    masquerading = values(SEED, SEED.clusters[0]).ip_masq_agent.config

    assert [str(one) for one in masquerading.non_masquerade_cidrs] == [
        "10.1.0.0/16",
        "10.10.0.0/16",
        "10.2.0.0/16",
        "10.11.0.0/16",
        "10.3.0.0/16",
    ]


def test_a_cluster_is_told_of_every_other_and_not_of_itself() -> None:
    plan = k3s_plan({"name": "eastus"}, {"name": "westus"}, {"name": "northeurope"})
    mesh = values(plan, plan.clusters[1]).clustermesh

    assert mesh is not None
    assert [peer.name for peer in mesh.config.clusters] == ["eastus", "northeurope"]
    assert [str(ip) for ip in mesh.config.clusters[0].ips] == ["10.1.1.4", "10.1.1.5", "10.1.1.6"]


def test_a_cluster_alone_has_no_mesh_and_on_one_node_one_operator() -> None:
    (_, chart) = cilium.objects(ALONE, ALONE.clusters[0], KeyPair("ca", "key"), "https://charts", None)
    told = yaml.safe_load(chart["spec"]["valuesContent"])

    assert "clustermesh" not in told
    assert told["operator"] == {"replicas": 1}
    assert "repoCA" not in chart["spec"]


def test_the_authoritys_key_stands_in_the_secret_and_not_in_the_chart() -> None:
    secret, chart = cilium.objects(SEED, SEED.clusters[0], KeyPair("ca", "hush"), "https://charts", None)
    (reference,) = chart["spec"]["valuesSecrets"]
    content = yaml.safe_load(base64.b64decode(secret["data"][reference["keys"][0]]))

    assert secret["metadata"]["name"] == reference["name"]
    assert base64.b64decode(content["tls"]["ca"]["key"]) == b"hush"
    assert base64.b64encode(b"hush").decode() not in str(chart)


def test_pods_of_coredns_are_of_a_version_of_what_they_read_and_as_many_as_before() -> None:
    coredns = dns.objects(SEED, SEED.clusters[0])[-1]

    restarted = dns.restarted_for(coredns, "42")

    annotations = restarted["spec"]["template"]["metadata"]["annotations"]
    assert annotations == {"roachmesh/coredns-custom": "42"}
    assert restarted["spec"]["replicas"] == coredns["spec"]["replicas"]


def test_a_large_region_is_asked_for_names_through_as_many_nodes_as_coredns_takes() -> None:
    plan = k3s_plan({"name": "eastus", "nodes": 20}, {"name": "westus"})

    assert dns.forwards([plan.clusters[0]]).count(":30053") == 15
    assert dns.dnsmasq(plan).count("crdb-eastus") == 15
