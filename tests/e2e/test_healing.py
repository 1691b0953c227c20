"""What changes behind our back is named by `verify`, and healed by the next deployment: only that."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from roachmesh import topology
from roachmesh.plan import make_plan
from tests.e2e.conftest import TOPOLOGY, Azure, World, document, fault

pytestmark = [pytest.mark.machines, pytest.mark.timeout(900)]

PLAN = make_plan(topology.load(TOPOLOGY))
GROUP = PLAN.resource_group
CERTIFICATE = "/etc/cockroach/certs/node"
STATE = (
    "systemctl show cockroach chrony -p Id -p ActiveEnterTimestamp; "
    "sudo sh -c 'sha256sum /etc/cockroach/certs/*'"
)
# Issued with the authority that only Prefect's block holds: whoever has that can do what it likes.
ISSUE = """
import sys
from datetime import UTC, datetime, timedelta
from blocks import Certificates
from roachmesh import certificates
authority = Certificates.load(sys.argv[1]).authority()
purpose = certificates.node_purpose(sys.argv[2], sys.argv[3])
issued = certificates.issue(authority, purpose, datetime.now(UTC), timedelta(days=20))
print(issued.certificate, issued.key, sep="----split----")
"""


def test_a_deleted_peering_fails_the_verification_which_names_it_and_the_pairs(
    world: World, azure: Azure
) -> None:
    azure.network.virtual_network_peerings.begin_delete(GROUP, "vnet-eastus", "to-westus").result()

    failed = world.run("verify", {"topology": document(TOPOLOGY)}, state="FAILED")

    said = failed["state"]["message"]
    assert "- eastus -> westus: all 9 pairs, ports 8080 and 26257: no answer in 5 s" in said
    assert "- westus -> eastus: all 9 pairs, ports 8080 and 26257: no answer in 5 s" in said
    assert "northeurope" not in said
    assert "- peering vnet-eastus/to-westus missing" in said
    assert "🟥 26257, 8080" in world.artifact("network-test", failed)

    world.run("deploy", {"topology": document(TOPOLOGY)})


def test_packets_lost_behind_azures_back_are_told_from_what_azure_lacks(world: World) -> None:
    fault("add", "cut", "between=eastus,northeurope")
    try:
        failed = world.run("verify", {"topology": document(TOPOLOGY)}, state="FAILED")
    finally:
        fault("clear")

    said = failed["state"]["message"]
    assert "- eastus -> northeurope: all 9 pairs" in said
    assert "westus" not in said
    assert "match the plan: packets are lost all the same" in said


def test_every_kind_of_drift_is_healed_by_the_next_deployment_and_only_it(world: World, azure: Azure) -> None:
    untouched = "northeurope/2"
    before = world.on_node(untouched, STATE)
    rule = azure.network.security_rules.get(GROUP, "nsg-westus", "database-from-mesh").as_dict()
    rule["properties"]["access"] = "Deny"
    azure.network.security_rules.begin_create_or_update(
        GROUP, "nsg-westus", "database-from-mesh", rule
    ).result()
    azure.network.virtual_network_peerings.begin_delete(GROUP, "vnet-westus", "to-northeurope").result()
    azure.compute.virtual_machines.begin_deallocate(GROUP, "crdb-westus-3").result()
    world.on_node("eastus/2", "sudo systemctl stop cockroach")
    world.on_node("eastus/3", "sudo sh -c 'echo pool nowhere.invalid >> /etc/chrony/chrony.conf'")
    replace_certificate(world, "westus", 1)
    writes = len(world.arm_writes())

    healed = world.run("deploy", {"topology": document(TOPOLOGY)})

    network = f"/resourceGroups/{GROUP}/providers/Microsoft.Network"
    assert sorted(line.partition("/resourceGroups/")[2] for line in world.arm_writes()[writes:]) == sorted(
        f"{path.removeprefix('/resourceGroups/')}"
        for path in (
            f"{network}/networkSecurityGroups/nsg-westus",
            f"{network}/virtualNetworks/vnet-westus/virtualNetworkPeerings/to-northeurope",
            f"{network}/virtualNetworks/vnet-northeurope/virtualNetworkPeerings/to-westus",
            f"{network}/virtualNetworks/vnet-northeurope/virtualNetworkPeerings/to-westus",
            f"/resourceGroups/{GROUP}/providers/Microsoft.Compute/virtualMachines/crdb-westus-3/start",
        )
    )
    table = world.artifact("connection-card", healed).partition("## Changes")[2]
    changed = {
        line.split(" | ")[0].removeprefix("| ") for line in table.splitlines() if line.startswith("| ")
    }
    assert changed - {"what", "---"} == {
        "NSG nsg-westus",
        "peering vnet-westus/to-northeurope",
        "peering vnet-northeurope/to-westus",
        "VM crdb-westus-3",
        "chrony on crdb-eastus-3",
        "CockroachDB v26.2.2 on crdb-westus-1",
        "service cockroach.service on crdb-westus-1",
        "service cockroach.service on crdb-eastus-2",
    }
    assert world.on_node(untouched, STATE) == before
    ends = world.on_node("westus/1", f"sudo openssl x509 -noout -enddate -in {CERTIFICATE}.crt")
    end = datetime.strptime(ends.strip(), "notAfter=%b %d %H:%M:%S %Y GMT").replace(tzinfo=UTC)
    assert end - datetime.now(UTC) > timedelta(days=30)
    world.run("verify", {"topology": document(TOPOLOGY)})


def replace_certificate(world: World, region: str, number: int) -> None:
    """Give a node a certificate that ends in 20 days."""
    node = next(one for one in PLAN.nodes if (one.region, one.number) == (region, number))
    done = subprocess.run(
        [sys.executable, "-c", ISSUE, PLAN.topology, str(node.address), node.name],
        env=world.instance.client_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    certificate, key = done.stdout.split("----split----")
    for end, text in (("crt", certificate), ("key", key)):
        world.on_node(
            f"{region}/{number}", f"echo '{text.strip()}' | sudo tee {CERTIFICATE}.{end} >/dev/null"
        )


def test_what_cannot_be_changed_is_reported_and_nothing_is_touched(world: World) -> None:
    larger = document(TOPOLOGY)
    larger["regions"][0]["size"] = "Standard_D8s_v5"
    before, writes = world.on_node("eastus/1", STATE), len(world.arm_writes())

    failed = world.run("deploy", {"topology": larger}, state="FAILED")

    assert "vmSize: 'Standard_D4s_v5', wanted 'Standard_D8s_v5'" in failed["state"]["message"]
    assert "delete this machine and deploy again" in failed["state"]["message"]
    assert world.arm_writes()[writes:] == []
    assert world.on_node("eastus/1", STATE) == before
