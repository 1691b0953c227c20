"""Bringing a sandbox up and down when somebody else does the same, or something was left or is in the way."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import card
from sandbox.instance import Instance
from tests.sandbox.test_command_line import sandbox
from tests.sandbox.traces import traces

pytestmark = pytest.mark.machines


@pytest.fixture
def name(instance: Instance, base_image: Path) -> Iterator[str]:
    del base_image
    sandbox("down", "-i", instance.name)
    yield instance.name
    sandbox("down", "-i", instance.name)


def test_commands_at_once_wait_for_each_other(name: str) -> None:
    """Each `down` takes the folder away that the others wait for."""
    commands = [
        subprocess.Popen([sys.executable, "-m", "sandbox", command, "-i", name], stderr=subprocess.PIPE)
        for command in ("up", "down", "up", "down", "up", "up")
    ]
    for command in commands:
        _, said = command.communicate()
        assert command.returncode == 0, said.decode()


@pytest.mark.parametrize("text", ["", "{half a ca", "[]", '{"another": "version"}'])
def test_a_card_that_cannot_be_read_is_no_card(name: str, instance: Instance, text: str) -> None:
    instance.directory.mkdir(parents=True)
    (instance.directory / "card.json").write_text(text)
    assert card.read(instance) is None
    assert sandbox("down", "-i", name).returncode == 0


def test_where_the_port_is_taken_up_says_so_and_leaves_nothing(name: str, instance: Instance) -> None:
    with socket.create_server(("127.0.0.1", instance.arm_port)):
        said = sandbox("up", "-i", name)
    assert said.returncode == 1
    assert said.stderr.splitlines()[1:] == [
        f"Port {instance.arm_port} of 127.0.0.1 cannot be had: Address already in use."
    ]
    assert not any(traces(instance).values())


def test_a_second_daemon_does_not_touch_the_first_ones_networks(name: str, instance: Instance) -> None:
    sandbox("up", "-i", name)
    before = traces(instance)
    readable, writable = os.pipe()
    second = subprocess.run(
        [sys.executable, "-m", "sandbox.server", name, str(writable)], pass_fds=[writable], check=False
    )
    os.close(writable)
    assert os.read(readable, 1) == b"", "it never said that it is ready"
    os.close(readable)
    assert second.returncode == 1
    assert traces(instance) == before
