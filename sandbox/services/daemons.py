"""Start a daemon of the machines' base image in a namespace of the fabric.

The daemons come from the image, since their packages would start services on this computer. They run
with the image as their root, in a private view of the file system (nothing of it stays behind), with
`/run` of their own and one folder of ours at /run/service.
"""

from pathlib import Path

from sandbox import processes
from sandbox.commands import run
from sandbox.fabric import names
from sandbox.instance import Instance
from sandbox.machines import image

FOLDER = "/run/service"  # as the daemon sees it

_SCRIPT = """
set -e
root=$1 folder=$2
shift 2
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount --rbind /dev "$root/dev"
mkdir "$root/run/service"
mount --bind "$folder" "$root/run/service"
exec chroot "$root" "$@"
"""


def start(instance: Instance, role: str, namespace: str, folder: Path, *command: str) -> None:
    """Start a daemon that puts itself into the background; return when it is ready.

    It is found again by its `role`, unique in the instance, and sees `folder` as /run/service.
    """
    folder.mkdir(parents=True, exist_ok=True)
    run(
        "nsenter", f"--net={names.path(namespace)}", "unshare", "--mount", "sh", "-c", _SCRIPT, "sh",
        image.path(), folder, *command,
        environment=processes.environment(instance, role),
    )  # fmt: skip
