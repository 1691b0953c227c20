"""What this computer lacks to carry a sandbox, found out by trying.

Everything is tried in namespaces that end with the trial; nothing of it stays.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sandbox.kubernetes import binaries

# Programs by the Debian package that brings them.
_PROGRAMS = {
    "systemd-nspawn": "systemd-container",
    "mmdebstrap": "mmdebstrap",
    "ip": "iproute2",
    "nft": "nftables",
    "losetup": "mount",
    "unshare": "util-linux",
}

# Every machine's systemd watches files; Linux's default of 128 watchers is enough for some 25 machines.
_WATCHERS = Path("/proc/sys/fs/inotify/max_user_instances")
_ENOUGH_WATCHERS = 8192

_NEEDED_BYTES = 1 << 30  # a machine takes some 20 MB, and what is written in it
_NEEDED_TO_BUILD_BYTES = 4 << 30  # Kubernetes' source, a Go compiler, and what it writes

_RULES = """
table inet trial {
  set own { type ifname . ipv4_addr; }
  map verdicts { type ifname : verdict; }
  map addresses { type ipv4_addr : ipv4_addr; }
  chain forward {
    type filter hook forward priority filter; policy drop;
    ct state established,related accept
    iifname . ip saddr != @own drop
    iifname vmap @verdicts
    reject with icmp net-unreachable
  }
  chain outward { type nat hook postrouting priority srcnat; snat ip to ip saddr map @addresses; }
  chain inward { type nat hook prerouting priority dstnat; dnat ip to ip daddr map @addresses; }
}
"""


@dataclass(frozen=True)
class _Trial:
    """A command that fails where something is missing, and the sentence to say then."""

    command: tuple[str, ...]
    sentence: str
    stdin: str = ""


_TRIALS = (
    _Trial(
        ("unshare", "--net", "ip", "link", "add", "trial", "type", "veth", "peer", "name", "other"),
        "Network namespaces or veth links do not work: use a kernel with NET_NS and VETH, and no container.",
    ),
    _Trial(
        ("unshare", "--net", "nft", "-f", "-"),
        "nftables cannot filter and translate: load the modules nft_chain_nat, nft_reject_inet and nft_ct.",
        _RULES,
    ),
    _Trial(
        ("unshare", "--pid", "--fork", "--mount-proc", "true"),
        "Process and mount namespaces do not work: run as real root, outside of a container.",
    ),
    _Trial(
        ("losetup", "--find"),
        "Loop devices are missing: load the module loop, and see that /dev/loop-control exists.",
    ),
)  # fmt: skip


def allow_many_machines(former: Path) -> None:
    """Raise the kernel's limit of watchers; what it was is kept in the file `former`."""
    now = int(_WATCHERS.read_text())
    if now < _ENOUGH_WATCHERS:
        former.write_text(str(now))
        _WATCHERS.write_text(str(_ENOUGH_WATCHERS))


def restore_limits(former: Path) -> None:
    """Give the kernel its former limit back."""
    if former.exists():
        _WATCHERS.write_text(former.read_text())
        former.unlink()


def missing() -> list[str]:
    """Return a sentence for everything that is missing: what it is, and what to do about it."""
    return list(_missing())


@cache
def _missing() -> tuple[str, ...]:
    if os.geteuid() != 0:
        return ("Root is needed for namespaces and mounts: use sudo.",)
    programs = [
        f"The program {program} is missing: install the Debian package {package}."
        for program, package in _PROGRAMS.items()
        if not shutil.which(program)
    ]
    # Without its program no trial tells anything about the kernel.
    return tuple(programs or [*_computer_lacks()])


def _computer_lacks() -> Iterator[str]:
    if shutil.disk_usage("/var/lib").free < _NEEDED_BYTES:
        yield f"Less than {_NEEDED_BYTES >> 30} GiB is free in /var/lib: make room there."
    if not binaries.path().exists() and shutil.disk_usage(Path.home()).free < _NEEDED_TO_BUILD_BYTES:
        yield f"Less than {_NEEDED_TO_BUILD_BYTES >> 30} GiB is free in {Path.home()}: make room to build in."
    for trial in _TRIALS:
        if complaint := _complaint(trial.command, trial.stdin):
            yield f"{trial.sentence} ({complaint})"
    if complaint := _overlay_complaint():
        yield f"overlayfs does not work in /var/lib: load the module overlay, or use ext4. ({complaint})"
    if "cgroup2" not in {line.split()[2] for line in Path("/proc/mounts").read_text().splitlines()}:
        yield "Control groups of version 2 are missing: mount cgroup2 at /sys/fs/cgroup/unified."


def _complaint(command: tuple[str, ...], stdin: str = "") -> str:
    """Run a trial and return the first line of its complaint, nothing if it worked."""
    done = subprocess.run(command, input=stdin, text=True, capture_output=True, check=False)
    if done.returncode == 0:
        return ""
    return next(iter(done.stderr.splitlines()), f"exit code {done.returncode}")


def _overlay_complaint() -> str:
    """Try where machines will live: an overlay does not work on every file system."""
    prefix = f"roachmesh-trial-{os.getpid()}-"
    with tempfile.TemporaryDirectory(dir="/var/lib", prefix=prefix) as folder:
        for name in ("lower", "upper", "work", "root"):
            Path(folder, name).mkdir()
        layers = f"lowerdir={folder}/lower,upperdir={folder}/upper,workdir={folder}/work"
        return _complaint(
            ("unshare", "--mount", "mount", "-t", "overlay", "-o", layers, "trial", f"{folder}/root")
        )
