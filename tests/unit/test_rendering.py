"""Rendered text against golden files; `ROACHMESH_UPDATE_GOLDEN=1 ./run test tests/unit` writes them anew."""

import json
import os
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest
import yaml

from roachmesh import cost, prices, topology
from roachmesh.certificates import KeyPair
from roachmesh.inventory import Inventory, PodRoute
from roachmesh.plan import make_plan
from roachmesh.render import application, chrony, cilium, cloud_init, dns, k3s, network_test, plan, systemd
from roachmesh.ssh_keys import SshKeyPair
from roachmesh.topology import Time

GOLDEN = Path(__file__).parent / "golden"
PLAN = make_plan(topology.DEFAULT)
CLUSTER, _, REGION = PLAN.regions
NODE = REGION.nodes[0]
OPERATORS = (IPv4Network("203.0.113.7/32"),)
FINGERPRINT = "SHA256:JlVDXHJ8DOjY8d/JK+fhPJr8yD+P/76DF8rSkSFr0Zk"
assert CLUSTER.cluster is not None
SERVER_ADDRESSES = [*(node.address for node in CLUSTER.servers), IPv4Address("203.0.113.20")]
POD_ROUTES = tuple(
    PodRoute(node=node.name, pods=IPv4Network(f"10.10.{node.number}.0/24"), address=node.address)
    for node in CLUSTER.nodes
)
PLANNED = Inventory(
    plan=PLAN,
    subscription_id="11111111-2222-3333-4444-555555555555",
    operators=OPERATORS,
    ssh_key_fingerprint=FINGERPRINT,
    pod_routes=POD_ROUTES,
)

MOVR = make_plan(topology.parse({"application": {"kind": "movr", "rate": 50, "concurrency": 4}}))
IMAGE = make_plan(
    topology.parse(
        {
            "pooler": "none",
            "application": {
                "kind": "image",
                "image": "docker.io/sosedoff/pgweb",
                "tag": "0.16.2",
                "port": 8081,
                "environment": [{"name": "LOG_LEVEL", "value": "info"}],
                "replicas": 2,
            },
        }
    )
)

RENDERED = {
    "security_group.json": PLANNED.security_group(REGION).body,
    "security_group_k3s.json": PLANNED.security_group(CLUSTER).body,
    "route_table.json": PLANNED.route_table(REGION).body,
    "interface_k3s.json": PLANNED.interface(CLUSTER, CLUSTER.nodes[0]).body,
    "virtual_network.json": PLANNED.virtual_network(REGION).body,
    "interface.json": PLANNED.interface(REGION, NODE).body,
    "virtual_machine.json": PLANNED.virtual_machine(REGION, NODE).body,
    "resource_group.json": PLANNED.resource_group().body,
    "peering.json": PLANNED.peering(*PLAN.peerings[0]).body,
    "cockroach.service": systemd.cockroach_service(PLAN, NODE),
    "store.mount": systemd.store_mount("/dev/disk/azure/data/by-lun/0", systemd.STORE_DIR),
    "network_test_answering.json": network_test.answering(CLUSTER, "ab12cd34", "the program")[:3],
    "network_test_probing.json": network_test.probing(CLUSTER.nodes[0], "ab12cd34", "the program", "{}"),
    "k3s_server.yaml": k3s.server_config(CLUSTER.servers[0], CLUSTER.cluster, SERVER_ADDRESSES),
    "k3s_agent.yaml": k3s.agent_config(CLUSTER.nodes[2], CLUSTER),
    "k3s.service": k3s.unit(CLUSTER.nodes[0]),
    "k3s_registries.yaml": k3s.registries("https://mirror.example", "mirror.example", has_ca=True),
    "k3s_storage.mount": systemd.store_mount("/dev/disk/azure/data/by-lun/0", k3s.STORAGE_DIR),
    "cilium.json": cilium.objects(PLAN, CLUSTER, KeyPair("ca", "key"), "https://helm.example", "PEM"),
    "cilium_values.yaml": cilium.objects(PLAN, CLUSTER, KeyPair("ca", "key"), "", None)[1]["spec"][
        "valuesContent"
    ],
    "cluster_dns.json": dns.objects(PLAN, CLUSTER),
    "coredns_peers.server": dns.objects(PLAN, CLUSTER)[0]["data"]["peers.server"],
    "dnsmasq.conf": dns.dnsmasq(PLAN),
    "chrony_ptp.conf": chrony.config(Time(), has_ptp_device=True),
    "chrony_ntp.conf": chrony.config(Time(), has_ptp_device=False),
    "application.service": application.service(),
    "application": application.script(MOVR),
    "application_movr.json": application.objects(MOVR, CLUSTER, "password", "PEM"),
    "application_image.json": application.objects(IMAGE, CLUSTER, "password", "PEM"),
    "plan.md": plan.markdown(PLANNED, cost.estimate(PLAN, prices.shipped())),
}


@pytest.mark.parametrize("name", RENDERED)
def test_what_is_rendered_is_what_was_reviewed(name: str) -> None:
    rendered = RENDERED[name]
    text = rendered if isinstance(rendered, str) else json.dumps(rendered, indent=2) + "\n"
    path = GOLDEN / name
    if os.environ.get("ROACHMESH_UPDATE_GOLDEN"):
        path.write_text(text)

    assert text == path.read_text()


def test_the_host_key_stands_in_the_custom_data_and_nowhere_else() -> None:
    pair = SshKeyPair(public="ssh-ed25519 AAAA", private="-----BEGIN\nsecret\n-----END\n")

    document = yaml.safe_load(cloud_init.custom_data(pair))

    assert document["ssh_keys"] == {
        "ed25519_private": "-----BEGIN\nsecret\n-----END\n",
        "ed25519_public": "ssh-ed25519 AAAA\n",
    }


def test_the_rules_end_with_a_denial_of_everything() -> None:
    rules = PLANNED.security_group(REGION).body["properties"]["securityRules"]

    assert rules[-1]["properties"]["priority"] == 4096
    assert rules[-1]["properties"]["access"] == "Deny"
    assert "*" not in {rule["properties"].get("sourceAddressPrefix") for rule in rules[:-1]}


def test_two_operators_are_written_as_a_list() -> None:
    two = (*OPERATORS, IPv4Network("198.51.100.0/24"))
    planned = PLANNED.model_copy(update={"operators": two})

    rule = planned.security_group(REGION).body["properties"]["securityRules"][0]["properties"]

    assert rule["sourceAddressPrefixes"] == ["203.0.113.7/32", "198.51.100.0/24"]
    assert "sourceAddressPrefix" not in rule
