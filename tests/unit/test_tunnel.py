"""The tunnel to a node, with a socket as the machine's side of it."""

import logging
import socket
from collections.abc import Iterator
from contextlib import closing
from ipaddress import IPv4Address
from typing import Any

import paramiko
import pytest

from tasks.tunnel import open_tunnel


class Transport:
    """Answers each way that is opened with the address that it leads to, as a node would with SQL."""

    def open_channel(self, kind: str, destination: tuple[str, int], source: Any) -> socket.socket:
        if destination[0] == "10.10.0.9":
            raise paramiko.SSHException("Timeout opening channel.")
        near, far = socket.socketpair()
        far.sendall("{}:{}".format(*destination).encode())
        far.close()
        return near


def connect(port: int) -> bytes:
    with closing(socket.create_connection(("127.0.0.1", port), timeout=5)) as connection:
        return connection.recv(100)


def test_every_connection_leads_to_where_the_node_is_by_then() -> None:
    addresses: Iterator[tuple[IPv4Address, int]] = iter(
        [(IPv4Address("10.10.0.7"), 26257), (IPv4Address("10.10.0.10"), 26257)]
    )

    with open_tunnel(Transport(), lambda: next(addresses)) as port:
        assert [connect(port), connect(port)] == [b"10.10.0.7:26257", b"10.10.0.10:26257"]


def test_a_way_that_leads_nowhere_is_closed_and_said_without_a_traceback(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    nowhere = IPv4Address("10.10.0.9")
    with (
        caplog.at_level(logging.WARNING),
        open_tunnel(Transport(), lambda: (nowhere, 26257)) as port,
    ):
        assert connect(port) == b""

    assert "no way to the node: Timeout opening channel." in caplog.text
    assert "Traceback" not in capfd.readouterr().err
