"""How the fabric gets from what stands to what is wanted, after whatever happened before."""

import errno
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from pathlib import Path

import pytest

from sandbox import processes
from sandbox.fabric import kernel, layout, names, removal, routes
from sandbox.fabric.model import Network
from sandbox.fabric.namespaces import kill_inside
from sandbox.fabric.tags import UnknownTag
from sandbox.instance import Instance
from tests.sandbox.fabric_lab import TOO_LONG_S, Lab, eventually, group, half, route, rule, virtual_network
from tests.sandbox.traces import asked, traces

pytestmark = pytest.mark.machines

ROUTES = (route("10.10.4.0/24", "10.1.1.4"), route("10.11.4.0/24", "10.2.1.4"), route("10.9.0.0/16", "None"))
NETWORKS = [
    virtual_network(1, half(2), security_group=group(), routes=ROUTES),
    virtual_network(2, half(1), routes=ROUTES),
]


@pytest.fixture
def lab(instance: Instance, base_image: Path) -> Iterator[Lab]:
    del base_image
    removal.remove_everything(instance)
    yield Lab(instance)
    removal.remove_everything(instance)


def two_machines(lab: Lab) -> None:
    lab.apply(NETWORKS, [lab.interface("a4", public=0), lab.interface("b4")])


def all_stands(lab: Lab) -> bool:
    """Tell whether the kernel holds what is wanted, and its tables nothing else."""
    network = Network(tuple(NETWORKS), (lab.interface("a4", public=0), lab.interface("b4")))
    wanted = layout.plan(lab.instance, network)
    routes.add_tables(wanted, lab.instance, network)
    found = kernel.read(lab.instance)
    assert (len(wanted.tables), len(wanted.rules)) == (4, 4)
    return (
        found.routes == wanted.routes
        and found.links == wanted.links
        and found.tables == wanted.tables
        and found.rules == wanted.rules
    )


def identities(lab: Lab) -> dict[str, object]:
    """What would change if anything were made anew: inodes, interface indexes, process ids."""
    return {
        "processes": processes.roles(lab.instance),
        **{
            name: (
                names.path(name).stat().st_ino,
                [link["ifindex"] for link in asked("ip", "-n", name, "link")],
            )
            for name in names.all_of(lab.instance)
        },
    }


def test_applying_the_same_description_changes_nothing(lab: Lab) -> None:
    two_machines(lab)
    before = identities(lab)
    two_machines(lab)
    assert identities(lab) == before


def test_another_process_finds_its_way_into_what_stands(lab: Lab) -> None:
    two_machines(lab)
    before = identities(lab)
    two_machines(successor := Lab(lab.instance))
    assert identities(lab) == before
    assert successor.reaches("a4", "b4")


def test_what_nobody_wants_is_taken_away(lab: Lab) -> None:
    two_machines(lab)
    stranger = names.machine(lab.instance, "stranger")
    subprocess.run(["ip", "netns", "add", stranger], check=True)
    router = names.router(lab.instance, "net1")
    subprocess.run(
        ["ip", "-n", router, "route", "add", "10.77.0.0/16", "dev", "edge", "proto", "98"], check=True
    )
    lab.fabric.apply(Network())
    assert names.all_of(lab.instance) >= {names.edge(lab.instance)}
    successor = Lab(lab.instance)
    two_machines(successor)
    assert stranger not in names.all_of(lab.instance)
    assert successor.reaches("a4", "b4")


def test_what_was_broken_is_made_whole_again(lab: Lab) -> None:
    two_machines(lab)
    lose_the_edge(lab.instance)
    router = names.router(lab.instance, "net1")
    subprocess.run(["ip", "-n", router, "link", "del", names.to_peer("net2")], check=True)
    processes.end(lab.instance, f"resolver:{router}", grace_s=1)
    successor = Lab(lab.instance)
    two_machines(successor)
    assert successor.reaches("a4", "b4")
    assert successor.resolve("a4", "host-a4.internal.cloudapp.net") == (0, ["10.1.1.4"])
    assert all_stands(successor)
    with socket.create_server((str(lab.instance.host_address), 0)) as reachable:
        assert reachable.getsockname()[0] == str(lab.instance.host_address)


def test_an_interface_can_be_unplugged(lab: Lab) -> None:
    two_machines(lab)
    lab.apply(NETWORKS, [lab.interface("b4")])
    assert names.machine(lab.instance, "a4") not in names.all_of(lab.instance)
    assert not lab.gets_through("b4", "10.1.1.4")


