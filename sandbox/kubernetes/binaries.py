"""Kubernetes' programs, built from Debian 12's source package, the only place that carries them."""

import shutil
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from sandbox import builds

BUILDS = builds.CACHE / "kubernetes"
MOUNT = Path("/usr/local/lib/kubernetes")  # where every machine sees them
PROGRAMS = ("kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubectl", "kubelet")

_SCRIPT = Path(__file__).with_name("build.sh")
_COMMAND = (
    "mmdebstrap", "--mode=root", "--variant=apt",
    "--include=ca-certificates,golang-1.19-go,kubernetes-client",
    '--customize-hook=chroot "$1" sh <"$SCRIPT"', "bookworm",
)  # fmt: skip


def path() -> Path:
    """Return where the programs are, or will be."""
    return BUILDS / sha256(repr(_COMMAND).encode() + _SCRIPT.read_bytes()).hexdigest()[:16]


def ensure(say: builds.Say) -> Path:
    """Build the programs unless they are there.

    Raises:
        CommandFailed: the build failed; nothing of it is taken for whole.
    """

    def make(draft: Path) -> None:
        say("Building Kubernetes from Debian's source package: about five minutes, this once")
        chroot = draft / "chroot"
        chroot.mkdir(parents=True)
        builds.bootstrap("Kubernetes", (*_COMMAND, str(chroot)), {"SCRIPT": str(_SCRIPT)}, say)
        for program in PROGRAMS:
            (chroot / "out" / program).rename(draft / program)
        shutil.rmtree(chroot)

    return builds.ensure(path(), make, lambda: set(_in_use()))


def _in_use() -> Iterator[Path]:
    """Yield the builds that running machines see."""
    for file in Path("/proc").glob("[0-9]*/mountinfo"):
        try:
            lines = file.read_text().splitlines()
        except OSError:
            continue  # it ended meanwhile, which the kernel says in several ways
        for root, point in (line.split()[3:5] for line in lines):
            if point == str(MOUNT):
                yield BUILDS / Path(root).name
