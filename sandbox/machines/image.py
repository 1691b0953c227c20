"""The machines' base image: Debian 13, made by mmdebstrap, kept by the hash of its recipe.

It is never written to again: every machine lays its own changes over it, and the fabric's daemons run
from it.
"""

import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from sandbox import builds

IMAGES = builds.CACHE / "images"
ROOTFS = Path(__file__).parent / "rootfs"  # files laid over Debian's, to resemble Azure's image

_PACKAGES = (
    "systemd", "systemd-sysv", "systemd-resolved", "dbus", "openssh-server", "sudo", "curl",
    "ca-certificates", "iproute2", "iputils-ping", "linux-sysctl-defaults", "nftables", "procps",
    "e2fsprogs", "python3", "python3-cryptography", "python3-yaml", "postgresql-17", "postgresql-client-17",
    "chrony", "dnsmasq", "pgbouncer", "pgpool2", "python3-psycopg",
    # What a Kubernetes node runs, and what the programs in its containers are made of.
    "containerd", "runc", "containernetworking-plugins", "etcd-server", "etcd-client", "iptables",
    "conntrack", "ethtool", "socat", "busybox-static", "python3-dnspython",
)  # fmt: skip
_LEFT_OUT = (
    "/usr/share/doc/*", "/usr/share/info/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/i18n/*",
    # PostgreSQL's just-in-time compiler: a third of the image, and nothing here is worth compiling.
    "/usr/lib/*/libLLVM*", "/usr/lib/*/libz3*", "/usr/lib/postgresql/*/lib/llvmjit*",
    "/usr/lib/postgresql/*/lib/bitcode/*",
    # What containerd, etcd and the network plugins bring for others: 60 MB.
    "/usr/bin/containerd-shim", "/usr/bin/containerd-shim-runc-v1", "/usr/bin/etcdutl", "/usr/lib/cni/dhcp",
)  # fmt: skip
_ENABLED = ("systemd-networkd.service", "cloud-final.service", "kubelet-sysctls.service")
_DISABLED = (
    "postgresql.service", "dnsmasq.service", "containerd.service", "etcd.service", "getty@tty1.service",
    "remote-fs.target", "pgbouncer.service", "pgpool2.service",
)  # fmt: skip
_MASKED = (  # a boot costs a third less without them
    "apt-daily-upgrade.timer", "apt-daily.timer", "dpkg-db-backup.timer", "e2scrub_all.timer",
    "e2scrub_reap.service", "fstrim.timer", "console-getty.service", "dev-hugepages.mount", "run-lock.mount",
    "sshd-keygen.service", "systemd-ask-password-console.path", "systemd-ask-password-wall.path",
    "systemd-hibernate-clear.service", "systemd-logind.service", "systemd-modules-load.service",
    "systemd-network-generator.service", "systemd-networkd-persistent-storage.service",
    "systemd-networkd-wait-online.service", "systemd-pcrphase.service", "systemd-pcrphase-sysinit.service",
    "systemd-pstore.service", "systemd-remount-fs.service", "systemd-tmpfiles-setup-dev.service",
    "systemd-tmpfiles-setup-dev-early.service", "systemd-update-utmp.service",
)  # fmt: skip
_GENERATORS = (  # they run at every boot and reload, and find nothing in a machine
    "debug", "getty", "gpt-auto", "hibernate-resume", "rc-local", "run", "ssh", "system-update", "sysv",
    "tpm2",
)  # fmt: skip
_BEFORE_PACKAGES = """
mkdir -p "$1/etc/postgresql-common/createcluster.d"
echo "create_main_cluster = false" >"$1/etc/postgresql-common/createcluster.d/none.conf"
"""
_AFTER_PACKAGES = f"""
set -e
tar -C "$ROOTFS" --owner=0 --group=0 --mode=u=rwX,go=rX -c . | tar -C "$1" -x
chroot "$1" systemctl --quiet enable {" ".join(_ENABLED)}
chroot "$1" systemctl --quiet disable {" ".join(_DISABLED)}
chroot "$1" systemctl --quiet mask {" ".join(_MASKED)}
mkdir "$1/etc/systemd/system-generators"
for name in {" ".join(_GENERATORS)}; do
  ln -s /dev/null "$1/etc/systemd/system-generators/systemd-$name-generator"
done
rm -f "$1"/etc/ssh/ssh_host_* "$1/etc/hostname" "$1/etc/machine-id"
touch "$1/etc/.updated" "$1/var/.updated"  # or every first boot would look for what an update asks for
"""

_COMMAND = (
    "mmdebstrap", "--mode=root", "--variant=minbase", f"--include={','.join(_PACKAGES)}",
    *(f"--dpkgopt=path-exclude={pattern}" for pattern in _LEFT_OUT),
    f"--setup-hook={_BEFORE_PACKAGES}", f"--customize-hook={_AFTER_PACKAGES}", "trixie",
)  # fmt: skip


def path() -> Path:
    """Return where the image is, or will be."""
    recipe = sha256(repr(_COMMAND).encode())
    for file in sorted(file for file in ROOTFS.rglob("*") if file.is_file()):
        recipe.update(f"{file.relative_to(ROOTFS)} {os.access(file, os.X_OK)}".encode() + file.read_bytes())
    return IMAGES / recipe.hexdigest()[:16]


def ensure(say: builds.Say) -> Path:
    """Build the image unless it is there, and remove those of older recipes.

    Raises:
        CommandFailed: the build failed; nothing of it is taken for whole.
    """

    def make(draft: Path) -> None:
        say("Building the machines' base image, Debian 13: about a minute, this once")
        builds.bootstrap("Debian 13", (*_COMMAND, str(draft)), {"ROOTFS": str(ROOTFS)}, say)

    return builds.ensure(path(), make, lambda: set(_in_use()))


def _in_use() -> Iterator[Path]:
    """Yield the images that running machines are laid over, or that daemons run from."""
    for line in Path("/proc/mounts").read_text().splitlines():
        for option in line.split()[3].split(","):
            if option.startswith("lowerdir="):
                yield Path(option.removeprefix("lowerdir="))
    for root in Path("/proc").glob("[0-9]*/root"):
        try:
            yield root.readlink()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended meanwhile, or is a thread of the kernel
