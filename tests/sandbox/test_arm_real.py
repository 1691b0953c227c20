"""The whole sandbox, driven from outside: the command line, the SDK, SSH, packets."""

import base64
import contextlib
import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paramiko
import pytest
from azure.core.exceptions import HttpResponseError
from azure.identity import ClientSecretCredential
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from sandbox import processes
from sandbox.fabric import names
from sandbox.instance import Instance
from tests.sandbox import arm_fixtures as make
from tests.sandbox.arm_fixtures import SCOPE
from tests.sandbox.traces import traces

pytestmark = pytest.mark.machines

README = Path(__file__).parents[2] / "sandbox" / "README.md"
NETWORKS = {"a": ("eastus", "10.1.0.0/16"), "b": ("westus", "10.2.0.0/16")}


def sandbox(*arguments: str, instance: Instance, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run the command line as a person does."""
    command = [sys.executable, "-m", "sandbox", *arguments, "--instance", instance.name]
    return subprocess.run(command, capture_output=True, text=True, check=check, timeout=300)


class Region:
    """A virtual network with one machine, made by the SDK alone."""

    def __init__(self, azure: "Cloud", name: str) -> None:
        self.azure, self.name = azure, name
        location, prefix = NETWORKS[name]
        group = make.security_group(azure.clients, f"nsg-{name}", location=location)
        self.allow("ssh", 100, "22")
        subnet = {
            "addressPrefix": prefix.replace(".0.0/16", ".1.0/24"),
            "networkSecurityGroup": {"id": group.id},
        }
        properties = {
            "addressSpace": {"addressPrefixes": [prefix]},
            "subnets": [{"name": "nodes", "properties": subnet}],
        }
        networks = azure.clients.network.virtual_networks
        body = {"location": location, "properties": properties}
        self.network = networks.begin_create_or_update("rg", name, body).result()
        public = make.public_address(azure.clients, f"pip-{name}", location=location)
        options = {"public_id": public.id, "location": location}
        nic = make.interface(azure.clients, f"nic-{name}", self.network.subnets[0].id, **options)
        self.public, self.private = public.ip_address, nic.ip_configurations[0].private_ip_address
        machine = make.machine_body(nic.id, f"vm-{name}", key=azure.public_key) | {"location": location}
        self.creation = azure.clients.compute.virtual_machines.begin_create_or_update(
            "rg", f"vm-{name}", machine
        )

    def allow(self, rule: str, priority: int, port: str) -> None:
        """Write a rule that lets everybody in."""
        properties = {"priority": priority, "direction": "Inbound", "access": "Allow", "protocol": "Tcp"}
        properties |= dict.fromkeys(
            ("sourceAddressPrefix", "sourcePortRange", "destinationAddressPrefix"), "*"
        )
        body = {"properties": {**properties, "destinationPortRange": port}}
        rules = self.azure.clients.network.security_rules
        rules.begin_create_or_update("rg", f"nsg-{self.name}", rule, body).result()

    def forbid(self, rule: str) -> None:
        """Delete a rule."""
        self.azure.clients.network.security_rules.begin_delete("rg", f"nsg-{self.name}", rule).result()

    def run(self, command: str) -> str:
        """Run a command on the machine, over SSH from outside."""
        with paramiko.SSHClient() as client:
            client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
            client.connect(self.public, username="ops", pkey=self.azure.private_key, timeout=10)
            _, output, errors = client.exec_command(command, timeout=60)
            text = output.read().decode()
            assert output.channel.recv_exit_status() == 0, errors.read().decode()
        return text.strip()

    def reaches(self, address: str, port: int) -> bool:
        """Tell whether a connection from the machine comes about."""
        probe = f"import socket; socket.create_connection(('{address}', {port}), 1)"
        return self.run(f'python3 -c "{probe}" 2>/dev/null && echo yes || echo no') == "yes"

    def peer(self, other: "Region") -> None:
        """Write this half of a peering."""
        body = {"properties": {"remoteVirtualNetwork": {"id": other.network.id}}}
        peerings = self.azure.clients.network.virtual_network_peerings
        peerings.begin_create_or_update("rg", self.name, f"to-{other.name}", body).result()

    def unpeer(self, other: "Region") -> None:
        """Delete this half."""
        peerings = self.azure.clients.network.virtual_network_peerings
        peerings.begin_delete("rg", self.name, f"to-{other.name}").result()


class Cloud:
    """The clients, made from what `up --json` printed, and a key for the machines."""

    def __init__(self, card: dict[str, Any], directory: Path) -> None:
        self.card = card
        ca_file = directory / "ca.pem"
        ca_file.write_text(card["ca_pem"])
        credential = ClientSecretCredential(
            card["tenant_id"],
            card["client_id"],
            card["client_secret"],
            authority=card["authority"],
            disable_instance_discovery=True,
            connection_verify=str(ca_file),
        )
        options = {
            "base_url": card["arm_endpoint"],
            "credential_scopes": [SCOPE],
            "connection_verify": str(ca_file),
            "polling_interval": 1,
        }
        self.clients = make.Clients(credential, card["subscription_id"], options)
        key = Ed25519PrivateKey.generate()
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        key_file = directory / "key"
        key_file.write_bytes(pem)
        self.private_key = paramiko.Ed25519Key.from_private_key_file(str(key_file))
        self.public_key = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


@pytest.fixture(scope="module")
def card(instance: Instance) -> Iterator[dict[str, Any]]:
    yield json.loads(sandbox("up", "--json", instance=instance).stdout)
    sandbox("down", instance=instance)


@pytest.fixture(scope="module")
def cloud(card: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    found = Cloud(card, tmp_path_factory.mktemp("cloud"))
    found.clients.resources.resource_groups.create_or_update("rg", {"location": "eastus"})
    yield found
    found.clients.close()


@pytest.fixture(scope="module")
def regions(cloud: Cloud) -> tuple[Region, Region]:
    found = Region(cloud, "a"), Region(cloud, "b")
    for region in found:
        region.creation.result()
    return found


def answers(address: str, port: int) -> bool:
    """Tell whether a connection from this computer comes about."""
    with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=1):
        return True
    return False


def test_a_machine_answers_ssh_at_its_public_address(regions: tuple[Region, Region]) -> None:
    for region in regions:
        assert region.run("hostname") == f"vm-{region.name}"
        assert region.run("sudo systemctl is-system-running") == "running"
        assert region.private in region.run("ip -brief -4 address show")


def test_packets_cross_a_peering_while_both_halves_exist(regions: tuple[Region, Region]) -> None:
    a, b = regions
    assert not a.reaches(b.private, 22)
    a.peer(b)
    assert not a.reaches(b.private, 22)
    b.peer(a)
    assert a.reaches(b.private, 22)
    assert b.reaches(a.private, 22)
    b.unpeer(a)
    assert not a.reaches(b.private, 22)
    a.unpeer(b)


def test_packets_from_outside_need_a_rule(regions: tuple[Region, Region]) -> None:
    region, _ = regions
    region.run("sudo systemd-run --quiet --unit=web python3 -m http.server 8080")
    assert not answers(region.public, 8080)
    region.allow("web", 200, "8080")
    assert wait_until_answers(region.public, 8080)
    region.forbid("web")
    assert not answers(region.public, 8080)
    region.run("sudo systemctl stop web")


def wait_until_answers(address: str, port: int) -> bool:
    """Give a service a moment to listen."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if answers(address, port):
            return True
    return False


def test_a_machine_finds_the_mirror_and_its_own_public_address(
    regions: tuple[Region, Region], card: dict[str, Any]
) -> None:
    region, _ = regions
    region.run(f"cat >ca.pem <<'END'\n{card['ca_pem']}\nEND")
    assert region.run(f"curl -sS --cacert ca.pem {card['public_address_url']}") == region.public
    path = "binaries.cockroachdb.com/cockroach-v26.2.2.linux-amd64.tgz"
    for base in (card["artifacts"]["base_url"], "https://artifacts.sandbox.test"):
        region.run(f"curl -sS --fail --cacert ca.pem -O {base}/{path} -O {base}/{path}.sha256sum")
        assert region.run("sha256sum -c *.sha256sum").endswith("OK")


def test_a_deallocated_machine_comes_back_with_its_disk_and_addresses(
    regions: tuple[Region, Region], cloud: Cloud, instance: Instance
) -> None:
    region, _ = regions
    machines = cloud.clients.compute.virtual_machines
    region.run("echo kept >file")
    machines.begin_deallocate("rg", "vm-a").result()
    assert not answers(region.public, 22)
    assert "deallocated" in sandbox("status", instance=instance).stdout
    machines.begin_start("rg", "vm-a").result()
    assert region.run("cat file") == "kept"
    machines.begin_restart("rg", "vm-a").result()
    assert region.run("cat file") == "kept"


def test_a_data_disk_is_there_by_its_lun_and_outlives_its_machine(
    regions: tuple[Region, Region], cloud: Cloud
) -> None:
    body = {
        "location": "eastus",
        "properties": {"creationData": {"createOption": "Empty"}, "diskSizeGB": 8},
    }
    disk = cloud.clients.compute.disks.begin_create_or_update("rg", "data", body).result()
    subnet = regions[0].network.subnets[0].id
    for word in ("first", "second"):
        public = make.public_address(cloud.clients, f"pip-{word}")
        nic = make.interface(cloud.clients, f"nic-{word}", subnet, public_id=public.id)
        machine = make.machine_body(nic.id, word, key=cloud.public_key)
        attached = {"lun": 3, "createOption": "Attach", "managedDisk": {"id": disk.id}}
        machine["properties"]["storageProfile"]["dataDisks"] = [attached]
        cloud.clients.compute.virtual_machines.begin_create_or_update("rg", word, machine).result()
        found = object.__new__(Region)
        found.azure, found.public = cloud, public.ip_address
        device = "/dev/disk/azure/data/by-lun/3"
        if word == "first":
            found.run(
                f"sudo mkfs.ext4 -q {device} && sudo mount {device} /mnt && sudo touch /mnt/mark && sync"
            )
        else:
            assert "mark" in found.run(f"sudo mount {device} /mnt && ls /mnt")
        cloud.clients.compute.virtual_machines.begin_delete("rg", word).result()


def test_a_machine_whose_first_process_ends_fails_its_operation_with_its_console(
    regions: tuple[Region, Region], cloud: Cloud
) -> None:
    script = "#!/bin/sh\necho the disk is on fire\nexit 1\n"
    files = [{"path": "/usr/lib/systemd/systemd", "content": script, "permissions": "0755"}]
    custom_data = base64.b64encode(f"#cloud-config\n{json.dumps({'write_files': files})}".encode()).decode()
    nic = make.interface(cloud.clients, "nic-broken", regions[0].network.subnets[0].id)
    with pytest.raises(HttpResponseError) as caught:
        make.machine(cloud.clients, "broken", nic.id, key=cloud.public_key, custom_data=custom_data)
    assert caught.value.error is not None
    assert caught.value.error.code == "OSProvisioningTimedOut"
    assert "the disk is on fire" in str(caught.value.error.message)
    assert cloud.clients.compute.virtual_machines.get("rg", "broken").provisioning_state == "Failed"
    cloud.clients.compute.virtual_machines.begin_delete("rg", "broken").result()


def test_up_again_changes_nothing_and_status_shows_what_runs(
    regions: tuple[Region, Region], card: dict[str, Any], instance: Instance
) -> None:
    assert json.loads(sandbox("up", "--json", instance=instance).stdout) == card
    status = json.loads(sandbox("status", "--json", instance=instance).stdout)
    assert status["up"]
    assert status["resources"]["Microsoft.Compute/virtualMachines"] == 2
    machines = {found["name"]: found for found in status["machines"]}
    assert machines["vm-a"]["power"] == "running"
    assert machines["vm-a"]["public_address"] == regions[0].public
    assert (instance.directory / "card.json").stat().st_mode & 0o777 == 0o600


def test_the_readmes_example_works(card: dict[str, Any], instance: Instance, tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    example = example.replace('"python"', repr(sys.executable)).replace(
        '"--json"', f'"--json", "-i{instance.name}"'
    )
    example += "print(sorted(group.name for group in client.resource_groups.list()))"
    done = subprocess.run(
        [sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "'rg'" in done.stdout


def test_a_deleted_group_takes_its_machines_with_it_even_one_that_still_boots(
    regions: tuple[Region, Region], cloud: Cloud, instance: Instance
) -> None:
    nic = make.interface(cloud.clients, "nic-late", regions[0].network.subnets[0].id)
    late = make.machine_body(nic.id, "late", key=cloud.public_key)
    cloud.clients.compute.virtual_machines.begin_create_or_update("rg", "late", late, polling=False)
    cloud.clients.resources.resource_groups.begin_delete("rg").result()
    assert not [role for role in processes.roles(instance).values() if role.startswith("machine:")]
    assert names.all_of(instance) == {names.edge(instance)}
    assert not answers(regions[0].public, 22)


def test_after_kill_9_down_leaves_nothing_and_up_works(instance: Instance) -> None:
    card = json.loads(sandbox("up", "--json", instance=instance).stdout)
    daemons = [number for number, role in processes.roles(instance).items() if role == "daemon"]
    assert len(daemons) == 1
    processes.kill(daemons[0])
    assert "is down" in sandbox("status", instance=instance).stdout
    again = json.loads(sandbox("up", "--json", instance=instance).stdout)
    assert again["client_secret"] != card["client_secret"]
    sandbox("down", instance=instance)
    assert not any(traces(instance).values())
    sandbox("down", instance=instance)
