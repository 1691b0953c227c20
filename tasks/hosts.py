"""Machines as SSH hosts with pinned keys; the only door to a machine."""

import io
import socket
import threading
from collections import defaultdict
from ipaddress import IPv4Address

import fabric
import paramiko
from paramiko.hostkeys import HostKeyEntry
from paramiko.ssh_exception import NoValidConnectionsError

from blocks import SshKey
from roachmesh import names
from roachmesh.errors import HostFailed, HostUnreachable, RoachmeshError
from roachmesh.topology import Model
from tasks.deployment import Deployment
from tasks.sessions import Session

CONNECT_TIMEOUT_S = 10
# Every so often something is sent; a machine that confirms nothing for so long is gone.
KEEPALIVE_S = 20
SILENCE_MS = 40_000

_sessions: dict[str, Session] = {}  # by host key, which is a machine's and no other's
_opening: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)


class Host(Model):
    """A machine that can be reached.

    Attributes:
        name: The node's name, which is the host name too.
        address: Its public address.
        host_key: Its pinned key, as `ssh-ed25519 AAAA...`.
    """

    name: str
    address: IPv4Address
    host_key: str


def connect(host: Host, key: SshKey) -> Session:
    """Open a session to a machine whose key is the pinned one.

    Raises:
        HostUnreachable: nothing answers there, or it does not accept our key (yet).
        HostFailed: what answers has another host key.
    """
    address = str(host.address)
    private = paramiko.Ed25519Key(file_obj=io.StringIO(key.private_key.get_secret_value()))
    connection = fabric.Connection(
        address,
        user=names.ADMIN_USER,
        config=fabric.Config(overrides={"load_ssh_configs": False}, lazy=True),
        connect_timeout=CONNECT_TIMEOUT_S,
        connect_kwargs={
            "pkey": private,
            "allow_agent": False,
            "look_for_keys": False,
            "channel_timeout": CONNECT_TIMEOUT_S,
        },
    )
    connection.client.set_missing_host_key_policy(paramiko.RejectPolicy())
    connection.client.get_host_keys().add(address, *_key(host))
    try:
        connection.open()
        connection.transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENCE_MS)
        connection.transport.set_keepalive(KEEPALIVE_S)
        return Session(host.name, connection)
    except (OSError, EOFError, paramiko.SSHException) as exc:
        connection.client.close()
        raise _translate(exc, host) from exc


def _translate(error: Exception, host: Host) -> RoachmeshError:
    """Say why there is no session; only another host key is past all hope."""
    if isinstance(error, paramiko.BadHostKeyException):
        return HostFailed(
            f"the machine at {host.address} has another SSH host key than the one it was made with.",
            where=host.name,
            advice="Do not trust it: find out who answers there, or delete the machine and deploy again.",
        )
    if isinstance(error, paramiko.AuthenticationException):
        return HostUnreachable(
            f"it does not accept our SSH key: {error}",
            where=host.name,
            advice=f"Once it has booted, somebody changed its user {names.ADMIN_USER}: "
            "put the key back, or delete the machine and deploy again.",
        )
    if isinstance(error, NoValidConnectionsError):  # hides what happened behind one sentence for all
        [error] = error.errors.values()
    return HostUnreachable(f"no SSH at {host.address}: {error}", where=host.name)


def _key(host: Host) -> tuple[str, paramiko.PKey]:
    entry = HostKeyEntry.from_line(f"{host.address} {host.host_key}")
    if entry is None:
        raise HostFailed("its pinned SSH host key is no key.", where=host.name)
    return entry.key.get_name(), entry.key


def session(deployment: Deployment, host: Host) -> Session:
    """Give this process's session to a machine; it stays open, and is opened anew when it broke.

    Raises:
        HostUnreachable, HostFailed: see `connect`.
    """
    with _opening[host.host_key]:
        opened = _sessions.get(host.host_key)
        if opened is None or not opened.is_open:
            opened = _sessions[host.host_key] = connect(host, deployment.ssh_key())
    return opened
