"""What a pooler of connections is, whichever it is; the same files make it on a machine and in a pod."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

CERTIFICATE = "server"  # the pair's name without .crt and .key
AUTHORITY = "ca.crt"
PAIR = (AUTHORITY, f"{CERTIFICATE}.crt", f"{CERTIFICATE}.key")


@dataclass(frozen=True)
class Backend:
    """What a pooler connects to.

    Attributes:
        database: The only database that clients get to.
        host: What its nodes are called in all their certificates.
        addresses: Where they are, the nearest first; none where DNS tells.
        connections: How many it may have, of all users together.
        passwords: Every user's, by name.
    """

    database: str
    host: str
    addresses: tuple[str, ...]
    connections: int
    passwords: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True)
class Pooler:
    """One kind.

    Attributes:
        name: Its name in topologies, and that of its objects in Kubernetes.
        title: What people call it.
        package: Debian's package, which has a unit, a user, a directory of its own.
        service: That unit.
        version_command: What says its version on a machine.
        minimum: The first version that can do what is asked of it here.
        directory: Where its files are, on machines and in pods.
        file_names: What they are called, but for the certificates.
        files: Makes them, by their names.
        secrets: Names of those that hold passwords.
        reloads: Names of files that it reads anew when asked to; for any other it must start anew.
        drop_in: What its unit lacks; a machine without it has never had this pooler of ours.
        image: Its container image.
        pod_command: What a pod runs.
        pod_memory: How much memory a pod gets, as Kubernetes writes it.
    """

    name: str
    title: str
    package: str
    service: str
    version_command: tuple[str, ...]
    minimum: tuple[int, int]
    directory: str
    file_names: tuple[str, ...]
    files: Callable[[Backend], dict[str, str]]
    secrets: frozenset[str]
    reloads: frozenset[str]
    drop_in: str
    image: str
    pod_command: tuple[str, ...]
    pod_memory: str

    def understands(self, version: str) -> bool:
        """Tell whether a program that says this of its version can do what is asked of it here."""
        found = re.search(r"(\d+)\.(\d+)", version)
        return found is not None and tuple(map(int, found.groups())) >= self.minimum
