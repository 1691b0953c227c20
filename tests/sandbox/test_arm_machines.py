"""Virtual machines and their disks in control-plane mode: records, states, what goes with what."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError

from sandbox.arm.ids import parse
from sandbox.arm.resources.machine_spec import machine_key
from sandbox.machines.model import MachineSpec
from tests.sandbox import arm_fixtures as make
from tests.sandbox.arm_fixtures import Azure, Hypervisor, control_plane, refused

SECRET = "I2Nsb3VkLWNvbmZpZwpydW5jbWQ6IFtdCg=="


@pytest.fixture
def azure(tmp_path: Path) -> Iterator[Azure]:
    with control_plane(tmp_path) as found:
        prepare(found)
        yield found


def prepare(azure: Azure) -> None:
    """Make a group and an interface `nic`."""
    azure.resources.resource_groups.create_or_update("rg", {"location": "eastus"})
    make.interface(azure, "nic", make.virtual_network(azure).subnets[0].id)


def nic_id(azure: Azure) -> str:
    return azure.id("rg", "networkInterfaces/nic")


def data_disk(azure: Azure, name: str = "data", **more: Any) -> Any:
    body = {
        "location": "eastus",
        "properties": {"creationData": {"createOption": "Empty"}, "diskSizeGB": 64},
        **more,
    }
    return azure.compute.disks.begin_create_or_update("rg", name, body).result()


def with_disk(azure: Azure, disk_id: str, **more: Any) -> dict[str, Any]:
    body = make.machine_body(nic_id(azure))
    attached = {"lun": 0, "createOption": "Attach", "managedDisk": {"id": disk_id}, **more}
    body["properties"]["storageProfile"]["dataDisks"] = [attached]
    return body


def put(azure: Azure, body: dict[str, Any], name: str = "vm") -> Any:
    return azure.compute.virtual_machines.begin_create_or_update("rg", name, body).result()


def power(azure: Azure) -> str:
    found = azure.compute.virtual_machines.get("rg", "vm", expand="instanceView")
    return str(found.instance_view.statuses[-1].code)


class Unbootable(Hypervisor):
    """A hypervisor whose machines never come up."""

    def boot(self, spec: MachineSpec) -> None:
        raise RuntimeError(f"{spec.hostname}: kernel panic")

    def is_running(self, key: str) -> bool:
        return False


def test_a_machine_has_a_system_disk_and_its_interface(azure: Azure) -> None:
    vm = make.machine(azure, "vm", nic_id(azure))
    assert vm.provisioning_state == "Succeeded"
    assert vm.vm_id
    disk = azure.compute.disks.get("rg", vm.storage_profile.os_disk.name)
    assert (disk.managed_by, disk.os_type, disk.disk_state) == (vm.id, "Linux", "Attached")
    nic = azure.network.network_interfaces.get("rg", "nic")
    assert nic.virtual_machine.id == vm.id
    assert nic.mac_address.startswith("00-0D-3A-")


def test_a_system_disk_has_its_machines_first_tags_and_is_listed_as_its_own(azure: Azure) -> None:
    vm = make.machine(azure, "vm", nic_id(azure), tags={"owner": "us"})
    azure.compute.virtual_machines.begin_update("rg", "vm", {"tags": {"owner": "them"}}).result()
    kind = "resourceType eq 'Microsoft.Compute/disks'"
    (disk,) = azure.resources.resources.list(filter=kind)
    assert (disk.tags, disk.managed_by) == ({"owner": "us"}, vm.id)


def test_what_a_machine_was_given_in_secret_is_never_shown(azure: Azure) -> None:
    vm = make.machine(azure, "vm", nic_id(azure), custom_data=SECRET)
    assert vm.os_profile.custom_data is None
    for path in (vm.id, azure.id("rg", "virtualMachines", "Microsoft.Compute")):
        _, document, _ = azure.raw("GET", path)
        assert SECRET not in str(document)
    assert put(azure, make.machine_body(nic_id(azure), custom_data=SECRET)).provisioning_state == "Succeeded"


def test_the_instance_view_is_shown_on_request_only(azure: Azure) -> None:
    make.machine(azure, "vm", nic_id(azure))
    assert azure.compute.virtual_machines.get("rg", "vm").instance_view is None
    assert power(azure) == "PowerState/running"
    view = azure.compute.virtual_machines.instance_view("rg", "vm")
    assert [status.code for status in view.statuses] == ["ProvisioningState/succeeded", "PowerState/running"]
    listed = azure.raw("GET", azure.id("rg", "virtualMachines", "Microsoft.Compute"))[1]["value"][0]
    assert "instanceView" not in listed["properties"]


def test_a_machine_is_deallocated_started_powered_off_and_restarted(azure: Azure) -> None:
    make.machine(azure, "vm", nic_id(azure))
    machines = azure.compute.virtual_machines
    for act, expected in (
        (machines.begin_deallocate, "deallocated"),
        (machines.begin_start, "running"),
        (machines.begin_power_off, "stopped"),
        (machines.begin_restart, "running"),
        (machines.begin_start, "running"),
    ):
        act("rg", "vm").result()
        assert power(azure) == f"PowerState/{expected}"


def test_tags_of_a_machine_change_by_patch(azure: Azure) -> None:
    make.machine(azure, "vm", nic_id(azure))
    vm = azure.compute.virtual_machines.begin_update("rg", "vm", {"tags": {"a": "b"}}).result()
    assert vm.tags == {"a": "b"}
    assert vm.storage_profile.os_disk.managed_disk.id


def test_a_size_can_change(azure: Azure) -> None:
    make.machine(azure, "vm", nic_id(azure))
    body = azure.raw("GET", azure.id("rg", "virtualMachines/vm", "Microsoft.Compute"))[1]
    body["properties"]["hardwareProfile"]["vmSize"] = "Standard_D8s_v5"
    assert put(azure, body).hardware_profile.vm_size == "Standard_D8s_v5"


def test_a_deleted_machine_leaves_what_is_not_told_to_go_with_it(azure: Azure) -> None:
    vm = put(azure, with_disk(azure, data_disk(azure).id))
    azure.compute.virtual_machines.begin_delete("rg", "vm").result()
    left = {disk.name: disk.disk_state for disk in azure.compute.disks.list()}
    assert left == {"data": "Unattached", vm.storage_profile.os_disk.name: "Unattached"}
    azure.network.network_interfaces.begin_delete("rg", "nic").result()


def test_a_deleted_machine_takes_with_it_what_its_delete_options_name(azure: Azure) -> None:
    public = make.public_address(azure)
    body = make.interface_body(azure.id("rg", "virtualNetworks/vnet/subnets/nodes"), public_id=public.id)
    given = body["properties"]["ipConfigurations"][0]["properties"]["publicIPAddress"]
    given["properties"] = {"deleteOption": "Delete"}
    azure.network.network_interfaces.begin_create_or_update("rg", "nic", body).result()
    machine = with_disk(azure, data_disk(azure).id, deleteOption="Delete")
    machine["properties"]["storageProfile"]["osDisk"]["deleteOption"] = "Delete"
    interfaces = [{"id": nic_id(azure), "properties": {"deleteOption": "Delete"}}]
    machine["properties"]["networkProfile"]["networkInterfaces"] = interfaces
    put(azure, machine)
    azure.compute.virtual_machines.begin_delete("rg", "vm").result()
    assert [resource.type for resource in azure.resources.resources.list()] == [
        "Microsoft.Network/virtualNetworks"
    ]


def test_a_system_disk_is_not_made_twice(azure: Azure) -> None:
    body = make.machine_body(nic_id(azure))
    body["properties"]["storageProfile"]["osDisk"]["name"] = "system"
    put(azure, body)
    azure.compute.virtual_machines.begin_delete("rg", "vm").result()
    with refused("ConflictingUserInput", 409):
        put(azure, body)
    assert azure.raw("GET", azure.id("rg", "virtualMachines/vm", "Microsoft.Compute"))[0] == 404


def test_a_disk_is_attached_in_its_own_zone_only(azure: Azure) -> None:
    disk = data_disk(azure, zones=["1"])
    with refused("BadRequest", 400):
        put(azure, with_disk(azure, disk.id))
    vm = put(azure, with_disk(azure, disk.id) | {"zones": ["1"]})
    assert azure.compute.disks.get("rg", vm.storage_profile.os_disk.name).zones == ["1"]


def test_disks_change_hands_only_while_the_machine_is_not_running(azure: Azure) -> None:
    vm = put(azure, with_disk(azure, data_disk(azure).id))
    body = azure.raw("GET", vm.id)[1]
    body["properties"]["storageProfile"]["dataDisks"] = []
    with refused("NotEmulatedBySandbox", 400):
        put(azure, body)
    azure.compute.virtual_machines.begin_deallocate("rg", "vm").result()
    put(azure, body)
    assert azure.compute.disks.get("rg", "data").managed_by is None


def test_an_availability_set_holds_machines_and_outlives_none_of_them(azure: Azure) -> None:
    body = {"location": "eastus", "sku": {"name": "Aligned"}, "properties": {"platformFaultDomainCount": 2}}
    created = azure.compute.availability_sets.create_or_update("rg", "set", body)
    assert (created.platform_fault_domain_count, created.platform_update_domain_count) == (2, 5)
    machine = make.machine_body(nic_id(azure))
    machine["properties"]["availabilitySet"] = {"id": created.id}
    vm = put(azure, machine)
    found = azure.compute.availability_sets.get("rg", "set")
    assert [one.id for one in found.virtual_machines] == [vm.id]
    with refused("OperationNotAllowed", 409):
        azure.compute.availability_sets.delete("rg", "set")
    azure.compute.virtual_machines.begin_delete("rg", "vm").result()
    azure.compute.availability_sets.delete("rg", "set")
    assert not list(azure.compute.availability_sets.list("rg"))


def test_a_machine_that_does_not_come_up_fails_its_operation(tmp_path: Path) -> None:
    with control_plane(tmp_path, machines=Unbootable()) as azure:
        prepare(azure)
        with pytest.raises(HttpResponseError) as caught:
            make.machine(azure, "vm", nic_id(azure))
        assert caught.value.status_code == 200  # it is the operation that failed, not the request
        assert caught.value.error is not None
        assert caught.value.error.code == "OSProvisioningTimedOut"
        assert "kernel panic" in str(caught.value.error.message)
        assert azure.compute.virtual_machines.get("rg", "vm").provisioning_state == "Failed"
        assert power(azure) == "PowerState/stopped"
        azure.compute.virtual_machines.begin_delete("rg", "vm").result()
        assert not list(azure.compute.virtual_machines.list("rg"))


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("vm", "vm-"),
        ("crdb-northeurope-12", "crdb-northeur-"),
        ("UPPER_and_under", "upper-and-und-"),
    ],
)
def test_a_machines_key_is_short_readable_and_its_own(name: str, key: str) -> None:
    ids = [
        parse(f"/subscriptions/s/resourceGroups/{group}/providers/Microsoft.Compute/virtualMachines/{name}")
        for group in ("a", "A", "b")
    ]
    keys = [machine_key(found) for found in ids if found]
    assert keys[0].startswith(key)
    assert all(len(one) == 20 for one in keys)
    assert keys[0] == keys[1] != keys[2]
