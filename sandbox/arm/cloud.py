"""The cloud that all requests share: what exists, what goes on, what carries it."""

import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from typing import Protocol

from sandbox.arm.fabric import describe
from sandbox.arm.operations import Operations
from sandbox.arm.store import Store
from sandbox.fabric.model import Network
from sandbox.faults.faults import Faults
from sandbox.faults.kinds import Slow
from sandbox.instance import Instance
from sandbox.machines.model import MachineSpec


class Fabric(Protocol):
    """What carries packets: `sandbox.fabric`, or nothing at all in control-plane mode."""

    def apply(self, network: Network) -> None:
        """Converge to the whole description."""


class Machines(Protocol):
    """What boots machines: `sandbox.machines`, or nothing at all in control-plane mode."""

    def boot(self, spec: MachineSpec) -> None:
        """Return when it is provisioned and sshd answers."""

    def halt(self, key: str) -> None:
        """Stop it; its disks stay."""

    def delete(self, key: str) -> None:
        """Stop it and forget its system disk."""

    def kill(self, key: str) -> None:
        """End it at once, as a host's death would."""

    def is_running(self, key: str) -> bool:
        """Tell whether it runs now."""

    def fill_disks(self, key: str) -> None:
        """Leave no room on its data disks; OSError where there are none."""

    def free_disks(self, key: str) -> None:
        """Take back what `fill_disks` did."""

    def delete_disk(self, disk_id: str) -> None:
        """Forget a data disk."""


@dataclass
class Cloud:
    """One subscription in one tenant.

    Attributes:
        fabric: None is control-plane mode: ARM answers, no packet moves.
        machines: None is control-plane mode: a machine is a record.
        turns: Whose turn it is to do something to a machine, by its id.
    """

    instance: Instance
    tenant_id: str
    subscription_id: str
    client_id: str
    clock: Callable[[], float]
    fabric: Fabric | None = None
    machines: Machines | None = None
    latency: float = 0.0
    next_public_offset: int = 0
    store: Store = field(default_factory=Store)
    turns: dict[str, threading.Lock] = field(default_factory=lambda: defaultdict(threading.Lock))
    operations: Operations = field(init=False)
    faults: Faults = field(init=False)

    def __post_init__(self) -> None:
        self.operations = Operations(self.clock, self.carried_version, self._pace)
        self.faults = Faults(self.clock)
        self._carried = 0
        self._applied: Network | None = None
        self._converging = threading.Lock()

    def _pace(self) -> float:
        """How long operations take, as a part of what they take on Azure."""
        return max([self.latency, *(fault.factor for fault in self.faults.active(Slow))])

    def carried_version(self) -> float:
        """The store's version that packets already see."""
        return self._carried if self.fabric else inf

    def converge(self, *, wait: bool = True) -> None:
        """Make the fabric carry what the store says; many writers at once share one application.

        Never call it with the store's lock held.

        Args:
            wait: If somebody else is at it; a reader need not.
        """
        wanted = self.store.version
        if self.fabric is None or self._carried >= wanted or not self._converging.acquire(blocking=wait):
            return
        try:
            if self._carried >= wanted:
                return
            with self.store.lock:
                version, network = self.store.version, describe(self.store, self.faults)
            if network != self._applied:
                self.fabric.apply(network)
                self._applied = network
            self._carried = version
        finally:
            self._converging.release()
