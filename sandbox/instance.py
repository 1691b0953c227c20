"""One running sandbox: its name, its mark on everything it makes, its addresses, its files."""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

BENCHMARK_NETWORK = IPv4Network("198.18.0.0/15")  # RFC 2544: routed nowhere, ours to use
STATE_DIR = Path("/var/lib/roachmesh")
MIRROR_NAME = "artifacts.sandbox.test"


@dataclass(frozen=True)
class Instance:
    """A sandbox that can run beside others on one computer.

    Everything it makes (namespaces, links, tables, processes) carries `mark`, so that
    `down` finds it by that alone; its public addresses are all in `public_network`.
    """

    name: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"demo|test[2-9]?", self.name):
            raise ValueError(f"instance {self.name!r}: expected demo, test, or test2 to test9")

    @property
    def mark(self) -> str:
        """Prefix of every name this instance gives: `rm-demo`, at most 8 characters."""
        return f"rm-{self.name}"

    @property
    def index(self) -> int:
        """Which /20 of the benchmark network is ours: demo 0, test 1, test2 2, ..."""
        return 0 if self.name == "demo" else int(self.name.removeprefix("test") or 1)

    @property
    def public_network(self) -> IPv4Network:
        """The /20 that holds every public address of this instance."""
        return list(BENCHMARK_NETWORK.subnets(new_prefix=20))[self.index]

    @property
    def host_address(self) -> IPv4Address:
        """This computer, as machines see it: the operator's public address."""
        return self.public_network[1]

    @property
    def mirror_address(self) -> IPv4Address:
        """The artifact mirror, and the page that tells a caller its own public address."""
        return self.public_network[2]

    @property
    def time_address(self) -> IPv4Address:
        """The time server."""
        return self.public_network[3]

    @property
    def first_machine_address(self) -> IPv4Address:
        """The first address a public IP resource may get; all after it are free too."""
        return self.public_network[32]

    @property
    def arm_port(self) -> int:
        """Loopback port of the ARM and token endpoints."""
        return 8443 + self.index

    @property
    def directory(self) -> Path:
        """Where this instance keeps its files; removed by `down`."""
        return STATE_DIR / self.name / "sandbox"
