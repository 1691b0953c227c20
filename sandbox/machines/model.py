"""What a machine is made from."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DataDisk:
    """A managed data disk; `id` names its backing file, `lun` its place in the machine."""

    id: str
    lun: int
    size_gib: int


@dataclass(frozen=True)
class MachineSpec:
    """A machine as ARM describes it.

    Attributes:
        key: Unique in the instance, lower-case letters, digits and dashes, at most 20 characters;
            names its namespace and its files.
        hostname: `osProfile.computerName`.
        admin_username: Gets a home, the public keys and sudo without a password.
        ssh_public_keys: OpenSSH public keys for `admin_username`.
        custom_data: A cloud-config document, decoded; empty when none was given.
        data_disks: Attached at boot.
        panics: Its first process ends at once: it never boots.
    """

    key: str
    hostname: str
    admin_username: str
    ssh_public_keys: tuple[str, ...]
    custom_data: str
    data_disks: tuple[DataDisk, ...] = ()
    panics: bool = False
