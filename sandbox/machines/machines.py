"""Virtual machines of one instance: each an overlay on the base image, booted in its namespace."""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sandbox.builds import Say
from sandbox.commands import CommandFailed, run
from sandbox.fabric import names
from sandbox.fabric.sockets import connect_in_namespace
from sandbox.instance import Instance
from sandbox.kubernetes import binaries
from sandbox.machines import cloud_config, container, disks, fullness, groups, image, mounts, provision
from sandbox.machines.model import MachineSpec

BOOT_DEADLINE_S = 60.0
_CONSOLE_LINES = 15
# What Kubernetes' programs write to is no overlay, since containers' own overlays cannot lie on one.
_PLAIN = ("rancher", "kubelet", "containerd")
_PANIC = """#!/bin/sh
echo "Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)"
exit 1
"""


def prepare(say: Say) -> None:
    """Build what all machines are made of, unless it is there.

    Raises:
        CommandFailed: a build failed.
    """
    with ThreadPoolExecutor() as pool:
        for build in [pool.submit(ensure, say) for ensure in (binaries.ensure, image.ensure)]:
            build.result()


class MachineFailed(RuntimeError):
    """A machine did not come up; the message ends with the last lines of its console."""


class Machines:
    """Machines, named by the key of their specification.

    Nothing about them is remembered here: what runs is asked of the kernel, what was provisioned is
    seen in the folder of the machine.
    """

    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    def boot(self, spec: MachineSpec) -> None:
        """Provision a machine on its first boot, start it, and return when its sshd answers.

        The fabric has plugged its interfaces in before. A machine that runs is left alone.

        Raises:
            UnsupportedCustomData: the custom data asks for what the sandbox cannot do; nothing was made.
            MachineFailed: it is not up within a minute.
        """
        config = cloud_config.parse(spec.custom_data)
        if self.is_running(spec.key):
            return
        try:
            root = self._mount(spec.key)
            if not _provisioned(root).exists():
                provision.provision(root, spec, config)
                _provisioned(root).touch()
            binds = [
                *self._disks(spec),
                *self._kubernetes(spec.key),
                *(self._panic(spec.key) if spec.panics else []),
            ]
            container.start(self._instance, spec.key, root, binds, BOOT_DEADLINE_S)
            self._greet(spec.key)
        except (CommandFailed, container.NotReady, OSError) as error:
            tail = "\n".join(self.console(spec.key).splitlines()[-_CONSOLE_LINES:])
            self.halt(spec.key)
            raise MachineFailed(f"machine {spec.key}: {error}; its console ends with:\n{tail}") from error

    def halt(self, key: str) -> None:
        """Stop a machine; its system disk and data disks stay."""
        container.stop(self._instance, key)
        container.forget_lock(self._folder(key) / "root")
        mounts.unmount_below(self._folder(key))
        groups.remove(self._instance, key)

    def kill(self, key: str) -> None:
        """End a machine at once; it can be booted again."""
        container.kill(self._instance, key)

    def delete(self, key: str) -> None:
        """Stop a machine and forget its system disk; data disks stay."""
        self.halt(key)
        if self._folder(key).exists():
            shutil.rmtree(self._folder(key))

    def delete_disk(self, disk_id: str) -> None:
        """Forget a data disk and all that is on it."""
        disks.delete(self._instance, disk_id)

    def is_running(self, key: str) -> bool:
        """Tell whether a machine runs now; one that powered itself off does not."""
        return groups.is_populated(self._instance, key)

    def fill_disks(self, key: str) -> None:
        """Leave no room on the data disks that a machine has mounted.

        Raises:
            FileNotFoundError: it has mounted none.
        """
        fullness.fill(self._instance, key)

    def free_disks(self, key: str) -> None:
        """Take back what `fill_disks` did."""
        fullness.free(self._instance, key)

    def console(self, key: str) -> str:
        """Return what a machine has written to its console since it was made."""
        log = container.console(self._folder(key) / "root")
        return log.read_text(errors="replace") if log.exists() else ""

    def _folder(self, key: str) -> Path:
        return self._instance.directory / "machines" / key

    def _mount(self, key: str) -> Path:
        """Lay the machine's own changes over the base image.

        What an interrupted provisioning left is thrown away first.
        """
        folder = self._folder(key)
        mounts.unmount_below(folder)
        upper, work, root = folder / "changes", folder / "work", folder / "root"
        if folder.exists() and not _provisioned(root).exists():
            shutil.rmtree(folder)
        for path in (upper, work, root):
            path.mkdir(parents=True, exist_ok=True)
        layers = f"lowerdir={image.path()},upperdir={upper},workdir={work}"
        run("mount", "-t", "overlay", "-o", layers, f"{self._instance.mark}-{key}", root)
        return root

    def _disks(self, spec: MachineSpec) -> list[str]:
        """Show data disks inside as Azure's azure-vm-utils does: a device, and a link by its LUN."""
        links = self._folder(spec.key) / "by-lun"
        shutil.rmtree(links, ignore_errors=True)
        links.mkdir()
        binds = [f"--bind-ro={links}:/dev/disk/azure/data/by-lun"] if spec.data_disks else []
        for disk in spec.data_disks:
            device = f"/dev/nvme0n{disk.lun + 2}"  # n1 is the system disk
            (links / str(disk.lun)).symlink_to(f"../../../..{device.removeprefix('/dev')}")
            binds.append(f"--bind={disks.attach(self._instance, disk)}:{device}")
        return binds

    def _kubernetes(self, key: str) -> Iterator[str]:
        yield f"--bind-ro={binaries.path()}:{binaries.MOUNT}"
        yield "--bind=/dev/null:/dev/kmsg"  # kubelet reads it, and this computer's is none of its business
        for name in _PLAIN:
            plain = self._folder(key) / "plain" / name
            plain.mkdir(parents=True, exist_ok=True)
            yield f"--bind={plain}:/var/lib/{name}"

    def _panic(self, key: str) -> list[str]:
        """Show another first process inside; the disk stays as it is, and good for the next boot."""
        program = self._folder(key) / "panic"
        program.write_text(_PANIC)
        program.chmod(0o755)
        return [f"--bind-ro={program}:/usr/lib/systemd/systemd"]

    def _greet(self, key: str) -> None:
        """See that sshd speaks."""
        namespace = names.machine(self._instance, key)
        with connect_in_namespace(namespace, "127.0.0.1", 22, timeout_s=5) as connection:
            if not connection.recv(64).startswith(b"SSH-2.0"):
                raise container.NotReady("what answers on port 22 is no sshd")


def _provisioned(root: Path) -> Path:
    """Return the file that says that a machine's first boot has been prepared to the end."""
    return root.parent / "provisioned"
