"""Three networks with bare namespaces for machines, and packets sent through them from this process."""

import secrets
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from typing import TypeVar

from sandbox.fabric import names
from sandbox.fabric.fabric import Fabric
from sandbox.fabric.model import (
    Network,
    NetworkInterface,
    Peering,
    SecurityGroup,
    SecurityRule,
    Subnet,
    UserDefinedRoute,
    VirtualNetwork,
)
from sandbox.fabric.sockets import connect_in_namespace, in_namespace, listen_in_namespace
from sandbox.instance import Instance

TOO_LONG_S = 0.4  # packets here take less than a millisecond
PORT = 26257

_Result = TypeVar("_Result")


def rule(
    priority: int,
    access: str = "Allow",
    *,
    direction: str = "Inbound",
    protocol: str = "*",
    source: str = "*",
    destination: str = "*",
    ports: tuple[str, ...] = ("*",),
    source_ports: tuple[str, ...] = ("*",),
    name: str = "",
) -> SecurityRule:
    """A security rule; what is left out matches anything."""
    return SecurityRule(
        name or f"{access}-{priority}",
        direction,
        priority,
        access,
        protocol,
        (source,),
        source_ports,
        (destination,),
        ports,
    )


# Azure puts these into every security group. Source: "Network security groups", Azure documentation.
DEFAULT_RULES = (
    rule(65000, source="VirtualNetwork", destination="VirtualNetwork"),
    rule(65001, source="AzureLoadBalancer"),
    rule(65500, "Deny"),
    rule(65000, direction="Outbound", source="VirtualNetwork", destination="VirtualNetwork"),
    rule(65001, direction="Outbound", destination="Internet"),
    rule(65500, "Deny", direction="Outbound"),
)


def group(*rules: SecurityRule) -> SecurityGroup:
    """A security group with the default rules."""
    return SecurityGroup((*rules, *DEFAULT_RULES))


def virtual_network(
    number: int,
    *peerings: Peering,
    security_group: SecurityGroup | None = None,
    routes: tuple[UserDefinedRoute, ...] = (),
) -> VirtualNetwork:
    """Network `net1`, 10.1.0.0/16, with one subnet 10.1.1.0/24, and so on."""
    subnet = Subnet(f"net{number}/subnet", IPv4Network(f"10.{number}.1.0/24"), security_group, routes)
    return VirtualNetwork(f"net{number}", (IPv4Network(f"10.{number}.0.0/16"),), (subnet,), peerings)


def half(number: int, *, access: bool = True, forwarded: bool = False) -> Peering:
    """One half of a peering, with `net<number>`."""
    return Peering(f"net{number}", access, forwarded)


def route(prefix: str, next_hop: str) -> UserDefinedRoute:
    """A user-defined route, to an address or to what has a name."""
    if next_hop in ("VnetLocal", "Internet", "None"):
        return UserDefinedRoute(IPv4Network(prefix), next_hop)
    return UserDefinedRoute(IPv4Network(prefix), "VirtualAppliance", IPv4Address(next_hop))


