"""The time server: chronyd in the edge, which hands out this computer's clock and never sets it."""

from sandbox import processes
from sandbox.fabric import names
from sandbox.instance import Instance
from sandbox.services import daemons

_ROLE = "time"
_STRATUM = 2


def serve(instance: Instance, running: set[str], *, wanted: bool) -> None:
    """Run the time server if it is wanted, unless it is among the `running` roles."""
    if wanted and _ROLE not in running:
        daemons.start(
            instance, _ROLE, names.edge(instance), instance.directory / "time",
            "chronyd", "-x", f"local stratum {_STRATUM}", "allow", f"bindaddress {instance.time_address}",
            "cmdport 0",
        )  # fmt: skip
    elif not wanted and _ROLE in running:
        processes.end(instance, _ROLE, grace_s=1)
