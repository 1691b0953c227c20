"""What really happens to a machine: boot, halt, delete; each is work of an operation, one at a time."""

import logging
from collections.abc import Callable
from dataclasses import replace

from sandbox.arm import faulty, responses
from sandbox.arm.cloud import Cloud
from sandbox.arm.errors import ArmError
from sandbox.arm.operations import Work, timestamp
from sandbox.arm.resource_type import Answer, Call
from sandbox.arm.resources.machine_spec import machine_key, machine_spec
from sandbox.arm.store import Json, Resource, new_etag

DISPLAY = {
    "starting": "VM starting",
    "running": "VM running",
    "stopping": "VM stopping",
    "stopped": "VM stopped",
    "deallocating": "VM deallocating",
    "deallocated": "VM deallocated",
}

log = logging.getLogger(__name__)


def boot(cloud: Cloud, machine: Resource) -> Work | None:
    """Start it: plugged in first, then booted, running once sshd answers."""
    machines = cloud.machines
    if machines is None:
        set_power(cloud, machine, "running")
        return None

    def work() -> None:
        with cloud.store.lock:
            _check_wanted(cloud, machine)
            set_power(cloud, machine, "starting")
            spec = replace(machine_spec(cloud.store, machine), panics=faulty.panics(cloud, machine))
            try:
                faulty.check_capacity(cloud, machine)
            except ArmError:
                set_power(cloud, machine, "deallocated")
                raise
        cloud.converge()
        try:
            machines.boot(spec)
        except Exception as error:
            log.exception("machine %s did not boot", spec.key)
            set_power(cloud, machine, "stopped")
            raise _boot_failed(machine, error) from error
        set_power(cloud, machine, "running")

    return _in_turn(cloud, machine, work)


def halt(cloud: Cloud, machine: Resource, power: str) -> Work | None:
    """Stop it; `power` says whether it keeps its place in Azure (stopped) or not (deallocated)."""
    machines = cloud.machines
    if machines is None:
        set_power(cloud, machine, power)
        return None

    def work() -> None:
        machines.halt(machine_key(machine.id))
        set_power(cloud, machine, power)
        cloud.converge()

    set_power(cloud, machine, "stopping" if power == "stopped" else "deallocating")
    return _in_turn(cloud, machine, work)


def remove(cloud: Cloud, machine: Resource, forget: Callable[[], list[Resource]]) -> Work | None:
    """Delete it: first the machine, then the record, then the data disks that go with it."""
    machines = cloud.machines
    if machines is None:
        forget()
        return None

    def work() -> None:
        machines.delete(machine_key(machine.id))
        with cloud.store.lock:
            disks = forget()
        for disk in disks:
            machines.delete_disk(disk.id.key)
        cloud.converge()

    return _in_turn(cloud, machine, work)


def _check_wanted(cloud: Cloud, machine: Resource) -> None:
    """Boot nothing that was deleted while it waited for its turn."""
    found, group = cloud.store.find(machine.id), cloud.store.groups.get(machine.id.group.lower())
    if found is None or found.guid != machine.guid or group is None or group.deleting:
        message = f"The operation was preempted by a more recent operation on {machine.id}."
        raise ArmError(409, "OperationPreempted", message)


def set_power(cloud: Cloud, machine: Resource, power: str) -> None:
    """Note the power state; the machine may be gone by now."""
    with cloud.store.lock:
        found = cloud.store.find(machine.id)
        if found:
            cloud.store.put(replace(found, hidden={**found.hidden, "power": power}, etag=new_etag()))


def check_not_busy(cloud: Cloud, machine: Resource) -> None:
    """Refuse a write while the machine is being made, started, stopped or deleted; the code is believed."""
    operation = machine.operation
    if operation and cloud.operations.status(operation) == "InProgress":
        message = (
            f"The request failed due to conflict with a concurrent request. Operation {operation.id} on "
            f"{machine.id} is in progress."
        )
        raise ArmError(409, "Conflict", message)


def instance_view(cloud: Cloud, machine: Resource) -> Json:
    """The statuses that `az vm list -d` and the SDK read."""
    state = cloud.operations.provisioning_state(machine.operation)
    power = power_now(cloud, machine)
    profile = machine.properties["osProfile"]
    now = timestamp(cloud.clock())
    return {
        "computerName": profile["computerName"],
        "osName": "debian",
        "osVersion": "13",
        "hyperVGeneration": "V2",
        "statuses": [
            {
                "code": f"ProvisioningState/{state.lower()}",
                "level": "Error" if state == "Failed" else "Info",
                "displayStatus": f"Provisioning {state.lower()}",
                "time": now,
            },
            {"code": f"PowerState/{power}", "level": "Info", "displayStatus": DISPLAY[power]},
        ],
    }


def power_now(cloud: Cloud, machine: Resource) -> str:
    """The noted state, unless the machine died behind our back."""
    power: str = machine.hidden["power"]
    if power == "running" and cloud.machines and not cloud.machines.is_running(machine_key(machine.id)):
        return "stopped"
    return power


def _in_turn(cloud: Cloud, machine: Resource, work: Work) -> Work:
    """Let works on one machine wait for each other: a deletion may come while it still boots."""
    key = machine.id.key

    def waits() -> None:
        with cloud.turns[key]:
            work()

    return waits


def _boot_failed(machine: Resource, error: Exception) -> ArmError:
    """The failure as Azure words it, then what really happened; the console's last lines are in that."""
    message = (
        f"OS Provisioning for VM '{machine.id.name}' did not finish in the allotted time. The VM may still "
        f"finish provisioning successfully. Please check provisioning state later. In the sandbox: {error}"
    )
    return ArmError(409, "OSProvisioningTimedOut", message)


def _action(change: Callable[[Cloud, Resource], Work | None]) -> Callable[[Cloud, Resource, Call], Answer]:
    def act(cloud: Cloud, machine: Resource, call: Call) -> Answer:
        check_not_busy(cloud, machine)
        location = machine.location or "global"
        operation = cloud.operations.start(
            location=location, namespace="Microsoft.Compute", shows="Updating", seconds=20
        )
        cloud.store.put(replace(machine, operation=operation, etag=new_etag()))
        work = change(cloud, machine)
        operation.version = cloud.store.version
        if work:
            cloud.operations.run(operation, work)
        return responses.accepted(cloud, call, operation)

    return act


def _start(cloud: Cloud, machine: Resource) -> Work | None:
    """Starting what runs is a success that does nothing."""
    return None if power_now(cloud, machine) == "running" else boot(cloud, machine)


def _restart(cloud: Cloud, machine: Resource) -> Work | None:
    halted, booted = halt(cloud, machine, "stopped"), boot(cloud, machine)
    if halted is None or booted is None:
        return None

    def work() -> None:
        halted()
        booted()

    return work


ACTIONS = {
    ("POST", "start"): _action(_start),
    ("POST", "poweroff"): _action(lambda cloud, machine: halt(cloud, machine, "stopped")),
    ("POST", "deallocate"): _action(lambda cloud, machine: halt(cloud, machine, "deallocated")),
    ("POST", "restart"): _action(_restart),
}
