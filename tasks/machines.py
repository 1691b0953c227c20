"""A node's machine and what it is made of: public address, network interface, disk, virtual machine."""

from collections.abc import Iterable
from typing import Any

from blocks.logger import logger
from roachmesh import drift, fixed_fields, names, ssh_keys
from roachmesh.errors import NotDeployed, ReplaceMachine
from roachmesh.inventory import Body, Resource, provisioning
from roachmesh.outcome import Outcome
from roachmesh.plan import Node, RegionPlan
from roachmesh.render import cloud_init
from tasks.azure_errors import azure_errors
from tasks.azure_resource import (
    ensure,
    finish,
    is_sound,
    kept_tags,
    operations,
    read,
    read_settled,
    require_ours,
    to_log,
    write,
)
from tasks.deployment import Deployment
from tasks.engine import always, once
from tasks.hosts import Host, session
from tasks.resource_group import find_group
from tasks.wait import wait_until

BOOT_TIMEOUT_S = 1200.0
REACHABLE_TIMEOUT_S = 300.0


class Machine(Outcome):
    """A machine that runs: the planned node and how to reach it."""

    node: Node
    host: Host


@once("availability set {region.name}")
def ensure_availability_set(deployment: Deployment, region: RegionPlan) -> Outcome | None:
    """Make the availability set of a region without zones; None where there are zones."""
    resource = deployment.inventory.availability_set(region)
    return ensure(deployment, resource) if resource else None


@once("public IP {node.name}")
def ensure_public_address(deployment: Deployment, region: RegionPlan, node: Node) -> Outcome:
    """Make a node's public address."""
    return ensure(deployment, deployment.inventory.public_address(region, node))


@once("NIC {node.name}")
def ensure_interface(deployment: Deployment, region: RegionPlan, node: Node) -> Outcome:
    """Make a node's network interface at its planned address."""
    return ensure(deployment, deployment.inventory.interface(region, node))


@once("data disk {node.name}")
def ensure_data_disk(deployment: Deployment, region: RegionPlan, node: Node) -> Outcome:
    """Make the disk that holds a node's store."""
    return ensure(deployment, deployment.inventory.data_disk(region, node))


@once("VM {node.name}")
def ensure_virtual_machine(deployment: Deployment, region: RegionPlan, node: Node) -> Machine:
    """Make a node's machine and have it running.

    A machine that exists is never written again, its tags left out, since Azure refuses most changes and
    the rest would restart it: it is compared, and started when it stands still or was not made to the end.

    Raises:
        ReplaceMachine: it differs in what cannot be changed.
        NotReadyYet: it is still being made, started or deleted after 20 minutes.
    """
    resource = deployment.inventory.virtual_machine(region, node)
    found = read_settled(deployment, resource, BOOT_TIMEOUT_S)
    if found is None:
        return _create(deployment, region, node, resource)
    require_ours(deployment, found, resource)
    differing = drift.differences({**resource.body, "tags": {}}, found)
    if differing:
        raise ReplaceMachine(
            f"the machine differs from the plan: {'; '.join(differing)}.",
            where=node.name,
            advice="Change the topology back; or delete this machine and deploy again, its data disk stays. "
            "A `size` can also be changed in place: `az vm resize`, one machine after the other.",
        )
    tags = kept_tags(resource, found)
    if tags != found["tags"]:
        _tag(deployment, resource, tags)
    state = power_state(found) if is_sound(found) else "broken off in the making"
    if state == "running":
        return _machine(deployment, region, node, found, "unchanged" if tags == found["tags"] else "updated")
    logger().info("it is %s: starting it", state)
    with azure_errors(node.name):
        begun = operations(deployment, resource.type).begin_start(*resource.path, **to_log())
        finish(begun, node.name, BOOT_TIMEOUT_S)
    return _machine(deployment, region, node, found, "updated")


def _tag(deployment: Deployment, resource: Resource, tags: dict[str, str]) -> None:
    """Change a machine's tags, and nothing else of it."""
    with azure_errors(resource.label):
        begun = operations(deployment, resource.type).begin_update(*resource.path, {"tags": tags}, **to_log())
        finish(begun, resource.label)


def in_region(machines: Iterable[Machine], region: str) -> list[Machine]:
    """Give the machines that stand in a region."""
    return [machine for machine in machines if machine.node.region == region]


def read_machine(deployment: Deployment, node: Node) -> Machine:
    """Read a machine that exists.

    Raises:
        NotDeployed: there is no such machine.
    """
    region = deployment.plan.region_of(node)
    resource = deployment.inventory.virtual_machine(region, node)
    found = read(deployment, resource)
    if found is None:
        raise NotDeployed("there is no such machine.", where=node.name, advice="Deploy the topology first.")
    require_ours(deployment, found, resource)
    return _machine(deployment, region, node, found, "unchanged")


@always("find {node.name}")
def find_machine(deployment: Deployment, node: Node) -> Machine:
    """Find out how to reach a machine that exists."""
    return read_machine(deployment, node)


@always("SSH {machine.host.name}")
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
        every_s=5.0,
        advice="If nothing answers there, look at the machine's boot diagnostics in Azure.",
    )
    opened.run(["cloud-init", "status", "--wait"], timeout_s=int(REACHABLE_TIMEOUT_S))


def _create(deployment: Deployment, region: RegionPlan, node: Node, resource: Resource) -> Machine:
    """Write a new machine with its host key: the private half in custom data, the public one in a tag.

    Another tag names the key that opens it, others as what it is made. The group is looked at once more:
    two servers that both found none have both made it, and only the one whose key it names may go on.
    """
    find_group(deployment)
    host_key = ssh_keys.generate()
    first_boot = provisioning(node, deployment.ssh_key().public_key, cloud_init.custom_data(host_key))
    body = {
        **resource.body,
        "tags": {
            **resource.body["tags"],
            names.TAG_HOST_KEY: host_key.public,
            names.TAG_SSH_KEY: deployment.ssh_key_fingerprint,
            **fixed_fields.tags(region, node),
        },
        "properties": {**resource.body["properties"], "osProfile": first_boot},
    }
    written = write(deployment, resource, body, BOOT_TIMEOUT_S)
    return _machine(deployment, region, node, written, "created")


def _machine(deployment: Deployment, region: RegionPlan, node: Node, found: Body, change: Any) -> Machine:
    """Describe a machine by what Azure says of it, its public address included."""
    public = read(deployment, deployment.inventory.public_address(region, node))
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
    return Machine(what=f"VM {node.name}", change=change, node=node, host=host)


def power_state(found: Body) -> str:
    """Read from a machine's instance view whether it runs: "running", "deallocated", "unknown" ..."""
    statuses = found["properties"].get("instanceView", {}).get("statuses", [])
    codes = [status["code"] for status in statuses]
    states = [code.removeprefix("PowerState/") for code in codes if code.startswith("PowerState/")]
    return states[0] if states else "unknown"
