"""The images that there are. Another one is a function from its tag, and a line in `REPOSITORIES`."""

import re
from collections.abc import Callable

from sandbox import zipapp
from sandbox.cockroach.archive import ENTRY_POINT
from sandbox.commands import run
from sandbox.images import pgbouncer, stand_ins
from sandbox.images.image import PATH, Image
from sandbox.machines import image as base_image

_COCKROACH_TAG = re.compile(r"v2\d\.\d+\.\d+")
_COCKROACH_SCRIPT = b"""#!/bin/sh
# As the official image's: a shell if one is asked for, else cockroach.
case "$1" in
shell | bash | /bin/bash) shift; exec /bin/bash "$@" ;;
esac
exec /cockroach/cockroach "$@"
"""


def find(repository: str, tag: str) -> Image | None:
    """Return an image, or nothing if there is none of this name and tag."""
    make = REPOSITORIES.get(repository)
    return make(tag) if make else None


def _cockroach(tag: str) -> Image | None:
    if not _COCKROACH_TAG.fullmatch(tag):
        return None
    return Image(
        "CockroachDB",
        entrypoint=("/cockroach/cockroach.sh",),
        programs={
            "/cockroach/cockroach": zipapp.pack(ENTRY_POINT.format(version=tag), ["cockroach"]),
            "/cockroach/cockroach.sh": _COCKROACH_SCRIPT,
        },
        environment={"PATH": f"/cockroach:{PATH}", "COCKROACH_CHANNEL": "official-docker"},
        working_directory="/cockroach",
    )


def _pause(tag: str) -> Image | None:
    busybox = _busybox(tag="latest")
    if tag != "3.6" or busybox is None:
        return None
    return Image(
        "the pause container",
        entrypoint=("/bin/busybox", "sleep", "inf"),
        programs=busybox.programs,
        machines_usr=False,
    )


def _busybox(tag: str) -> Image | None:
    """The real one, Debian's build."""
    if tag not in ("latest", "1.37"):
        return None
    program = base_image.path() / "usr/bin/busybox"
    names = set(run(program, "--list").split()) - {"busybox"}
    return Image(
        "BusyBox, which this is, as Debian builds it",
        command=("sh",),
        programs={"/bin/busybox": program.read_bytes()},
        links={f"/bin/{name}": "busybox" for name in names},
        machines_usr=False,
    )


def _alpine(tag: str) -> Image | None:
    """What is found in the real one, and curl and Python, on Debian's /usr."""
    if tag not in ("3", "latest"):
        return None
    applets = ("nslookup", "wget", "nc", "traceroute", "vi")
    return Image(
        "Alpine Linux",
        command=("/bin/sh",),
        links={f"/applets/{name}": "/usr/bin/busybox" for name in applets},
        environment={"PATH": f"{PATH}:/applets"},
    )


def _python(tag: str) -> Image | None:
    """What is found in the real one: a shell and Python, which is Debian's 3.13."""
    if tag != "3.13-alpine":
        return None
    return Image("Python on Alpine Linux", command=("python3",))


REPOSITORIES: dict[str, Callable[[str], Image | None]] = {
    "docker.io/cockroachdb/cockroach": _cockroach,
    "docker.io/rancher/mirrored-pause": _pause,
    "docker.io/library/busybox": _busybox,
    "docker.io/library/alpine": _alpine,
    "docker.io/library/python": _python,
    "docker.io/edoburu/pgbouncer": pgbouncer.pgbouncer,
    **stand_ins.REPOSITORIES,
}
