"""The network test's two programs, against each other on this computer, and against others."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from roachmesh.remote import probe
from tasks.sessions import program_text

HERE = "127.0.0.1"
MTU = int(Path("/sys/class/net/lo/mtu").read_text())


@contextmanager
def listening(answer: bytes = b"") -> Iterator[int]:
    """Something else than our answerer: it says `answer` and no more; gives its port."""
    with socket.create_server((HERE, 0)) as server:
        port = server.getsockname()[1]
        child = os.fork()
        if child == 0:
            while True:
                connection, _ = server.accept()
                connection.sendall(answer)
        try:
            yield port
        finally:
            os.kill(child, 9)
            os.waitpid(child, 0)


@pytest.fixture(scope="module")
def answerer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[int]]:
    """Our answerer as a service; gives its ports."""
    with socket.create_server((HERE, 0)) as one, socket.create_server((HERE, 0)) as other:
        ports = [one.getsockname()[1], other.getsockname()[1]]
    path = str(tmp_path_factory.mktemp("notify") / "socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(path)
        notified.settimeout(10)
        program = [sys.executable, "-c", program_text("answer"), *map(str, ports)]
        with subprocess.Popen(program, env={**os.environ, "NOTIFY_SOCKET": path}) as process:
            assert notified.recv(100) == b"READY=1"
            yield ports
            process.terminate()


@pytest.fixture(autouse=True)
def dns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Knows one name, which is this computer's."""

    def look_up(name: str, *_: Any, **__: Any) -> list[Any]:
        if name != "here.cluster.local.":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (HERE, 0))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


def target(address: str = HERE, name: str | None = None, *, answers: bool = True) -> dict[str, Any]:
    return {"address": address, "name": name, "answers": answers}


def probed(ports: list[int], *targets: dict[str, Any], patience_s: float = 0) -> list[dict[str, Any]]:
    return probe.main({"targets": targets, "ports": ports, "timeout_s": 0.5, "patience_s": patience_s})


def test_a_way_that_works_is_measured(answerer: list[int]) -> None:
    (seen,) = probed(answerer, target(name="here.cluster.local"))

    assert seen["problems"] == {}
    assert seen["round_trip_ms"] >= 0
    assert 0 < seen["packet_bytes"] <= MTU


def test_the_result_of_a_pod_is_what_it_writes(answerer: list[int]) -> None:
    request = {"targets": [target()], "ports": answerer, "timeout_s": 5, "patience_s": 0}
    program = [sys.executable, "-c", program_text("probe"), json.dumps(request)]

    done = subprocess.run(program, capture_output=True, text=True, check=True)

    (seen,) = json.loads(done.stdout)
    assert seen["problems"] == {}


def test_a_port_that_nobody_listens_on_is_named(answerer: list[int]) -> None:
    seen, other = probed([answerer[0], 1], target(), target("127.0.0.2"))

    assert seen["problems"] == other["problems"] == {"port 1": "Connection refused"}


def test_a_name_that_nobody_knows_or_that_is_another_ones_is_named(answerer: list[int]) -> None:
    unknown, other = probed(
        answerer, target(name="nowhere.invalid"), target("127.0.0.2", "here.cluster.local")
    )

    assert unknown["problems"] == {"name": "Name or service not known"}
    assert other["problems"] == {"name": "resolves to 127.0.0.1, not 127.0.0.2"}


def test_a_database_that_says_nothing_is_reached_and_no_more_is_known() -> None:
    with listening() as port:
        (seen,) = probed([port], target(answers=False))

    assert (seen["problems"], seen["packet_bytes"]) == ({}, None)
    assert seen["round_trip_ms"] >= 0


def test_an_answerer_that_says_nothing_is_no_answerer() -> None:
    with listening() as port:
        (seen,) = probed([port], target())

    assert seen["problems"] == {f"port {port}": "no answer in 0.5 s"}


def test_another_ones_answer_is_told_from_ours() -> None:
    with listening(b"SSH-2.0-OpenSSH\n") as port:
        (seen,) = probed([port], target())

    assert seen["problems"] == {f"port {port}": "something else answers there"}


def test_an_address_that_was_translated_on_the_way_is_named_with_both() -> None:
    with listening(b"roachmesh 198.18.0.40\n") as port:
        (seen,) = probed([port], target())

    assert seen["problems"] == {"source address": "arrives from 198.18.0.40 instead of 127.0.0.1"}


def test_a_way_that_carries_little_and_not_much_is_named() -> None:
    with listening(b"roachmesh 127.0.0.1\n") as port:
        (seen,) = probed([port], target())

    assert seen["problems"] == {"1 MiB": "no answer in 1.5 s"}


def test_what_arrives_garbled_is_named() -> None:
    with listening(b"roachmesh 127.0.0.1\n" + bytes(100)) as port:
        (seen,) = probed([port], target())

    assert seen["problems"] == {"1 MiB": "differs within 100 bytes after the first 0"}


def test_what_fails_is_tried_again_until_it_works(answerer: list[int], tmp_path: Path) -> None:
    with socket.create_server((HERE, 0)) as server:
        port = server.getsockname()[1]
    later = f"import time; time.sleep(0.7)\n{program_text('answer')}"
    with subprocess.Popen([sys.executable, "-c", later, str(port)]) as process:
        (seen,) = probed([port], target(), patience_s=10)
        process.terminate()

    assert seen["problems"] == {}
