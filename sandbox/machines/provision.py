"""The first boot's work, done before it: what Azure and cloud-init make of an image and a VM's description.

Everything is written by commands inside the machine's own root, so that no link in it can lead out.
"""

import io
import tarfile
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from sandbox.commands import run
from sandbox.machines.cloud_config import CloudConfig, HostKeys, User, WriteFile
from sandbox.machines.model import MachineSpec
from sandbox.services.resolver import DOMAIN

_CLOUD = "/var/lib/cloud/instance"
_PASSWORDLESS = "ALL=(ALL) NOPASSWD:ALL"


@dataclass(frozen=True)
class _File:
    """A file to place; without content it is a folder."""

    path: str
    content: bytes | None
    mode: int = 0o644
    owner: str = "root:root"


def provision(root: Path, spec: MachineSpec, config: CloudConfig) -> None:
    """Write everything that makes a machine out of the image mounted at `root`."""
    hostname = config.hostname or spec.hostname
    users = list(_users(spec, config))
    _extract(
        root,
        [
            *_identity(hostname),
            *_host_keys(config.ssh_keys or _made_host_keys()),
            *_first_boot(config),
            _File("/etc/sudoers.d/90-cloud-init-users", _sudoers(users).encode(), 0o440),
            *(_placed(file) for file in config.write_files if not file.defer),
        ],
    )
    for user in users:
        _add_user(root, user)
    authorized = [file for user in users for file in _authorized_keys(user)]
    _extract(root, [*authorized, *(_placed(file) for file in config.write_files if file.defer)])


def _users(spec: MachineSpec, config: CloudConfig) -> Iterable[User]:
    for user in config.users:
        yield _administrator(spec, config) if user == "default" else user


def _administrator(spec: MachineSpec, config: CloudConfig) -> User:
    keys = (*spec.ssh_public_keys, *config.ssh_authorized_keys)
    return User(
        name=spec.admin_username, groups=("adm", "sudo"), sudo=_PASSWORDLESS, ssh_authorized_keys=keys
    )


def _identity(hostname: str) -> Iterable[_File]:
    yield _File("/etc/hostname", f"{hostname}\n".encode())
    yield _File("/etc/machine-id", f"{uuid.uuid4().hex}\n".encode(), 0o444)
    yield _File("/etc/hosts", f"127.0.0.1 localhost\n127.0.1.1 {hostname}.{DOMAIN} {hostname}\n".encode())


def _made_host_keys() -> HostKeys:
    key = Ed25519PrivateKey.generate()
    return HostKeys(
        ed25519_private=key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode(),
        ed25519_public=key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode() + "\n",
    )


def _host_keys(keys: HostKeys) -> Iterable[_File]:
    for name, text in keys.model_dump(exclude_none=True).items():
        kind, half = name.split("_")
        path = f"/etc/ssh/ssh_host_{kind}_key"
        yield _File(path, text.encode(), 0o600) if half == "private" else _File(f"{path}.pub", text.encode())


def _first_boot(config: CloudConfig) -> Iterable[_File]:
    """Leave `runcmd` to the machine; without one there is nothing left to do, and cloud-init is done."""
    if config.runcmd:
        yield _File(f"{_CLOUD}/scripts/runcmd", config.script.encode(), 0o700)
    else:
        yield _File(f"{_CLOUD}/result", b"done\n")
        yield _File(f"{_CLOUD}/boot-finished", b"")


def _sudoers(users: Iterable[User]) -> str:
    return "".join(f"{user.name} {rule}\n" for user in users for rule in user.sudo_rules)


def _authorized_keys(user: User) -> Iterable[_File]:
    folder, owner = f"/home/{user.name}/.ssh", f"{user.name}:{user.name}"
    keys = "".join(f"{key.strip()}\n" for key in user.ssh_authorized_keys)
    yield _File(folder, None, 0o700, owner)
    yield _File(f"{folder}/authorized_keys", keys.encode(), 0o600, owner)


def _placed(file: WriteFile) -> _File:
    return _File(file.path, file.decoded, file.mode, file.owner)


def _add_user(root: Path, user: User) -> None:
    for group in user.group_names:
        run("chroot", root, "groupadd", "--force", group)
    kind = ["--system"] if user.system else []
    run(
        "chroot", root, "useradd", "--create-home", "--user-group", "--shell", user.shell, *kind,
        "--comment", user.gecos, "--groups", ",".join(user.group_names), user.name,
    )  # fmt: skip


def _extract(root: Path, files: list[_File]) -> None:
    """Place files, then give them to their owners, whose names only the machine knows."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for file in files:
            entry = tarfile.TarInfo(file.path.lstrip("/"))
            entry.type = tarfile.REGTYPE if file.content is not None else tarfile.DIRTYPE
            entry.size, entry.mode = len(file.content or b""), file.mode
            tar.addfile(entry, io.BytesIO(file.content or b""))
    run("chroot", root, "sh", "-c", "umask 022 && tar -C / -xp", stdin=archive.getvalue())
    for owner in {file.owner for file in files} - {"root:root"}:
        run("chroot", root, "chown", "--", owner, *(file.path for file in files if file.owner == owner))