def test_an_unknown_tag_is_refused_before_anything_changes(lab: Lab) -> None:
    two_machines(lab)
    before = identities(lab)
    with pytest.raises(UnknownTag, match="'Sql' is no address range"):
        lab.apply([virtual_network(1, security_group=group(rule(100, source="Sql")))], [lab.interface("a4")])
    assert identities(lab) == before


def test_many_threads_may_apply_at_once(lab: Lab) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: two_machines(lab), range(8)))
    assert lab.reaches("a4", "b4")


def test_one_more_interface_is_a_matter_of_a_moment(lab: Lab) -> None:
    two_machines(lab)
    started = time.monotonic()
    lab.apply(NETWORKS, [lab.interface("a4", public=0), lab.interface("b4"), lab.interface("b5", public=1)])
    assert time.monotonic() - started < 1  # 0.05 s on an idle computer; others may be at work here


@pytest.mark.parametrize("after_s", [0.02, 0.08, 0.12, 0.2])
def test_a_process_killed_in_the_middle_leaves_nothing_that_is_in_the_way(lab: Lab, after_s: float) -> None:
    source = (
        "import sys; from sandbox.instance import Instance; from tests.sandbox.fabric_lab import *;"
        "from tests.sandbox.test_fabric_convergence import two_machines;"
        "print(flush=True); two_machines(Lab(Instance(sys.argv[1])))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", source, lab.instance.name], stdout=subprocess.PIPE, start_new_session=True
    ) as victim:
        assert victim.stdout
        victim.stdout.readline()
        threading.Event().wait(after_s)
        os.killpg(victim.pid, signal.SIGKILL)
    two_machines(lab)
    assert lab.reaches("a4", "b4")
    assert all_stands(lab)


def test_a_namespace_that_was_killed_in_the_making_is_made_again(lab: Lab) -> None:
    names.path(names.edge(lab.instance)).touch()
    subprocess.run(["ip", "netns", "add", names.router(lab.instance, "net1")], check=True)
    two_machines(lab)
    assert lab.reaches("a4", "b4")
    names.path(names.machine(lab.instance, "half")).touch()
    removal.remove_everything(lab.instance)
    assert not list(names.NAMESPACES.glob(f"{lab.instance.mark}-*"))


# Nothing leaves this computer


def test_no_packet_of_the_sandbox_is_seen_on_other_interfaces(lab: Lab) -> None:
    two_machines(lab)
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0003)) as wire:
        for address in ("203.0.113.1", "10.2.1.77", lab.public(50), lab.instance.host_address, "192.0.2.1"):
            lab.gets_through("a4", address, 443)
            lab.gets_through("b4", address, 443)
        lose_the_edge(lab.instance)
        with pytest.raises(OSError) as refused:  # noqa: PT011 - the error number is what tells
            socket.create_connection((str(lab.public(0)), 22), timeout=TOO_LONG_S)
        assert refused.value.errno in (errno.EINVAL, errno.ENETUNREACH), "the host's own route holds it back"
        assert [packet for packet in received(wire) if is_ours(lab.instance, *packet)] == []


def lose_the_edge(instance: Instance) -> None:
    """Take the edge away, and wait until the kernel has taken the link to it."""
    kill_inside(names.edge(instance))
    subprocess.run(["ip", "netns", "del", names.edge(instance)], check=True)
    link = Path("/sys/class/net", names.on_this_computer(instance))
    assert eventually(lambda: not link.exists())


def received(wire: socket.socket) -> Iterator[tuple[str, bytes]]:
    wire.settimeout(0.05)
    while True:
        try:
            data, (interface, *_) = wire.recvfrom(2048)
        except TimeoutError:
            return
        yield interface, data


def is_ours(instance: Instance, interface: str, data: bytes) -> bool:
    """Tell whether a packet outside of the sandbox's own link comes from or goes to the sandbox."""
    if interface == names.on_this_computer(instance) or data[0] >> 4 != 4:
        return False
    ends = [ip_address(data[12:16]), ip_address(data[16:20])]
    return any(end in instance.public_network or end.exploded.startswith("10.") for end in ends)


# Removal


def test_removal_leaves_nothing_and_may_be_repeated(lab: Lab) -> None:
    two_machines(lab)
    stands = traces(lab.instance)
    assert stands["namespaces"]
    assert stands["links"]
    assert len(stands["routes"]) == 2
    assert len(stands["processes"]) == 3
    for _ in range(2):
        removal.remove_everything(lab.instance)
        assert not any(traces(lab.instance).values())


def test_removal_leaves_another_instance_alone(lab: Lab) -> None:
    two_machines(lab)
    before = identities(lab)
    removal.remove_everything(Instance("test9"))
    assert identities(lab) == before
