"""Azure's resolver: in every virtual network at 168.63.129.16, with names of that network.

It knows the machines of its network, the sandbox's own names, and nothing else: it asks no server, and
any other name does not exist.
"""

from pathlib import Path

from sandbox import processes
from sandbox.fabric import layout, names
from sandbox.fabric.model import Network
from sandbox.fabric.tags import PLATFORM_ADDRESS
from sandbox.instance import MIRROR_NAME, Instance
from sandbox.services import daemons

DOMAIN = "internal.cloudapp.net"
TIME_NAMES = ("time.windows.com", "pool.ntp.org", "ntp.ubuntu.com", "time.google.com", "time.cloudflare.com")

_ROLE = "resolver:"


def serve(instance: Instance, network: Network, running: set[str]) -> None:
    """Run one resolver per virtual network, unless its role is among those `running`."""
    wanted = hosts(instance, network)
    for router, lines in wanted.items():
        folder = instance.directory / "resolvers" / router
        _publish(folder, lines)
        if _ROLE + router not in running:
            daemons.start(instance, _ROLE + router, router, folder, *_command(instance))
    for role in running:
        if role.startswith(_ROLE) and role.removeprefix(_ROLE) not in wanted:
            processes.end(instance, role, grace_s=1)


def hosts(instance: Instance, network: Network) -> dict[str, list[str]]:
    """Return the lines of the hosts file of every virtual network, by its router's namespace."""
    lines: dict[str, list[str]] = {names.router(instance, one.id): [] for one in network.virtual_networks}
    for interface in layout.plugged_in(network):
        if interface.hostname:
            virtual_network, _ = layout.home(interface, network)
            router = names.router(instance, virtual_network.id)
            lines[router].append(f"{interface.address} {interface.hostname}.{DOMAIN} {interface.hostname}")
    return lines


def _command(instance: Instance) -> list[str]:
    own = [f"--address=/{MIRROR_NAME}/{instance.mirror_address}"]
    time = [f"--address=/{name}/{instance.time_address}" for name in TIME_NAMES]
    return [
        "dnsmasq", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--pid-file=",
        f"--hostsdir={daemons.FOLDER}", f"--listen-address={PLATFORM_ADDRESS}", "--bind-interfaces",
        *own, *time, "--address=/#/", "--local-ttl=5", "--log-facility=/dev/null",
    ]  # fmt: skip


def _publish(folder: Path, lines: list[str]) -> None:
    """Replace the hosts file in one step; dnsmasq watches the folder and skips names with a dot first."""
    text, file = "".join(f"{line}\n" for line in lines), folder / "hosts"
    folder.mkdir(parents=True, exist_ok=True)
    if file.exists() and file.read_text() == text:
        return
    draft = folder / ".hosts"
    draft.write_text(text)
    draft.replace(file)
