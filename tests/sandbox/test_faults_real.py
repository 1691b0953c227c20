"""Faults of machines and packets, felt by real ones: panic, death, a full disk, lost packets, no time."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError

from sandbox.instance import Instance
from sandbox.machines import disks
from tests.sandbox import arm_fixtures as make
from tests.sandbox.fabric_lab import eventually
from tests.sandbox.test_arm_real import Cloud, Region, answers, sandbox

pytestmark = pytest.mark.machines

CHRONY = "server time.windows.com iburst minpoll 0 maxpoll 1\n"
STORE = "/mnt/store"


@pytest.fixture(scope="module")
def cloud(instance: Instance, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    sandbox("down", instance=instance)
    card = json.loads(sandbox("up", "--json", instance=instance).stdout)
    found = Cloud(card, tmp_path_factory.mktemp("cloud"))
    found.clients.resources.resource_groups.create_or_update("rg", {"location": "eastus"})
    yield found
    found.clients.close()
    sandbox("down", instance=instance)


@pytest.fixture(scope="module")
def regions(cloud: Cloud) -> tuple[Region, Region]:
    """Two peered regions, a machine in each; that of the first has a data disk with a file system."""
    a, b = Region(cloud, "a"), Region(cloud, "b")
    for region in (a, b):
        region.creation.result()
    a.peer(b)
    b.peer(a)
    machines = cloud.clients.compute.virtual_machines
    body = {
        "location": "eastus",
        "properties": {"creationData": {"createOption": "Empty"}, "diskSizeGB": 8},
    }
    disk = cloud.clients.compute.disks.begin_create_or_update("rg", "data", body).result()
    machines.begin_deallocate("rg", "vm-a").result()
    found = machines.get("rg", "vm-a").as_dict()
    found["properties"]["storageProfile"]["dataDisks"] = [
        {"lun": 0, "createOption": "Attach", "managedDisk": {"id": disk.id}}
    ]
    machines.begin_create_or_update("rg", "vm-a", found).result()
    machines.begin_start("rg", "vm-a").result()
    return a, b


@pytest.fixture
def fault(instance: Instance) -> Iterator["Fault"]:
    yield Fault(instance)
    sandbox("fault", "clear", instance=instance)


class Fault:
    """The command line, as a person uses it."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance

    def add(self, *words: str) -> str:
        said = sandbox("fault", "add", *words, instance=self.instance, check=False)
        assert said.returncode == 0, said.stderr
        return said.stderr.strip()

    def clear(self) -> None:
        sandbox("fault", "clear", instance=self.instance)

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(sandbox("status", "--json", instance=self.instance).stdout)
        return found


def test_packets_between_two_regions_are_lost_in_silence(
    regions: tuple[Region, Region], fault: Fault, cloud: Cloud
) -> None:
    a, b = regions
    assert fault.add("cut", "between=eastus,westus") == "fault 1: cut"
    for here, there in (regions, regions[::-1]):
        assert not here.reaches(there.private, 22)
        assert not here.reaches(there.public, 22), "nor round about"
        assert here.run("hostname"), "you still get there"
    peering = cloud.clients.network.virtual_network_peerings.get("rg", "a", "to-b")
    assert peering.peering_state == "Connected", "and ARM says all is well"
    assert fault.status()["faults"] == [{"number": 1, "kind": "cut", "between": "eastus,westus"}]
    assert "cut  between=eastus,westus" in sandbox("status", instance=fault.instance).stdout
    fault.clear()
    assert a.reaches(b.private, 22)
    fault.add("cut", "between=eastus,westus", "only=10.77.0.0/16")
    assert a.reaches(b.private, 22), "only what comes from or goes to a range is lost"
    fault.add("cut", "between=eastus,westus", "only=10.2.0.0/16")
    assert not a.reaches(b.private, 22)
    fault.clear()


def test_packets_between_two_machines_are_lost_also_of_open_connections(
    regions: tuple[Region, Region], fault: Fault
) -> None:
    a, b = regions
    talk = (
        "import pathlib, socket, time\n"
        f"s = socket.create_connection(('{b.private}', 22), 2)\n"
        "s.settimeout(1)\n"
        "s.recv(64)\n"
        "print('open', flush=True)\n"
        "while not pathlib.Path('go').exists(): time.sleep(0.1)\n"
        "s.sendall(b'SSH-2.0-test\\r\\n')\n"
        "s.recv(4096)\n"
    )
    a.run(f"cat >talk.py <<'END'\n{talk}END")
    a.run("nohup python3 talk.py >said 2>&1 &")
    assert eventually(lambda: "open" in a.run("cat said"))
    fault.add("cut", "between=vm-a,vm-b")
    a.run("touch go")
    assert eventually(lambda: "timed out" in a.run("cat said"), within_s=8)
    fault.clear()
    assert a.reaches(b.private, 22)


def test_packets_of_pods_alone_are_lost_on_their_way_along_a_route(
    regions: tuple[Region, Region], fault: Fault, cloud: Cloud
) -> None:
    a, b = regions
    pod, network = "10.10.1.9", cloud.clients.network
    a.run(f"sudo ip address add {pod}/32 dev lo")
    nic = network.network_interfaces.get("rg", "nic-a").as_dict()
    nic["properties"]["enableIPForwarding"] = True
    network.network_interfaces.begin_create_or_update("rg", "nic-a", nic).result()
    assert not b.reaches(pod, 22), "no route leads there yet"
    route = {
        "addressPrefix": "10.10.1.0/24",
        "nextHopType": "VirtualAppliance",
        "nextHopIpAddress": a.private,
    }
    for region in regions:
        body = {
            "location": region.network.location,
            "properties": {"routes": [{"name": "a", "properties": route}]},
        }
        table = network.route_tables.begin_create_or_update("rg", f"rt-{region.name}", body).result()
        subnet = network.subnets.get("rg", region.name, "nodes").as_dict()
        subnet["properties"]["routeTable"] = {"id": table.id}
        network.subnets.begin_create_or_update("rg", region.name, "nodes", subnet).result()
    assert b.reaches(pod, 22)
    fault.add("cut", "between=eastus,westus", "only=10.10.0.0/16")
    assert not b.reaches(pod, 22)
    assert b.reaches(a.private, 22), "nodes are not concerned"
    fault.clear()
    assert b.reaches(pod, 22)
    fault.add("cut", "between=vm-a,vm-b")
    assert not b.reaches(pod, 22), "what is routed to a machine is lost with the rest"


