"""`clustermesh-apiserver kvstoremesh`: stays connected to every declared cluster, from the pod's address."""

import argparse
import json
import logging
import os
import socket
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from sandbox.cilium.mesh.apiserver import SOCKET
from sandbox.cilium.mesh.protocol import (
    TROUBLES,
    Peer,
    State,
    declared_clusters,
    read_peer,
    states,
    wait_for_file,
)

FOLDER = Path("/var/lib/cilium/clustermesh")
STATUS = Path("/run/clustermesh/status.json")
RESCAN_S = 5.0
MIN_RETRY_S, MAX_RETRY_S = 0.5, 8.0

log = logging.getLogger("kvstoremesh")


class Mismatch(Exception):
    """The cluster at the other end is not the declared one."""


@dataclass
class Remote:
    """What is known of one other cluster."""

    name: str
    connected: bool = False
    cluster_id: int = 0
    nodes: int = 0
    failures: int = 0
    last_failure: str = ""
    status: str = "Waiting for initial connection to be established"


class Mesh:
    """All declared clusters; tells the apiserver container of every change."""

    def __init__(self, name: str, cluster_id: int) -> None:
        self._name, self._id = name, cluster_id
        self.remotes: dict[str, Remote] = {}
        self._changed = threading.Condition()
        self._revision = 0

    def follow_files(self) -> None:
        """Follow each cluster that has a file, for ever; a Secret changes its files in place."""
        while True:
            declared = {path.name for path in declared_clusters(FOLDER)}
            with self._changed:
                for name in set(self.remotes) - declared:
                    del self.remotes[name]
                    self._tell()
                new = declared - set(self.remotes)
                for name in new:
                    self.remotes[name] = Remote(name)
                    self._tell()
            for name in new:
                threading.Thread(target=self._follow, args=(self.remotes[name],), daemon=True).start()
            time.sleep(RESCAN_S)

    def report(self) -> None:
        """Write every change to the apiserver container, for ever."""
        while True:
            wait_for_file(SOCKET)
            try:
                with socket.socket(socket.AF_UNIX) as connection:
                    connection.connect(str(SOCKET))
                    self._report_on(connection)
            except OSError as error:
                log.warning("apiserver: %s", error)
                time.sleep(1)

    def _report_on(self, connection: socket.socket) -> None:
        said = -1
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._revision != said)  # noqa: B023
                said = self._revision
                line = json.dumps({name: asdict(remote) for name, remote in self.remotes.items()})
            draft = STATUS.with_suffix(".draft")
            draft.write_text(line)
            draft.replace(STATUS)
            connection.sendall(line.encode() + b"\n")

    def _tell(self) -> None:
        self._revision += 1
        self._changed.notify_all()

    def _follow(self, remote: Remote) -> None:
        wait_s = MIN_RETRY_S
        while self.remotes.get(remote.name) is remote:
            try:
                if self._listen(remote, read_peer((FOLDER / remote.name).read_text())):
                    wait_s = MIN_RETRY_S
            except TROUBLES as error:  # its file is gone, which `follow_files` sees too, or wrong
                self.lost(remote, str(error))
            time.sleep(wait_s)
            wait_s = min(wait_s * 2, MAX_RETRY_S)

    def _listen(self, remote: Remote, peer: Peer) -> bool:
        """Take in what a cluster says at one address after the other; tell whether it said anything."""
        heard = False
        for address in peer.addresses or (peer.host,):
            where = f"https://{address}:{peer.port}"
            try:
                for state in states(peer, address):
                    self.check(remote, state)
                    if self.remotes.get(remote.name) is not remote:
                        return heard
                    self.found(remote, state, where)
                    heard = True
            except (*TROUBLES, Mismatch) as error:
                self.lost(remote, f"{where}: {error}")
        return heard

    def check(self, remote: Remote, state: State) -> None:
        """See that what answers is the declared cluster.

        Raises:
            Mismatch: it is another, or its id is taken.
        """
        if state["name"] != remote.name:
            raise Mismatch(f"it is cluster {state['name']}, and not {remote.name}")
        if state["id"] == self._id:
            raise Mismatch(f"its cluster id is {self._id} as our own")
        for other in list(self.remotes.values()):
            if other is not remote and other.connected and other.cluster_id == state["id"]:
                raise Mismatch(f"its cluster id is {state['id']} as that of {other.name}")

    def found(self, remote: Remote, state: State, where: str) -> None:
        """Take in what a connected cluster says."""
        with self._changed:
            if not remote.connected:
                log.info("%s: connected to %s", remote.name, where)
            status = f"etcd: 1/1 connected, has-quorum=true: {where} (a stand-in)"
            found = (True, state["id"], state["nodes"], status)
            if (remote.connected, remote.cluster_id, remote.nodes, remote.status) != found:
                remote.connected, remote.cluster_id, remote.nodes, remote.status = found
                self._tell()

    def lost(self, remote: Remote, reason: str) -> None:
        """Take in that a cluster is not, or no longer, connected."""
        with self._changed:
            if remote.connected or remote.status != reason:
                log.warning("%s: %s", remote.name, reason)
            remote.connected, remote.status = False, reason
            remote.failures += 1
            remote.last_failure = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            self._tell()


def main() -> None:
    """Stay connected until the pod ends."""
    name, cluster_id = os.environ["CLUSTER_NAME"], int(os.environ["CLUSTER_ID"])
    log.info("this is a stand-in for Cilium's kvstoremesh, made by Roachmesh's sandbox; not Cilium")
    mesh = Mesh(name, cluster_id)
    threading.Thread(target=mesh.report, daemon=True).start()
    mesh.follow_files()


def show_status(arguments: list[str]) -> None:
    """Run `clustermesh-apiserver kvstoremesh-dbg status`."""
    parser = argparse.ArgumentParser("kvstoremesh-dbg")
    parser.add_argument("command", choices=("status",))
    parser.add_argument("-o", "--output", choices=("json",))
    given = parser.parse_args(arguments)
    remotes: State = json.loads(STATUS.read_text()) if STATUS.exists() else {}
    if given.output == "json":
        sys.stdout.write(json.dumps([as_status(remote) for remote in remotes.values()], indent=2) + "\n")
        return
    for remote in remotes.values():
        sys.stdout.write(
            f"{remote['name']}: {'ready' if remote['connected'] else 'not-ready'}, {remote['status']}\n"
        )


def as_status(remote: State) -> State:
    """Return a remote cluster in the form of Cilium's API. Source: api/v1/models/remote_cluster.go."""
    connected = remote["connected"]
    kinds = ("endpoints", "identities", "nodes", "services")
    return {
        "name": remote["name"], "connected": connected, "ready": connected,
        "config": {"cluster-id": remote["cluster_id"], "kvstoremesh": True, "required": True,
                   "retrieved": connected, "sync-canaries": True},
        "last-failure": remote["last_failure"] or "0001-01-01T00:00:00.000Z",
        "num-failures": remote["failures"], "num-nodes": remote["nodes"] if connected else 0,
        "num-endpoints": 0, "num-identities": 0, "num-shared-services": 0, "num-service-exports": 0,
        "status": remote["status"], "synced": dict.fromkeys(kinds, connected),
    }  # fmt: skip
