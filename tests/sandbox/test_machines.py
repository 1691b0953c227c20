"""Machines as the product meets them: real ones, over SSH."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import paramiko
import pytest

from sandbox.fabric import removal as fabric_removal
from sandbox.instance import Instance
from sandbox.machines import container, disks
from sandbox.machines import removal as machines_removal
from sandbox.machines.cloud_config import UnsupportedCustomData
from sandbox.machines.machines import MachineFailed
from sandbox.machines.model import DataDisk
from tests.sandbox.fabric_lab import eventually
from tests.sandbox.machine_lab import ADMINISTRATOR, KeyPair, MachineLab, indented, seconds_of

pytestmark = pytest.mark.machines

DISK = DataDisk("/subscriptions/s/disks/a4-data", lun=0, size_gib=128)
MOUNT_UNIT = """\
[Unit]
Description=The store
[Mount]
What=/dev/disk/azure/data/by-lun/0
Where=/var/lib/cockroach
Type=ext4
Options=noatime
[Install]
WantedBy=multi-user.target
"""


@pytest.fixture(scope="module")
def lab(instance: Instance, base_image: Path) -> Iterator[MachineLab]:
    """`a4` runs, with a disk; the others are booted by their tests."""
    del base_image
    machines_removal.remove_everything(instance)
    fabric_removal.remove_everything(instance)
    made = MachineLab(instance, ["a4", "a5", "a6"])
    made.machines.boot(made.spec("a4", disks=(DISK,)))
    yield made
    machines_removal.remove_everything(instance)
    fabric_removal.remove_everything(instance)


# As Azure's image is


def test_a_machine_is_up_with_its_pinned_host_key_and_sudo(lab: MachineLab) -> None:
    with lab.shell("a4") as shell:
        assert shell.run("hostname") == "host-a4"
        assert shell.run("sudo -n id -un") == "root"
        assert shell.run("systemctl is-system-running") == "running"
        assert shell.run("cloud-init status --wait") == "status: done"
        assert "stand-in" in shell.run("cloud-init --version")


def test_another_host_key_is_not_accepted(lab: MachineLab) -> None:
    with pytest.raises(paramiko.BadHostKeyException), lab.shell("a4", host_key=KeyPair.new().public):
        pass


@pytest.mark.parametrize(("user", "key"), [("root", ""), (ADMINISTRATOR, "another")])
def test_nobody_else_gets_in(lab: MachineLab, user: str, key: str) -> None:
    private = KeyPair.new().private if key else ""
    with pytest.raises(paramiko.AuthenticationException), lab.shell("a4", user, key=private):
        pass


@pytest.mark.parametrize("service", ["pgbouncer"])
def test_a_pooler_starts_when_it_is_told_to_and_not_before(lab: MachineLab, service: str) -> None:
    with lab.shell("a4") as shell:
        assert shell.attempt(f"systemctl is-enabled {service}") == (1, "disabled\n")
        assert shell.attempt(f"systemctl is-active {service}") == (3, "inactive\n")
        shell.run(f"sudo -n systemctl start {service}")
        try:
            process = shell.run(f"systemctl show --property MainPID --value {service}")
            assert shell.run(f"ps -o user= -p {process}") == "postgres"
        finally:
            shell.run(f"sudo -n systemctl stop {service}")


def test_no_password_opens_anything(lab: MachineLab) -> None:
    with lab.shell("a4") as shell:
        effective = shell.run("sudo -n sshd -T")
        assert "passwordauthentication no" in effective
        assert "permitrootlogin no" in effective
        assert shell.run("sudo -n awk -F: '$2 !~ /^[!*]/' /etc/shadow") == ""


def test_the_resolver_is_azures_and_survives_a_restart_of_the_daemons(lab: MachineLab) -> None:
    with lab.shell("a4") as shell:
        shell.run("sudo -n systemctl restart systemd-networkd systemd-resolved")
        assert "168.63.129.16" in shell.run("resolvectl dns eth0")
        assert shell.run("getent hosts host-a5").split() == ["10.1.1.5", "host-a5.internal.cloudapp.net"]
        status, _ = shell.attempt("getent hosts example.com")
        assert status == 2
        assert shell.run("ip -4 -brief address show eth0").split()[2] == "10.1.1.4/24"
        assert shell.run("ip route show default") == "default via 10.1.1.1 dev eth0"


def test_chrony_can_be_managed_and_agrees_with_the_time_server(lab: MachineLab) -> None:
    with lab.shell("a4") as shell:
        shell.run("echo 'server time.windows.com iburst' | sudo -n tee /etc/chrony/chrony.conf >/dev/null")
        shell.run("sudo -n systemctl restart chrony")
        assert shell.run("sudo -n chronyc waitsync 20 0.05 0 0.5").splitlines()[-1].startswith("try: ")
        assert str(lab.lab.instance.time_address) in shell.run("chronyc -n sources")


# What its root cannot do


def test_root_cannot_set_the_clock(lab: MachineLab) -> None:
    with lab.shell("a4") as shell:
        status, said = shell.attempt("sudo -n date --set @$(date +%s)")  # if it could: to what it is
        assert status != 0
        assert "not permitted" in said


def test_root_may_change_its_own_network_settings_and_no_others(lab: MachineLab) -> None:
    with lab.shell("a4") as shell:
        shell.run("sudo -n sysctl -w net.ipv4.ip_forward=0")
        same = "kernel.randomize_va_space=$(cat /proc/sys/kernel/randomize_va_space)"
        assert shell.attempt(f"sudo -n sysctl -w {same}")[0] != 0
        assert shell.attempt("sudo -n sh -c 'echo 0 >/sys/kernel/mm/ksm/run'")[0] != 0


def test_what_a_kubelet_sets_is_the_machines_own_and_reaches_no_kernel(lab: MachineLab) -> None:
    host = Path("/proc/sys/kernel/panic")
    before = host.read_text()
    with lab.shell("a4") as shell:
        shell.run("sudo -n sysctl -w kernel.panic=77")
        assert shell.run("cat /proc/sys/kernel/panic") == "77"
    assert host.read_text() == before != "77\n"


# Disks


def test_a_data_disk_carries_a_file_system_that_outlives_halt_and_boot(lab: MachineLab) -> None:
    with lab.shell("a4") as shell:
        assert shell.run("readlink -f /dev/disk/azure/data/by-lun/0") == "/dev/nvme0n2"
        shell.run("sudo -n mkfs.ext4 -q /dev/disk/azure/data/by-lun/0")
        unit = "/etc/systemd/system/var-lib-cockroach.mount"
        shell.run(f"sudo -n tee {unit} >/dev/null <<'END'\n{MOUNT_UNIT}END")
        shell.run("sudo -n systemctl daemon-reload && sudo -n systemctl enable --now var-lib-cockroach.mount")
        shell.run("echo kept | sudo -n tee /var/lib/cockroach/file")
        before = shell.run("cat /etc/machine-id")
        assert shell.run("findmnt -n -o SIZE /var/lib/cockroach") == "3.9G"
    started = time.monotonic()
    lab.machines.halt("a4")
    assert seconds_of(started) < 10
    assert not lab.machines.is_running("a4")
    lab.machines.boot(lab.spec("a4", disks=(DISK,)))
    with lab.shell("a4") as shell:
        assert shell.run("cat /var/lib/cockroach/file") == "kept"
        assert shell.run("findmnt -n -o FSTYPE /var/lib/cockroach") == "ext4"
        assert shell.run("cat /etc/machine-id") == before


def test_a_disk_takes_little_room_and_can_be_forgotten(lab: MachineLab) -> None:
    disk = DataDisk("/subscriptions/s/disks/other", lun=3, size_gib=1024)
    lab.machines.boot(lab.spec("a5", disks=(disk,)))
    file = disks.file_of(lab.lab.instance, disk.id)
    assert file.stat().st_size == disks.CAP_GIB << 30
    assert file.stat().st_blocks * 512 < 1 << 20
    with lab.shell("a5") as shell:
        assert shell.run("ls /dev/disk/azure/data/by-lun") == "3"
    lab.machines.delete("a5")
    assert file.exists(), "a disk is not its machine's"
    lab.machines.delete_disk(disk.id)
    assert not file.exists()


# Custom data


def test_custom_data_is_applied(lab: MachineLab) -> None:
    guest = KeyPair.new()
    custom_data = f"""\
