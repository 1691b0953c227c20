"""What the fabric calls its namespaces and links; every name is derived, none is remembered."""

from hashlib import sha256
from pathlib import Path

from sandbox.instance import Instance

NAMESPACES = Path("/run/netns")
HOST_LINK = "host"  # in the edge: to this computer
EDGE_LINK = "edge"  # in a router: to the edge


def edge(instance: Instance) -> str:
    """Name the namespace that is the internet."""
    return f"{instance.mark}-edge"


def router(instance: Instance, network: str) -> str:
    """Name the namespace that routes and filters for a virtual network."""
    return f"{instance.mark}-net-{_short(network)}"


def machine(instance: Instance, key: str) -> str:
    """Name the namespace that a machine runs in."""
    return f"{instance.mark}-m-{key}"


def routes_packets(namespace: str) -> bool:
    """Tell the edge and routers from machines."""
    return "-m-" not in namespace


def path(namespace: str) -> Path:
    """Return the file that stands for a namespace."""
    return NAMESPACES / namespace


def all_of(instance: Instance) -> set[str]:
    """Return the namespaces of this instance that exist now."""
    return {file.name for file in _files(instance) if _is_whole(file)}


def forget_half_made(instance: Instance) -> None:
    """Remove files that a killed `ip netns add` left before they stood for a namespace."""
    for file in _files(instance):
        if not _is_whole(file):
            file.unlink()


def on_this_computer(instance: Instance) -> str:
    """Name this computer's end of the link to the edge."""
    return f"{instance.mark}-host"


def to_interface(interface: str) -> str:
    """Name a router's link to a network interface."""
    return f"n{_short(interface)}"


def to_network(network: str) -> str:
    """Name the edge's link to the router of a virtual network."""
    return f"v{_short(network)}"


def to_peer(network: str) -> str:
    """Name a router's link to the router of a peer."""
    return f"p{_short(network)}"


def interface_mac(interface: str) -> str:
    """Make up a hardware address with one of Azure's prefixes."""
    digest = sha256(interface.encode()).hexdigest()
    prefix = "00:0d:3a" if int(digest[-1], 16) % 2 else "60:45:bd"
    return f"{prefix}:{digest[0:2]}:{digest[2:4]}:{digest[4:6]}"


def link_mac(namespace: str, link: str) -> str:
    """Make up a hardware address for a link between the fabric's own namespaces."""
    digest = sha256(f"{namespace}/{link}".encode()).hexdigest()
    return f"02:{digest[0:2]}:{digest[2:4]}:{digest[4:6]}:{digest[6:8]}:{digest[8:10]}"


def _short(identifier: str) -> str:
    return sha256(identifier.encode()).hexdigest()[:10]


def _files(instance: Instance) -> list[Path]:
    return list(NAMESPACES.glob(f"{instance.mark}-*"))


def _is_whole(file: Path) -> bool:
    """Tell whether a namespace is mounted on a file: then it is on another device than its folder."""
    return file.stat().st_dev != NAMESPACES.stat().st_dev
