"""What is left of machines after the worst: nothing."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import processes
from sandbox.fabric import removal as fabric_removal
from sandbox.instance import Instance
from sandbox.machines import container
from sandbox.machines import removal as machines_removal
from sandbox.machines.machines import Machines
from sandbox.machines.model import DataDisk
from tests.sandbox.machine_lab import MachineLab
from tests.sandbox.traces import traces

pytestmark = pytest.mark.machines

BOOT = """
import sys
from sandbox.instance import Instance
from sandbox.machines.model import DataDisk
from tests.sandbox.machine_lab import MachineLab
lab = MachineLab(Instance(sys.argv[1]), ["a4", "a5"])
print("network", flush=True)
lab.machines.boot(lab.spec("a4", disks=(DataDisk("disk", 0, 1),)))
print("one", flush=True)
lab.machines.boot(lab.spec("a5"))
print("two", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def clean(instance: Instance, base_image: Path) -> Iterator[Instance]:
    del base_image
    remove(instance)
    yield instance
    remove(instance)


def remove(instance: Instance) -> None:
    machines_removal.remove_everything(instance)
    fabric_removal.remove_everything(instance)


@pytest.mark.parametrize("moment", ["network", "one", "two"])
def test_nothing_is_left_when_the_process_that_made_it_was_killed(clean: Instance, moment: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", BOOT, clean.name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as maker:
        assert maker.stdout
        while maker.stdout.readline().strip() != moment:
            assert maker.poll() is None
        maker.kill()
    for _ in range(2):
        remove(clean)
        assert not any(traces(clean).values())


def test_machines_outlive_the_process_that_started_them(clean: Instance) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", BOOT, clean.name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as maker:
        assert maker.stdout
        while maker.stdout.readline().strip() != "two":
            assert maker.poll() is None
        maker.kill()
    machines = Machines(clean)
    assert machines.is_running("a4")
    machines.halt("a4")
    assert not machines.is_running("a4")
    assert machines.is_running("a5")


@pytest.mark.parametrize("name", ["sh", "systemd-nspawn"])
def test_nothing_is_left_when_what_runs_a_machine_was_killed(clean: Instance, name: str) -> None:
    lab = MachineLab(clean, ["a4"])
    lab.machines.boot(lab.spec("a4", disks=(DataDisk("disk", 0, 1),)))
    mounted = (clean.directory / "machines" / "a4" / "root").stat()
    lock = container.NSPAWN / "locks" / f"inode-{mounted.st_dev}:{mounted.st_ino}"
    assert lock.exists()
    around = [number for number, role in processes.roles(clean).items() if role == container.role("a4")]
    for victim in [number for number in around if Path(f"/proc/{number}/comm").read_text().strip() == name]:
        os.kill(victim, signal.SIGKILL)
    remove(clean)
    assert not any(traces(clean).values())
    assert not lock.exists()


def test_removal_leaves_another_instance_alone(clean: Instance) -> None:
    lab = MachineLab(clean, ["a4"])
    lab.machines.boot(lab.spec("a4"))
    before = traces(clean)
    remove(Instance("test9"))
    assert traces(clean) == before
