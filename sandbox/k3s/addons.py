"""What k3s brings along besides Kubernetes, in a process of its own: it ends when another server leads."""

import sys

from sandbox.cluster import addons
from sandbox.cluster.leader import Lost
from sandbox.k3s import paths
from sandbox.k3s.config import ServerConfig
from sandbox.k3s.errors import Fatal

COMMAND = "k3s-addons"  # no command of k3s: this program calls itself


def command(config: ServerConfig) -> list[str]:
    """Return the command line of that process."""
    settings = (str(config.cluster_dns), config.cluster_domain, *sorted(config.disabled))
    return [sys.executable, "-I", sys.argv[0], COMMAND, *settings]


def run(arguments: list[str]) -> None:
    """Be that process.

    Raises:
        Fatal: another server leads now.
    """
    cluster_dns, cluster_domain, *disabled = arguments
    try:
        addons.run(paths.ADMIN, set(disabled), cluster_dns, cluster_domain)
    except Lost as error:
        raise Fatal(str(error)) from error
