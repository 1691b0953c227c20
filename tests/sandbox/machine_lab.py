"""Machines with public addresses, and SSH to them with pinned host keys."""

import base64
import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import paramiko
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from sandbox.instance import Instance
from sandbox.machines.machines import Machines
from sandbox.machines.model import DataDisk, MachineSpec
from tests.sandbox.fabric_lab import Lab, group, rule, virtual_network

ADMINISTRATOR = "azureuser"


@dataclass(frozen=True)
class KeyPair:
    """An SSH key pair in OpenSSH's formats."""

    private: str
    public: str

    @classmethod
    def new(cls) -> "KeyPair":
        """Make one."""
        key = Ed25519PrivateKey.generate()
        return cls(
            key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode(),
            key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode(),
        )


class MachineLab:
    """One network; its machines `a4`, `a5`, ... have public addresses that this computer reaches by SSH."""

    def __init__(self, instance: Instance, machines: list[str]) -> None:
        self.lab = Lab(instance)
        self.machines = Machines(instance)
        self.key = KeyPair.new()
        self.host_key = KeyPair.new()
        guard = group(rule(100, source=str(instance.host_address), protocol="Tcp", ports=("22",)))
        self.lab.apply(
            [virtual_network(1, security_group=guard)],
            [self.lab.interface(machine, public=int(machine[1:])) for machine in machines],
        )

    def spec(self, machine: str, custom_data: str = "", disks: tuple[DataDisk, ...] = ()) -> MachineSpec:
        """A machine; without other custom data it gets the host key that `shell` expects."""
        pinned = f"#cloud-config\nssh_keys:\n  ed25519_private: |\n{indented(self.host_key.private)}"
        return MachineSpec(
            machine, f"host-{machine}", ADMINISTRATOR, (self.key.public,), custom_data or pinned, disks
        )

    @contextmanager
    def shell(
        self, machine: str, user: str = ADMINISTRATOR, host_key: str = "", key: str = ""
    ) -> Iterator["Shell"]:
        """Log in over the public address, to the expected host key only."""
        address = str(self.lab.public(int(machine[1:])))
        pin = base64.b64decode((host_key or self.host_key.public).split()[1])
        with paramiko.SSHClient() as client:
            client.get_host_keys().add(address, "ssh-ed25519", paramiko.Ed25519Key(data=pin))
            client.set_missing_host_key_policy(paramiko.RejectPolicy())
            private = paramiko.Ed25519Key.from_private_key(io.StringIO(key or self.key.private))
            client.connect(
                address, username=user, pkey=private, timeout=10, allow_agent=False, look_for_keys=False
            )
            yield Shell(client)


@dataclass(frozen=True)
class Shell:
    """A session on a machine."""

    client: paramiko.SSHClient

    def run(self, command: str) -> str:
        """Run a command that must succeed; returns what it wrote."""
        status, output = self.attempt(command)
        assert status == 0, output
        return output.strip()

    def attempt(self, command: str) -> tuple[int, str]:
        """Run a command; returns its exit code, and all that it wrote."""
        _, stdout, _ = self.client.exec_command(f"{{ {command}\n}} 2>&1", timeout=60)
        output = stdout.read().decode()
        return stdout.channel.recv_exit_status(), output


def indented(text: str) -> str:
    """Text as the block of a YAML mapping's key."""
    return "".join(f"    {line}\n" for line in text.splitlines())


def seconds_of(started: float) -> float:
    """How long ago that was."""
    return time.monotonic() - started
