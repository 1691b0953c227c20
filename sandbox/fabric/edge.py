"""The packet filter of the edge: the internet, as far as a sandbox has one.

It joins the public addresses with each other, the mirror, the time server and this computer. Anything
else is unreachable, and says so at once.
"""

from collections.abc import Iterable

from sandbox.fabric import names
from sandbox.fabric.ports import chain
from sandbox.fabric.router import table
from sandbox.instance import Instance


def ruleset(instance: Instance) -> dict[str, str]:
    """Render the edge's filter."""
    return {names.edge(instance): table([chain("forward", _forward())])}


def _forward() -> Iterable[str]:
    yield "type filter hook forward priority filter; policy accept;"
    yield "ct state established,related accept"
    # Machines answer this computer; they never open a connection to what listens on it.
    yield f'oifname "{names.HOST_LINK}" reject with icmp admin-prohibited'