class Lab:
    """A fabric of an instance, and what can be seen of it from inside its machines."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.fabric = Fabric(instance)

    def interface(self, machine: str, *, public: int | None = None) -> NetworkInterface:
        """Machine `a4` has 10.1.1.4 in net1, `b5` has 10.2.1.5 in net2, and so on."""
        number, host = "abc".index(machine[0]) + 1, int(machine[1:])
        return NetworkInterface(
            id=f"nic-{machine}",
            subnet=f"net{number}/subnet",
            address=IPv4Address(f"10.{number}.1.{host}"),
            machine=machine,
            public_address=None if public is None else self.public(public),
            hostname=f"host-{machine}",
        )

    def forwarding(self, machine: str) -> NetworkInterface:
        """An interface that may send for others."""
        return replace(self.interface(machine), ip_forwarding=True)

    def public(self, number: int) -> IPv4Address:
        """A public address of the instance."""
        return self.instance.first_machine_address + number

    def apply(self, networks: list[VirtualNetwork], interfaces: list[NetworkInterface]) -> None:
        """Converge to this."""
        self.fabric.apply(Network(tuple(networks), tuple(interfaces)))

    def inside(self, machine: str, action: Callable[[], _Result]) -> _Result:
        """Do something in a machine's namespace."""
        return in_namespace(names.machine(self.instance, machine), action)

    @contextmanager
    def listening(self, machine: str, port: int = PORT) -> Iterator[socket.socket]:
        """Listen in a machine."""
        with listen_in_namespace(names.machine(self.instance, machine), "0.0.0.0", port) as listener:  # noqa: S104
            listener.settimeout(TOO_LONG_S)
            yield listener

    def connect(self, machine: str, address: object, port: int = PORT) -> socket.socket:
        """Connect from a machine."""
        return connect_in_namespace(
            names.machine(self.instance, machine), str(address), port, timeout_s=TOO_LONG_S
        )

    def reaches(self, source: str, target: str, port: int = PORT) -> bool:
        """Tell whether one machine can open a TCP connection to another's private address."""
        with self.listening(target, port):
            return self.gets_through(source, self.interface(target).address, port)

    def gets_through(self, machine: str, address: object, port: int = PORT) -> bool:
        """Tell whether a machine can open a TCP connection to an address where something listens."""
        try:
            self.connect(machine, address, port).close()
        except OSError:
            return False
        return True

    def datagram_arrives(self, source: str, target: str, *, sender: str, port: int = PORT) -> bool:
        """Tell whether a datagram from `source`, which claims to come from `sender`, arrives."""
        address = self.interface(target).address
        receiver = self.inside(target, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        raw = self.inside(source, lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW))
        with receiver, raw:
            receiver.bind(("0.0.0.0", port))  # noqa: S104
            receiver.settimeout(TOO_LONG_S)
            raw.sendto(forged(sender, str(address), port), (str(address), 0))
            try:
                _, (seen, _) = receiver.recvfrom(64)
            except TimeoutError:
                return False
        assert seen == sender
        return True

    def pings(self, machine: str, address: object) -> bool:
        """Tell whether an address answers an echo request."""
        raw = self.inside(
            machine, lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        )
        with raw:
            raw.settimeout(TOO_LONG_S)
            raw.connect((str(address), 0))
            raw.send(echo_request())
            deadline = time.monotonic() + TOO_LONG_S
            while time.monotonic() < deadline:
                try:
                    if raw.recv(128)[20] == 0:
                        return True
                except OSError:
                    return False
        return False

    def resolve(self, machine: str, name: str) -> tuple[int, list[str]]:
        """Ask the network's resolver from a machine; returns the response code and the addresses."""
        asker = self.inside(machine, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        question = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
        with asker:
            asker.settimeout(TOO_LONG_S)
            asker.sendto(
                struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + question + struct.pack("!2H", 1, 1),
                ("168.63.129.16", 53),
            )
            answer = asker.recv(512)
        _, flags, _, answers, _, _ = struct.unpack("!6H", answer[:12])
        records = answer[12 + len(question) + 4 :]  # each 16 bytes: a pointer to the name, and an address
        found = [socket.inet_ntoa(records[at + 12 : at + 16]) for at in range(0, answers * 16, 16)]
        return flags & 0xF, found


def caller(listener: socket.socket) -> str:
    """Accept one connection and return the address that it seems to come from."""
    accepted, (address, _) = listener.accept()
    accepted.close()
    return str(address)


def echo_request() -> bytes:
    """An echo request of a flow of its own, so that no earlier one makes it an established one."""
    number = secrets.randbelow(1 << 16)
    checksum = 0xFFFF - (0x0801 + number) % 0xFFFF
    return struct.pack("!BBHHH", 8, 0, checksum, number, 1)


def forged(sender: str, receiver: str, port: int) -> bytes:
    """A UDP datagram with a source address of our choice; the kernel fills in what is left zero."""
    datagram = struct.pack("!4H", 40000, port, 12, 0) + b"fake"
    header = struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0, 20 + len(datagram), 0, 0, 64, 17, 0, socket.inet_aton(sender),
        socket.inet_aton(receiver),
    )  # fmt: skip
    return header + datagram


def eventually(check: Callable[[], bool], *, within_s: float = 3) -> bool:
    """Tell whether something becomes true in time."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if check():
            return True
        threading.Event().wait(0.02)
    return False
