"""The commands: which there are, and how each ends."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

from sandbox.cluster.kubernetes_api import ApiError, Unreachable
from sandbox.k3s import addons, paths
from sandbox.k3s.config import agent_config, server_config
from sandbox.k3s.errors import Fatal, UsageError
from sandbox.k3s.flags import Flags
from sandbox.k3s.logs import STAND_IN, log, log_to_stderr

_USAGE = f"""{STAND_IN}

Usage:
  k3s server     run a server: control plane, etcd, and a node
  k3s agent      run a node of another server's cluster
  k3s kubectl    Kubernetes' command line, with this server's kubeconfig
  k3s ctr        containerd's command line, with this node's socket
  k3s --version

Flags and /etc/rancher/k3s/config.yaml are those of k3s; what is not emulated is refused.
"""


def main(version: str, words: list[str]) -> int:
    """Run a command line, and return its exit code.

    Args:
        version: What the stand-in stands in for, such as v1.36.4+k3s1.
        words: The command's name, as it was called, and its arguments.
    """
    called, *arguments = words
    command = Path(called).name
    if command not in PROGRAMS:  # k3s links kubectl and others to itself
        command, *arguments = arguments or ["help"]
    log_to_stderr()
    try:
        return _run(version, command, arguments)
    except (Fatal, ApiError, Unreachable) as error:
        log.critical("%s", error)
        return 1


def _run(version: str, command: str, arguments: list[str]) -> int:
    if command in ("help", "--help", "-h"):
        sys.stdout.write(_USAGE)
    elif command in ("--version", "-v"):
        sys.stdout.write(f"k3s version {version} (stand-in)\n{STAND_IN}\n")
    elif command in PROGRAMS:
        PROGRAMS[command](arguments)
    elif command in SERVICES:
        _serve(version, command, arguments)
    else:
        raise UsageError(f"k3s {command}: no command of k3s, or one that the sandbox's stand-in lacks")
    return 0


def _serve(version: str, command: str, arguments: list[str]) -> None:
    if os.geteuid() != 0:
        raise Fatal(f"k3s {command} must be run as root")
    log.info("Starting k3s %s (stand-in): %s", version, STAND_IN)
    SERVICES[command](arguments)


def _server(arguments: list[str]) -> None:
    from sandbox.k3s import server

    server.run(server_config(Flags("server").read(arguments, os.environ, paths.CONFIG)))


def _agent(arguments: list[str]) -> None:
    from sandbox.k3s import agent

    agent.run(agent_config(Flags("agent").read(arguments, os.environ, paths.CONFIG)))


def _kubectl(arguments: list[str]) -> None:
    os.environ.setdefault("KUBECONFIG", str(paths.KUBECONFIG))
    os.execv(paths.BINARIES / "kubectl", ["kubectl", *arguments])  # noqa: S606


def _ctr(arguments: list[str]) -> None:
    os.environ.setdefault("CONTAINERD_ADDRESS", str(paths.CONTAINERD_SOCKET))
    os.environ.setdefault("CONTAINERD_NAMESPACE", "k8s.io")
    os.execvp("ctr", ["ctr", *arguments])  # noqa: S606


SERVICES: dict[str, Callable[[list[str]], None]] = {"server": _server, "agent": _agent}
PROGRAMS: dict[str, Callable[[list[str]], None]] = {
    "kubectl": _kubectl,
    "ctr": _ctr,
    addons.COMMAND: addons.run,
}
