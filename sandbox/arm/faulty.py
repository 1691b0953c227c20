"""Faults: asked for, listed and cleared at `/sandbox/faults`; and those that strike ARM itself."""

from collections.abc import Callable, Iterable

from sandbox.arm import ids, responses
from sandbox.arm.cloud import Cloud, Machines
from sandbox.arm.errors import ArmError
from sandbox.arm.ids import ResourceId
from sandbox.arm.locations import REGIONS, canonical
from sandbox.arm.resource_type import Answer, Call
from sandbox.arm.resources.machine_spec import machine_key
from sandbox.arm.store import Resource
from sandbox.faults.kinds import (
    Cut,
    Fault,
    FullDisk,
    InvalidFault,
    Lose,
    NoBoot,
    Refuse,
    Throttle,
    parse,
)
from sandbox.faults.refusals import REFUSALS

PATH = "/sandbox/faults"
MACHINES = "Microsoft.Compute/virtualMachines"
READS = {"GET", "HEAD"}


def listed(cloud: Cloud, call: Call) -> Answer:
    """What goes wrong now."""
    return responses.listing(cloud.faults.listed())


def add(cloud: Cloud, call: Call) -> Answer:
    """Let something go wrong."""
    try:
        fault = parse(call.body)
    except InvalidFault as error:
        raise _invalid(str(error)) from error
    if isinstance(fault, Cut):
        _check_ends(cloud, fault)
    if isinstance(fault, Lose):
        _each_machine(cloud, fault.machine, lambda machines, key: machines.kill(key))
        return Answer(200, {"number": None, **fault.model_dump()})
    if isinstance(fault, FullDisk):
        _each_machine(cloud, fault.machine, lambda machines, key: machines.fill_disks(key))
    number = cloud.faults.add(fault)
    cloud.store.note_change()  # the fabric is told of it
    return Answer(201, {"number": number, **fault.model_dump()})


def clear(cloud: Cloud, call: Call, number: str | None = None) -> Answer:
    """Let one go wrong no more, or all."""
    present = cloud.faults.all()
    if number is not None and int(number) not in present:
        raise _invalid(f"there is no fault {number}; `fault list` shows those there are")
    for one in [int(number)] if number is not None else list(present):
        _undo(cloud, present[one])
        cloud.faults.clear(one)
    cloud.store.note_change()
    return listed(cloud, call)


def strike(cloud: Cloud, call: Call) -> None:
    """Refuse a request that would be right.

    Source: SubscriptionRequestsThrottled on the page "Understand how Azure Resource Manager throttles
    requests" of the Azure documentation; which requests it hits is simplified: all of them.
    """
    for throttle in cloud.faults.active(Throttle):
        kind = "read" if call.method in READS else "delete" if call.method == "DELETE" else "write"
        message = (
            f"Number of '{kind}' requests for subscription '{cloud.subscription_id}' exceeded. Please try "
            f"again after '{throttle.retry_after_s}' seconds after additional tokens are available. Refer to "
            "https://aka.ms/arm-throttling for additional information."
        )
        error = ArmError(429, "SubscriptionRequestsThrottled", message)
        error.headers["Retry-After"] = str(throttle.retry_after_s)
        raise error
    target = None if call.method in READS else ids.parse(call.path) or ids.parse(call.path.rpartition("/")[0])
    if target:
        _refuse(cloud, target, call, at_boot=False)


def check_capacity(cloud: Cloud, machine: Resource) -> None:
    """Refuse a machine its place: what comes when it is started, not when it is asked for."""
    _refuse(cloud, machine.id, None, at_boot=True)


def panics(cloud: Cloud, machine: Resource) -> bool:
    """Tell whether a machine is not to boot."""
    return any(_is(fault.machine, machine.id.name) for fault in cloud.faults.active(NoBoot))


def _refuse(cloud: Cloud, target: ResourceId, call: Call | None, *, at_boot: bool) -> None:
    def applies(refuse: Refuse) -> bool:
        return REFUSALS[refuse.code].at_boot == at_boot and _is(refuse.type, target.type, target.path[-1][0])

    refuse = cloud.faults.use(applies)
    if refuse is None:
        return
    root = cloud.store.find(target.root)
    verb = "delete" if call and call.method == "DELETE" else "write"
    refusal = REFUSALS[refuse.code]
    message = refusal.text.format(
        subscription=cloud.subscription_id,
        client=cloud.client_id,
        location=(call.body.get("location") if call else None) or (root and root.location) or "global",
        action=f"{target.type}/{verb}",
        scope=target,
    )
    raise ArmError(refusal.status, refuse.code, message)


def _is(wanted: str, *names: str) -> bool:
    return wanted == "*" or wanted.lower() in {name.lower() for name in names}


def _each_machine(cloud: Cloud, name: str, act: Callable[[Machines, str], None]) -> None:
    """Do something to a machine that runs; its name may be that of several, in several groups."""
    found = [machine for machine in cloud.store.of_type(MACHINES) if _is(name, machine.id.name)]
    keys = [machine_key(machine.id) for machine in found]
    machines = cloud.machines
    running = [key for key in keys if machines and machines.is_running(key)]
    if not machines or not running:
        raise _invalid(f"no machine {name} runs; there are {_listed(_machine_names(cloud))}")
    try:
        for key in running:
            act(machines, key)
    except OSError as error:
        raise _invalid(f"machine {name}: {error}") from error


def _undo(cloud: Cloud, fault: Fault) -> None:
    """Free the disks of a machine that still exists; the file that fills them is on them."""
    if isinstance(fault, FullDisk) and fault.machine.lower() in _machine_names(cloud):
        _each_machine(cloud, fault.machine, lambda machines, key: machines.free_disks(key))


def _check_ends(cloud: Cloud, cut: Cut) -> None:
    for end in cut.ends:
        if canonical(end) not in REGIONS and end.lower() not in _machine_names(cloud):
            raise _invalid(f"between: {end} is no region, and none of {_listed(_machine_names(cloud))}")


def _machine_names(cloud: Cloud) -> set[str]:
    return {machine.id.name.lower() for machine in cloud.store.of_type(MACHINES)}


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "no machines"


def _invalid(message: str) -> ArmError:
    return ArmError(400, "InvalidFault", message)
