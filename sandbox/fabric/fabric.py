"""The fabric: told what exists, it makes the kernel carry it."""

import threading

from sandbox import processes
from sandbox.fabric import converge, edge, kernel, layout, router, routes
from sandbox.fabric.layout import Plan
from sandbox.fabric.model import Network
from sandbox.instance import Instance
from sandbox.services import resolver, time


class Fabric:
    """The network of one instance.

    `apply` may be called by many threads. The first one reads what the kernel holds, so that a fabric
    finds its way into what another process of the same instance left behind; the next ones know.
    """

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._lock = threading.Lock()
        self._plan: Plan | None = None
        self._filters: dict[str, str] = {}

    def apply(self, network: Network) -> None:
        """Converge to the whole description.

        Raises:
            UnknownTag: a security rule names a tag that the sandbox does not know; nothing was changed.
            CommandFailed: the kernel refused a step; the next call starts from what stands then.
        """
        wanted = layout.plan(self._instance, network)
        routes.add_tables(wanted, self._instance, network)
        filters = edge.ruleset(self._instance) | router.rulesets(self._instance, network)
        with self._lock:
            known, self._plan = self._plan, None  # unknown until all of this has happened
            current = known or kernel.read(self._instance)
            if known is None:
                self._filters = {}
                converge.hold_back(self._instance)
            changed = {space: text for space, text in filters.items() if self._filters.get(space) != text}
            converge.converge(current, wanted, changed)
            running = set(processes.roles(self._instance).values())
            resolver.serve(self._instance, network, running)
            time.serve(self._instance, running, wanted=network.has_time)
            self._plan, self._filters = wanted, filters