#cloud-config
hostname: renamed
ssh_deletekeys: true
ssh_keys:
  ed25519_private: |
{indented(lab.host_key.private)}\
  ed25519_public: {lab.host_key.public}
users:
  - default
  - name: guest
    groups: [games, newcomers]
    ssh_authorized_keys: ["{guest.public}"]
write_files:
  - path: /opt/deep/er/plain
    content: "as it is\\n"
    permissions: "0640"
    owner: root:adm
  - path: /var/run/through-a-link
    encoding: gz+b64
    content: H4sIAAAAAAAC/8tIzcnJVyjPL8pJ4QIALTsIrwwAAAA=
  - path: /home/{ADMINISTRATOR}/note
    encoding: b64
    content: aGVsbG8K
    owner: {ADMINISTRATOR}:{ADMINISTRATOR}
    defer: true
runcmd:
  - sleep 0.3; echo "$USER ran" >>/root/runs
  - [sh, -c, "echo list item >>/root/runs"]
"""
    lab.machines.boot(lab.spec("a5", custom_data))
    with lab.shell("a5") as shell:
        assert shell.run("cloud-init status --wait") == "status: done"
        assert shell.run("sudo -n cat /root/runs").splitlines()[-1] == "list item"
        assert shell.run("hostname") == "renamed"
        assert shell.run("sudo -n stat -c '%a %U %G' /opt/deep/er/plain") == "640 root adm"
        assert shell.run("sudo -n cat /opt/deep/er/plain") == "as it is"
        assert shell.run("stat -c %U ~/note && cat ~/note").split() == [ADMINISTRATOR, "hello"]
        assert shell.run("ls /etc/ssh/ssh_host_*_key") == "/etc/ssh/ssh_host_ed25519_key"
    with lab.shell("a5", "guest", key=guest.private) as shell:
        assert shell.run("id -nG").split() == ["guest", "games", "newcomers"]
        assert shell.attempt("sudo -n id")[0] != 0
    lab.machines.halt("a5")
    lab.machines.boot(lab.spec("a5", custom_data))
    with lab.shell("a5") as shell:
        assert shell.run("sudo -n grep -c item /root/runs") == "1", "runcmd runs once in a machine's life"
    lab.machines.delete("a5")


def test_a_link_in_the_machine_cannot_lead_a_file_out_of_it(lab: MachineLab) -> None:
    assert not Path("/run/through-a-link").exists()
    assert not Path("/var/run/through-a-link").exists()


def test_a_command_that_fails_is_seen_in_cloud_inits_status(lab: MachineLab) -> None:
    lab.machines.boot(lab.spec("a5", f"{lab.spec('a5').custom_data}runcmd: [[sh, -c, exit 3]]\n"))
    with lab.shell("a5") as shell:
        assert shell.attempt("cloud-init status --wait") == (1, "status: error\n")
    lab.machines.delete("a5")


def test_unsupported_custom_data_is_refused_before_anything_is_made(lab: MachineLab) -> None:
    with pytest.raises(UnsupportedCustomData, match="`packages` is not supported"):
        lab.machines.boot(lab.spec("a6", "#cloud-config\npackages: [nginx]\n"))
    assert not (lab.lab.instance.directory / "machines" / "a6").exists()


def test_without_host_keys_in_custom_data_a_machine_gets_its_own(lab: MachineLab) -> None:
    lab.machines.boot(lab.spec("a5", "#cloud-config\n{}\n"))
    with pytest.raises(paramiko.BadHostKeyException), lab.shell("a5"):
        pass
    lab.machines.delete("a5")


# Life


def test_a_machine_comes_back_when_it_reboots_itself(lab: MachineLab) -> None:
    lab.machines.boot(lab.spec("a5"))
    with lab.shell("a5") as shell:
        booted = shell.run("cat /proc/sys/kernel/random/boot_id")
        shell.attempt("sudo -n systemctl reboot")

    def again() -> bool:
        try:
            with lab.shell("a5") as shell:
                return shell.run("cat /proc/sys/kernel/random/boot_id") != booted
        except (OSError, EOFError, paramiko.SSHException):
            return False

    assert eventually(again, within_s=20)
    lab.machines.delete("a5")


def test_a_machine_that_powers_itself_off_is_seen_to_be_off(lab: MachineLab) -> None:
    lab.machines.boot(lab.spec("a5"))
    with lab.shell("a5") as shell:
        shell.attempt("sudo -n systemctl poweroff")
    assert eventually(lambda: not lab.machines.is_running("a5"), within_s=10)
    lab.machines.boot(lab.spec("a5"))
    assert lab.machines.is_running("a5")
    lab.machines.delete("a5")
    assert not lab.machines.is_running("a5")


def test_a_running_machine_is_not_booted_again(lab: MachineLab) -> None:
    started = time.monotonic()
    lab.machines.boot(lab.spec("a4", disks=(DISK,)))
    assert seconds_of(started) < 0.5


def test_a_machine_that_cannot_come_up_says_what_its_console_said(lab: MachineLab) -> None:
    broken = "#cloud-config\nwrite_files: [{path: /etc/ssh/sshd_config.d/0.conf, content: Nonsense}]\n"
    with pytest.raises(MachineFailed, match=r"(?s)machine a5: .*console ends with:.*multi-user"):
        lab.machines.boot(lab.spec("a5", broken))
    assert not lab.machines.is_running("a5")
    lab.machines.delete("a5")


def test_a_machine_outside_of_the_fabric_does_not_boot(lab: MachineLab) -> None:
    with pytest.raises(MachineFailed, match="machine nowhere"):
        lab.machines.boot(lab.spec("nowhere"))
    lab.machines.delete("nowhere")


def test_an_interrupted_provisioning_starts_afresh(lab: MachineLab) -> None:
    half_done = lab.lab.instance.directory / "machines" / "a5" / "changes" / "etc"
    half_done.mkdir(parents=True)
    (half_done / "passwd").write_text("nobody at all")
    lab.machines.boot(lab.spec("a5"))
    with lab.shell("a5") as shell:
        assert shell.run("id -un") == ADMINISTRATOR
    lab.machines.delete("a5")


def test_machines_boot_side_by_side_and_have_identities_of_their_own(lab: MachineLab) -> None:
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda name: lab.machines.boot(lab.spec(name)), ["a5", "a6"]))
    seen = set()
    for name in ("a4", "a5", "a6"):
        with lab.shell(name) as shell:
            seen.add(shell.run("cat /etc/machine-id"))
    assert len(seen) == 3
    assert "multi-user" in lab.machines.console("a5")
    assert container.role("a5") != container.role("a6")
