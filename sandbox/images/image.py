"""A container image of one layer, packed as the OCI image specification says.

Source: the OCI image specification 1.1 (manifest, image configuration, layer).
"""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sandbox.machines import image as base_image

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
FAST = 1  # the best takes six times as long, for a tenth less
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# What the machine's /usr, once bound, is found through; see machines/rootfs/usr/lib/sandbox/fit-bundle.
_USR_MARKER = ".sandbox-usr"
_USR_FOLDERS = ("usr", "etc/ssl", "etc/alternatives")
_LIBRARIES = "etc/ld.so.cache"  # Python asks this file where psycopg's libpq is
_USR_LINKS = {name: f"usr/{name}" for name in ("bin", "lib", "lib64", "sbin")}
_FOLDERS = ("etc", "dev", "proc", "root", "run", "sys", "tmp", "var/tmp")
_SHARED = ("tmp", "var/tmp")
_ETC = {
    "etc/passwd": b"root:x:0:0:root:/root:/bin/sh\n"
    b"cockroach:x:1000:1000::/tmp:/bin/sh\n"
    b"nobody:x:65534:65534:nobody:/tmp:/usr/sbin/nologin\n",
    "etc/group": b"root:x:0:\ncockroach:x:1000:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": b"passwd: files\ngroup: files\nhosts: files dns\n",
}


class Account(NamedTuple):
    """A user whom an image's programs run as, and who has a group of his own."""

    name: str
    number: int


@dataclass(frozen=True)
class Blob:
    """Content that a registry serves by its digest."""

    media_type: str
    content: bytes

    @property
    def digest(self) -> str:
        """Its name: an algorithm and a hash."""
        return f"sha256:{hashlib.sha256(self.content).hexdigest()}"

    @property
    def descriptor(self) -> dict[str, Any]:
        """How others refer to it."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": len(self.content)}


@dataclass(frozen=True)
class Image:
    """What an image holds, and what it runs.

    Attributes:
        stands_in_for: What the image of this name holds elsewhere; said in a label.
        entrypoint: The command line's beginning.
        command: Its rest, unless whoever starts a container says another.
        programs: Executable files by their absolute path.
        links: Targets of symbolic links, by the links' absolute path.
        environment: Variables beside PATH, or a PATH of its own.
        working_directory: Where the command starts; it exists in the image.
        account: Who runs the command; root without one.
        own_folders: Folders in which that user may write.
        machines_usr: Whether the machine's /usr is bound into the container, Python and all. What an image
            of this kind puts below /usr itself nobody would see.
    """

    stands_in_for: str
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    programs: Mapping[str, bytes] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    working_directory: str = "/"
    account: Account | None = None
    own_folders: tuple[str, ...] = ()
    machines_usr: bool = True

    def __post_init__(self) -> None:
        hidden = [path for path in (*self.programs, *self.links) if path.startswith("/usr/")]
        if self.machines_usr and hidden:
            raise ValueError(f"{hidden[0]}: the machine's /usr would hide it; put it elsewhere")

    def pack(self) -> tuple[Blob, Blob, Blob]:
        """Make its manifest, configuration and layer; equal images give equal bytes."""
        unpacked = self._layer()
        layer = Blob(LAYER, gzip.compress(unpacked, FAST, mtime=0))
        config = _json(CONFIG, self._config(f"sha256:{hashlib.sha256(unpacked).hexdigest()}"))
        references = {"config": config.descriptor, "layers": [layer.descriptor]}
        return _json(MANIFEST, {"schemaVersion": 2, "mediaType": MANIFEST, **references}), config, layer

    def _config(self, diff_id: str) -> dict[str, Any]:
        return {
            "architecture": "amd64",
            "os": "linux",
            "config": {
                "Entrypoint": self.entrypoint,
                "Cmd": self.command,
                "Env": [
                    f"{name}={value}" for name, value in ({"PATH": PATH} | dict(self.environment)).items()
                ],
                "WorkingDir": self.working_directory,
                "User": self.account.name if self.account else "",
                "Labels": {"org.opencontainers.image.description": f"stands in for {self.stands_in_for}"},
            },
            "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        }

    def _layer(self) -> bytes:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            for entry, content in self._entries():
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
        return packed.getvalue()

    def _entries(self) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
        files, programs, links = self._etc(), _relative(self.programs), _relative(self.links)
        own = {path.strip("/") for path in self.own_folders}
        folders = {*_FOLDERS, *own, self.working_directory.strip("/")} - {""}
        if self.machines_usr:
            files, links = files | {_USR_MARKER: b""}, links | _USR_LINKS
            folders |= {*_USR_FOLDERS}
        for path in (*files, *programs, *links, *folders):
            folders |= {*_parents(path)}
        for path in sorted(folders):
            entry = _entry(path, tarfile.DIRTYPE, 0o1777 if path in _SHARED else 0o755)
            if self.account and path in own:
                entry.uid = entry.gid = self.account.number
            yield entry, b""
        for path, target in sorted(links.items()):
            yield _entry(path, tarfile.SYMTYPE, 0o777, target), b""
        for path, content in sorted(files.items()):
            yield _entry(path, tarfile.REGTYPE, 0o644), content
        for path, content in sorted(programs.items()):
            yield _entry(path, tarfile.REGTYPE, 0o755), content

    def _etc(self) -> dict[str, bytes]:
        files = dict(_ETC)
        if self.account:
            name, number = self.account
            files["etc/passwd"] += f"{name}:x:{number}:{number}::/tmp:/bin/sh\n".encode()
            files["etc/group"] += f"{name}:x:{number}:\n".encode()
        cache = base_image.path() / _LIBRARIES
        if self.machines_usr and cache.exists():
            files[_LIBRARIES] = cache.read_bytes()
        return files


def _relative(paths: Mapping[str, Any]) -> dict[str, Any]:
    return {path.lstrip("/"): value for path, value in paths.items()}


def _parents(path: str) -> Iterator[str]:
    while path := path.rpartition("/")[0]:
        yield path


def _entry(path: str, kind: bytes, mode: int, target: str = "") -> tarfile.TarInfo:
    entry = tarfile.TarInfo(path)
    entry.type, entry.mode, entry.linkname = kind, mode, target
    return entry


def _json(media_type: str, content: dict[str, Any]) -> Blob:
    return Blob(media_type, json.dumps(content, sort_keys=True).encode())
