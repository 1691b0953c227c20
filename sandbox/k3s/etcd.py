"""Membership of the etcd cluster: who is in it, how a server gets in, how one that is gone gets out.

Source: pkg/etcd/etcd.go of k3s-io/k3s.
"""

import json
import secrets
import subprocess
from dataclasses import dataclass
from typing import Any

from sandbox.k3s import paths
from sandbox.k3s.config import NodeConfig
from sandbox.k3s.control_plane import CLIENT_PORT, PEER_PORT
from sandbox.k3s.errors import Fatal
from sandbox.k3s.logs import log

NAME = paths.ETCD / "name"
# Said by a cluster that cannot take a member now, and will in a moment.
_BUSY = ("too many learner members", "unhealthy cluster", "re-configuration failed", "request timed out")


class EtcdBusy(Exception):
    """The cluster cannot take a member now."""


class EtcdError(Exception):
    """The cluster refused, or does not answer."""


@dataclass(frozen=True)
class Member:
    """A member; one that was added and never started has no name."""

    number: int
    name: str
    peer_url: str
    is_learner: bool


class Etcd:
    """A cluster, seen through the etcd of some of its servers."""

    def __init__(self, servers: list[str]) -> None:
        self._endpoints = ",".join(f"https://{server}:{CLIENT_PORT}" for server in servers)

    def members(self) -> list[Member]:
        """List them."""
        return [
            Member(found["ID"], found.get("name", ""), found["peerURLs"][0], found.get("isLearner", False))
            for found in self._run("member", "list")["members"]
        ]

    def add_learner(self, name: str, peer_url: str) -> None:
        """Add a member that does not vote until it knows everything."""
        self._run("member", "add", name, "--learner", f"--peer-urls={peer_url}")

    def promote(self, member: Member) -> None:
        """Let a learner vote.

        Raises:
            EtcdError: among others, it does not know everything yet.
        """
        self._run("member", "promote", f"{member.number:x}")

    def remove(self, name: str) -> None:
        """Remove a member, if it is one."""
        for member in self.members():
            if member.name == name:
                self._run("member", "remove", f"{member.number:x}")
                log.info("Removed member %s from etcd cluster", name)

    def _run(self, *arguments: str) -> Any:
        tls = paths.TLS / "etcd"
        done = subprocess.run(
            [
                "etcdctl", f"--endpoints={self._endpoints}", f"--cacert={tls}/server-ca.crt",
                f"--cert={tls}/client.crt", f"--key={tls}/client.key", "--command-timeout=10s",
                "--write-out=json", *arguments,
            ],
            capture_output=True,
            text=True,
            check=False,
        )  # fmt: skip
        if done.returncode == 0:
            return json.loads(done.stdout)
        lines = done.stderr.strip().splitlines() or [f"etcdctl ended with {done.returncode}"]
        said = lines[-1].removeprefix("Error: ")
        if any(busy in said for busy in _BUSY):
            raise EtcdBusy(said)
        raise EtcdError(said)


def is_member() -> bool:
    """Tell whether this server's etcd has data of its own."""
    return (paths.ETCD / "member").exists()


def member_name(config: NodeConfig) -> str:
    """Return this server's name as a member: its node's name and something that no other life of it has."""
    if not NAME.exists():
        paths.ETCD.mkdir(parents=True, mode=0o700, exist_ok=True)
        NAME.write_text(f"{config.node_name}-{secrets.token_hex(4)}")
    return NAME.read_text()


def peer_url(config: NodeConfig) -> str:
    """Return where other members find this server's etcd."""
    return f"https://{config.node_ip}:{PEER_PORT}"


def enter(cluster: Etcd, config: NodeConfig) -> dict[str, str]:
    """Add this server to a cluster, unless an earlier attempt did.

    Returns:
        Peer URLs of all members by name, ours among them.

    Raises:
        Fatal: a member of the same node's name is there already.
        EtcdBusy: the cluster takes none at the moment.
    """
    ours, members = member_name(config), {}
    added = False
    for member in cluster.members():
        if member.peer_url == peer_url(config) and member.name in ("", ours):
            added = True
        elif member.name.rpartition("-")[0] == config.node_name:
            NAME.unlink()
            raise Fatal(
                "etcd cluster join failed: duplicate node name found, please use a unique name for this node"
            )
        else:
            members[member.name] = member.peer_url
    if not added:
        log.info("Adding member %s=%s to etcd cluster %s", ours, peer_url(config), members)
        cluster.add_learner(ours, peer_url(config))
    return members | {ours: peer_url(config)}


def promoted(cluster: Etcd, config: NodeConfig) -> bool:
    """Tell whether this server votes; if not, ask for it."""
    ours = [member for member in cluster.members() if member.peer_url == peer_url(config)]
    for learner in (member for member in ours if member.is_learner):
        try:
            cluster.promote(learner)
        except EtcdError as error:
            log.debug("not promoted yet: %s", error)
            return False
    return True
