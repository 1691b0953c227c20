"""A node's machine and what it is made of: public address, network interface, disk, virtual machine."""

from typing import Any

from roachmesh import drift, names, ssh_keys
from roachmesh.errors import NotDeployed, ReplaceMachine
from roachmesh.plan import Node, RegionPlan
from roachmesh.render import azure, cloud_init
from tasks.azure_errors import azure_errors
from tasks.azure_resource import Ensured, Put, ensure, finish, is_sound, read, read_settled, require_ours
from tasks.deployment import Deployment
from tasks.engine import converging, judging, logger
from tasks.hosts import Host, session
from tasks.wait import wait_until

BOOT_TIMEOUT_S = 1200.0
REACHABLE_TIMEOUT_S = 300.0


class Machine(Ensured):
    """A machine that runs: the planned node and how to reach it."""

    node: Node
    host: Host


@converging("availability set {region.name}")
def ensure_availability_set(deployment: Deployment, region: RegionPlan) -> Ensured | None:
    """Make the availability set of a region without zones; None where there are zones."""
    if region.zones:
        return None
    operations = deployment.compute().availability_sets
    return ensure(
        operations.get,
        operations.create_or_update,
        (deployment.resource_group, names.availability_set(region.name)),
        azure.availability_set(deployment.plan, region),
        plan=deployment.plan,
    )


@converging("public IP {node.name}")
def ensure_public_address(deployment: Deployment, region: RegionPlan, node: Node) -> Ensured:
    """Make a node's public address."""
    operations = deployment.network().public_ip_addresses
    return ensure(
        operations.get,
        operations.begin_create_or_update,
        (deployment.resource_group, names.public_address(node.name)),
        azure.public_address(deployment.plan, region),
        plan=deployment.plan,
    )


@converging("NIC {node.name}")
def ensure_interface(
    deployment: Deployment, region: RegionPlan, node: Node, network: Ensured, public_address: Ensured
) -> Ensured:
    """Make a node's network interface at its planned address."""
    operations = deployment.network().network_interfaces
    return ensure(
        operations.get,
        operations.begin_create_or_update,
        (deployment.resource_group, names.interface(node.name)),
        azure.interface(
            deployment.plan, region, node, f"{network.id}/subnets/{names.SUBNET}", public_address.id
        ),
        plan=deployment.plan,
    )


@converging("data disk {node.name}")
def ensure_data_disk(deployment: Deployment, region: RegionPlan, node: Node) -> Ensured:
    """Make the disk that holds a node's store."""
    operations = deployment.compute().disks
    return ensure(
        operations.get,
        operations.begin_create_or_update,
        (deployment.resource_group, names.data_disk(node.name)),
        azure.data_disk(deployment.plan, region, node),
        plan=deployment.plan,
    )


@converging("VM {node.name}")
def ensure_virtual_machine(
    deployment: Deployment,
    region: RegionPlan,
    node: Node,
    *,
    interface: Ensured,
    data_disk: Ensured,
    availability_set: Ensured | None,
) -> Machine:
    """Make a node's machine and have it running.

    A machine that exists is never written again, since Azure refuses most changes and the rest
    would restart it: it is compared, and started when it stands still or was not made to the end.

    Raises:
        ReplaceMachine: it differs in what cannot be changed.
        NotReadyYet: it is still being made, started or deleted after 20 minutes.
    """
    machines = deployment.compute().virtual_machines
    path = (deployment.resource_group, node.name)
    body = azure.virtual_machine(
        deployment.plan,
        region,
        node,
        interface_id=interface.id,
        data_disk_id=data_disk.id,
        availability_set_id=availability_set.id if availability_set else None,
    )
    found = read_settled(machines.get, path, BOOT_TIMEOUT_S, expand="instanceView")
    if found is None:
        return _create(deployment, node, body)
    require_ours(found, deployment.plan, node.name)
    differing = drift.differences(body, found)
    if differing:
        raise ReplaceMachine(
            f"the machine differs from the plan: {'; '.join(differing)}.",
            where=node.name,
            advice="Change the topology back, or delete this machine and deploy again.",
        )
    state = _power_state(found) if is_sound(found) else "broken off in the making"
    if state == "running":
        return _machine(deployment, node, found, "unchanged")
    logger().info("%s is %s: starting it", node.name, state)
    with azure_errors(node.name):
        finish(machines.begin_start(*path), node.name, BOOT_TIMEOUT_S)
    return _machine(deployment, node, found, "updated")


def read_machine(deployment: Deployment, node: Node) -> Machine:
    """Read a machine that exists.

    Raises:
        NotDeployed: there is no such machine.
    """
    path = (deployment.resource_group, node.name)
    found = read(deployment.compute().virtual_machines.get, path)
    if found is None:
        raise NotDeployed("there is no such machine.", where=node.name, advice="Deploy the topology first.")
    require_ours(found, deployment.plan, node.name)
    return _machine(deployment, node, found, "unchanged")


@judging("SSH {machine.host.name}")
def wait_until_reachable(deployment: Deployment, machine: Machine) -> None:
    """Wait until a machine answers over SSH and cloud-init has done its part.

    Raises:
        NotReadyYet: not within 300 s (20-60 expected on Azure).
        HostFailed: cloud-init failed, or another machine answers.
    """
    host = machine.host
    opened = wait_until(
        lambda: session(deployment, host),
        what=f"SSH on {host.name} at {host.address}",
        timeout_s=REACHABLE_TIMEOUT_S,
        every_s=2.0,
        advice="Look at the machine's boot diagnostics in Azure.",
    )
    opened.run(["cloud-init", "status", "--wait"], timeout_s=int(REACHABLE_TIMEOUT_S))


def _create(deployment: Deployment, node: Node, body: azure.Body) -> Machine:
    """Write a new machine with its host key: the private half in custom data, the public one in a tag."""
    host_key = ssh_keys.generate()
    body = {
        **body,
        "tags": {**body["tags"], names.TAG_HOST_KEY: host_key.public},
        "properties": {
            **body["properties"],
            "osProfile": azure.provisioning(
                node, deployment.ssh_key().public_key, cloud_init.custom_data(host_key)
            ),
        },
    }
    put: Put = deployment.compute().virtual_machines.begin_create_or_update
    with azure_errors(node.name):
        poller = put(deployment.resource_group, node.name, body)
        written = finish(poller, node.name, BOOT_TIMEOUT_S).as_dict()
    return _machine(deployment, node, written, "created")


def _machine(deployment: Deployment, node: Node, found: azure.Body, change: Any) -> Machine:
    """Describe a machine by what Azure says of it, its public address included."""
    path = (deployment.resource_group, names.public_address(node.name))
    public = read(deployment.network().public_ip_addresses.get, path)
    if public is None:
        raise NotDeployed("its public address is gone.", where=node.name, advice="Deploy the topology again.")
    host_key = found["tags"].get(names.TAG_HOST_KEY)
    if host_key is None:
        raise ReplaceMachine(
            f"its tag {names.TAG_HOST_KEY} is gone, and with it what to know the machine by.",
            where=node.name,
            advice="Write the tag back if you have it, or delete this machine and deploy again.",
        )
    host = Host(name=node.name, address=public["properties"]["ipAddress"], host_key=host_key)
    return Machine(id=found["id"], change=change, node=node, host=host)


def _power_state(found: azure.Body) -> str:
    statuses = found["properties"].get("instanceView", {}).get("statuses", [])
    codes = [status["code"] for status in statuses]
    states = [code.removeprefix("PowerState/") for code in codes if code.startswith("PowerState/")]
    return states[0] if states else "unknown"
