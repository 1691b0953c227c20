"""Rendered text against golden files; `ROACHMESH_UPDATE_GOLDEN=1 ./run test tests/unit` writes them anew."""

import json
import os
from ipaddress import IPv4Network
from pathlib import Path

import pytest
import yaml

from roachmesh import topology
from roachmesh.plan import make_plan
from roachmesh.render import azure, chrony, cloud_init, markdown, systemd
from roachmesh.ssh_keys import SshKeyPair
from roachmesh.topology import Time

GOLDEN = Path(__file__).parent / "golden"
PLAN = make_plan(topology.DEFAULT)
REGION = PLAN.regions[0]
NODE = REGION.nodes[0]
OPERATORS = [IPv4Network("203.0.113.7/32")]

RENDERED = {
    "security_group.json": azure.security_group(PLAN, REGION, OPERATORS),
    "virtual_network.json": azure.virtual_network(PLAN, REGION, "/nsg", "/rt"),
    "interface.json": azure.interface(PLAN, REGION, NODE, "/vnet/subnets/nodes", "/pip"),
    "virtual_machine.json": azure.virtual_machine(
        PLAN, REGION, NODE, interface_id="/nic", data_disk_id="/disk", availability_set_id=None
    ),
    "resource_group.json": azure.resource_group(PLAN, OPERATORS),
    "cockroach.service": systemd.cockroach_service(PLAN, NODE),
    "store.mount": systemd.store_mount("/dev/disk/azure/data/by-lun/0"),
    "chrony_ptp.conf": chrony.config(Time(), has_ptp_device=True),
    "chrony_ntp.conf": chrony.config(Time(), has_ptp_device=False),
    "plan.md": markdown.plan(PLAN),
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
    rules = azure.security_group(PLAN, REGION, OPERATORS)["properties"]["securityRules"]

    assert rules[-1]["properties"]["priority"] == 4096
    assert rules[-1]["properties"]["access"] == "Deny"
    assert "*" not in {rule["properties"].get("sourceAddressPrefix") for rule in rules[:-1]}


def test_two_operators_are_written_as_a_list() -> None:
    two = [*OPERATORS, IPv4Network("198.51.100.0/24")]

    rule = azure.security_group(PLAN, REGION, two)["properties"]["securityRules"][0]["properties"]

    assert rule["sourceAddressPrefixes"] == ["203.0.113.7/32", "198.51.100.0/24"]
    assert "sourceAddressPrefix" not in rule