def test_a_region_that_is_cut_off_reaches_nobody(regions: tuple[Region, Region], fault: Fault) -> None:
    a, b = regions
    fault.add("cut", "between=westus")
    assert not answers(b.public, 22)
    assert not a.reaches(b.private, 22)
    fault.clear()
    assert b.run("hostname") == "vm-b"


def test_a_lost_machine_is_off_and_can_be_started(
    regions: tuple[Region, Region], fault: Fault, cloud: Cloud
) -> None:
    region = regions[1]
    assert fault.add("lose", "machine=vm-b") == "done: lose"
    machines = cloud.clients.compute.virtual_machines
    assert machines.instance_view("rg", "vm-b").statuses[-1].code == "PowerState/stopped"
    assert not answers(region.public, 22)
    assert fault.status()["faults"] == []
    machines.begin_start("rg", "vm-b").result()
    assert region.run("hostname") == "vm-b"


def test_a_machine_that_panics_boots_when_that_is_cleared(
    regions: tuple[Region, Region], fault: Fault, cloud: Cloud
) -> None:
    machines = cloud.clients.compute.virtual_machines
    fault.add("no-boot", "machine=late")
    nic = make.interface(cloud.clients, "nic-late", regions[0].network.subnets[0].id)
    with pytest.raises(HttpResponseError) as caught:
        make.machine(cloud.clients, "late", nic.id, key=cloud.public_key)
    assert caught.value.error is not None
    assert caught.value.error.code == "OSProvisioningTimedOut"
    assert "Kernel panic" in str(caught.value.error.message)
    fault.clear()
    machines.begin_start("rg", "late").result()
    assert machines.instance_view("rg", "late").statuses[-1].code == "PowerState/running"
    machines.begin_delete("rg", "late").result()


def test_a_full_disk_has_no_room_for_anybody_until_that_is_cleared(
    regions: tuple[Region, Region], fault: Fault, instance: Instance, cloud: Cloud
) -> None:
    region = regions[0]
    device = "/dev/disk/azure/data/by-lun/0"
    refused = sandbox("fault", "add", "full-disk", "machine=vm-a", instance=instance, check=False)
    assert (refused.returncode, refused.stderr) == (2, "machine vm-a: it has mounted no data disk\n")
    region.run(f"sudo mkfs.ext4 -q {device}; sudo mkdir -p {STORE}; sudo mount {device} {STORE}")
    fault.add("full-disk", "machine=vm-a")
    assert "No space left" in region.run(f"echo x | sudo tee {STORE}/file 2>&1 || true")
    file = disks.file_of(instance, cloud.clients.compute.disks.get("rg", "data").id)
    assert file.stat().st_blocks * 512 < 1 << 28, "it takes no room of this computer"
    fault.clear()
    region.run(f"echo x | sudo tee {STORE}/file")
    region.run(f"sudo umount {STORE}")


def test_without_a_time_server_machines_have_no_time(regions: tuple[Region, Region], fault: Fault) -> None:
    region = regions[1]
    region.run(f"echo '{CHRONY}' | sudo tee /etc/chrony/chrony.conf && sudo systemctl restart chrony")
    assert eventually(lambda: "^*" in region.run("chronyc -n sources"), within_s=10)
    fault.add("no-time")
    assert eventually(lambda: "^*" not in region.run("chronyc -n sources"), within_s=20)
    fault.clear()
    assert eventually(lambda: "^*" in region.run("chronyc -n sources"), within_s=20)


def test_a_mirror_can_be_wrong(regions: tuple[Region, Region], fault: Fault, cloud: Cloud) -> None:
    region = regions[0]
    script = base64.b64encode(cloud.card["ca_pem"].encode()).decode()
    region.run(f"echo {script} | base64 -d >ca.pem")
    file = f"{cloud.card['artifacts']['base_url']}/binaries.cockroachdb.com/cockroach-v26.2.2.linux-amd64.tgz"
    fetch = f"curl -sS --cacert ca.pem -w '%{{http_code}}' {file}.sha256sum"
    fault.add("mirror", "answer=checksum")
    assert region.run(fetch).startswith("0" * 64)
    fault.add("mirror", "answer=unavailable")
    assert region.run(fetch).endswith("503")


def test_the_command_line_says_what_there_is_and_what_is_wrong(cloud: Cloud, instance: Instance) -> None:
    del cloud
    assert sandbox("fault", "list", instance=instance).stdout == "nothing goes wrong on purpose\n"
    for words, sentence in (
        (["add", "earthquake"], "expected tags: 'throttle'"),
        (["add", "slow", "factor=0"], "factor: Input should be greater than 0"),
        (["add", "cut", "between=mars"], "mars is no region"),
        (["clear", "99"], "there is no fault 99"),
    ):
        said = sandbox("fault", *words, instance=instance, check=False)
        assert said.returncode == 2
        assert sentence in said.stderr
        assert "Traceback" not in said.stderr
