"""The lines between servers and clients of the mesh, and where a client's files say that the server is."""

import json
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

HEARTBEAT_S = 10.0
SILENCE_S = 25.0  # a server that says nothing for so long is gone
CONNECT_TIMEOUT_S = 5.0
TROUBLES = (OSError, ValueError, KeyError)

State = dict[str, Any]


@dataclass(frozen=True)
class Peer:
    """Where a cluster is reached, and what it is verified by."""

    host: str
    port: int
    addresses: tuple[str, ...]
    authority: str
    certificate: str
    key: str


def read_peer(text: str) -> Peer:
    """Read a cluster's file, in the form that etcd's clients have."""
    given = yaml.safe_load(text)
    endpoint = urlsplit(given["endpoints"][0])
    host = endpoint.hostname or ""
    aliases = given.get("cilium-host-aliases", {}).get(host, {})
    return Peer(
        host=host,
        port=endpoint.port or 2379,
        addresses=tuple(aliases.get("ips", ())),
        authority=given["trusted-ca-file"],
        certificate=given["cert-file"],
        key=given["key-file"],
    )


def declared_clusters(folder: Path) -> list[Path]:
    """Return the files of a folder that each declare a cluster; the others are the client's certificate."""
    files = folder.iterdir() if folder.is_dir() else ()
    return sorted(path for path in files if path.is_file() and "etcd-client" not in path.name)


def states(peer: Peer, address: str) -> Iterator[State]:
    """Connect to one address of a server and yield what it says, until the connection ends.

    Raises:
        OSError: it cannot be reached, is not who it should be, or went silent.
        ValueError: it talks something else.
    """
    context = ssl.create_default_context(cafile=peer.authority)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # Cilium's verification is Go's, which is not as strict
    context.load_cert_chain(peer.certificate, peer.key)
    with socket.create_connection((address, peer.port), timeout=CONNECT_TIMEOUT_S) as raw:
        raw.settimeout(SILENCE_S)
        with context.wrap_socket(raw, server_hostname=peer.host) as connection:
            for line in connection.makefile():
                state: State = json.loads(line)
                yield state
    raise ConnectionError("the server closed the connection")


def wait_for_file(path: Path) -> None:
    """Wait until a file is there."""
    while not path.exists():
        time.sleep(1)
