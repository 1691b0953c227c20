"""Images on a real machine: pulled by containerd from the mirror, run by runc."""

import base64
import io
import json
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.fabric import removal as fabric_removal
from sandbox.instance import Instance
from sandbox.kubernetes import binaries
from sandbox.machines import removal as machines_removal
from tests.sandbox.cockroach_fixtures import CLIENT, SERVER, Authority
from tests.sandbox.fabric_lab import eventually
from tests.sandbox.machine_lab import MachineLab, Shell
from tests.sandbox.mirror_fixtures import mirror_for_machines

pytestmark = pytest.mark.machines

IMAGES = (
    "docker.io/rancher/mirrored-pause:3.6",
    "docker.io/library/busybox:latest",
    "docker.io/library/alpine:3",
    "docker.io/cockroachdb/cockroach:v26.2.2",
    "docker.io/edoburu/pgbouncer:v1.24.1-p1",
    "docker.io/sosedoff/pgweb:0.17.0",
)
BUSYBOX, ALPINE, COCKROACH, PGBOUNCER, PGWEB = IMAGES[1:]
POD = "cockroachdb-0.cockroachdb.crdb-eastus.svc.cluster.local"
WILDCARD = "*.cockroachdb.crdb-eastus.svc.cluster.local"
HOSTS = '[host."https://{address}"]\n  ca = "/etc/containerd/ca.pem"\n'


@pytest.fixture(scope="module")
def shell(instance: Instance, base_image: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A machine whose containerd has every image."""
    del base_image
    machines_removal.remove_everything(instance)
    fabric_removal.remove_everything(instance)
    lab = MachineLab(instance, ["a4"])
    lab.machines.boot(lab.spec("a4"))
    directory = tmp_path_factory.mktemp("mirror")
    try:
        with mirror_for_machines(instance, directory) as ca, lab.shell("a4") as opened:
            place(opened, "/etc/containerd/ca.pem", ca)
            hosts = HOSTS.format(address=instance.mirror_address)
            place(opened, "/etc/containerd/certs.d/_default/hosts.toml", hosts)
            opened.run("sudo systemctl start containerd")
            for image in IMAGES:
                pull(opened, image)
            yield opened
    finally:
        machines_removal.remove_everything(instance)
        fabric_removal.remove_everything(instance)


def place(shell: Shell, path: str, content: str) -> None:
    coded = base64.b64encode(content.encode()).decode()
    shell.run(f"sudo mkdir -p $(dirname {path}) && echo {coded} | base64 -d | sudo tee {path} >/dev/null")


def pull(shell: Shell, image: str) -> None:
    shell.run(f"sudo ctr -n k8s.io image pull --hosts-dir /etc/containerd/certs.d {image}")


def container(image: str, command: str, *options: str, name: str = "trial") -> str:
    """The command that runs a container as kubelet's would: through the machine's own runc."""
    words = ("--rm", "--runc-binary=/usr/local/sbin/runc", *options, image, name, command)
    return f"sudo ctr -n k8s.io run {' '.join(words)}"


def test_a_machine_sees_kubernetes_and_the_sysctls_that_kubelet_wants(shell: Shell) -> None:
    for program in set(binaries.PROGRAMS) - {"kubectl"}:
        assert shell.run(f"{binaries.MOUNT}/{program} --version") == "Kubernetes v1.20.2"
    assert "v1.20.2" in shell.run(f"{binaries.MOUNT}/kubectl version --client")
    assert shell.attempt(f"sudo touch {binaries.MOUNT}/more")[0] == 1
    settings = "vm/overcommit_memory kernel/panic kernel/panic_on_oops"
    assert shell.run(f"cd /proc/sys && cat {settings}").split() == ["1", "10", "1"]
    folders = "/var/lib/rancher /var/lib/kubelet /var/lib/containerd"
    assert "overlay" not in shell.run(f"stat --file-system --format=%T {folders}")


def test_an_image_that_nobody_has_is_not_pulled(shell: Shell) -> None:
    with pytest.raises(AssertionError, match="StatusNotFound"):
        pull(shell, "docker.io/library/nginx:1")


def test_busybox_is_itself(shell: Shell) -> None:
    assert shell.run(container(BUSYBOX, "wget --help")).startswith("BusyBox v1.")
    assert "usr" not in shell.run(container(BUSYBOX, "ls /")).split()


def test_the_machines_usr_is_in_a_container_that_brings_none_of_its_own(shell: Shell) -> None:
    modules = "python3 -c 'import dns, psycopg, ssl, yaml'"
    for program in ("curl --version", "ping -V", "nslookup --help", modules):
        shell.run(container(ALPINE, program))
    status, said = shell.attempt(container(ALPINE, "touch /usr/bin/mine"))
    assert (status, "Read-only file system" in said) == (1, True)


PGBOUNCER_INI = """\
[databases]
* = host=127.0.0.1
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = 6432
auth_type = trust
auth_file = /etc/pgbouncer/userlist.txt
unix_socket_dir =
admin_users = app
"""


def test_a_pooler_runs_as_its_own_user_with_files_that_it_cannot_write(shell: Shell) -> None:
    folder = "/etc/pgbouncer"
    for name, content in {"pgbouncer.ini": PGBOUNCER_INI, "userlist.txt": '"app" ""\n'}.items():
        place(shell, f"/srv{folder}/{name}", content)
    command = f"/entrypoint.sh /usr/bin/pgbouncer {folder}/pgbouncer.ini"
    mount = f"--mount=type=bind,src=/srv{folder},dst={folder},options=rbind:ro"
    options = ("--net-host", "--user=70:70", mount, "--detach")
    started = container(PGBOUNCER, command, *options, name="pooler").replace("--rm ", "")
    try:
        shell.run(started)
        eventually(lambda: "127.0.0.1:6432" in shell.run("ss -tlnH"))
        process = shell.run("sudo ss -tlnpH sport = :6432 | grep -o 'pid=[0-9]*' | head -1")
        assert shell.run(f"ps -o uid=,gid= -p {process.removeprefix('pid=')}").split() == ["70", "70"]
    finally:
        shell.run("sudo ctr -n k8s.io task kill --signal SIGKILL pooler; sleep 1")
        shell.run("sudo ctr -n k8s.io task rm -f pooler; sudo ctr -n k8s.io container rm pooler")


@pytest.mark.parametrize(
    ("image", "options", "command", "said"),
    [
        (PGBOUNCER, ("--env=DB_HOST=db",), "/entrypoint.sh true", "DB_HOST: not emulated by the sandbox"),
        (PGBOUNCER, (), "/entrypoint.sh true", "mount one"),
        (PGWEB, ("--env=DATABASE_URL=host=127.0.0.1",), "/stand-in/pgweb", "Error: connection failed"),
    ],
)
def test_what_an_image_does_not_do_is_said_aloud(
    shell: Shell, image: str, options: tuple[str, ...], command: str, said: str
) -> None:
    status, output = shell.attempt(container(image, command, "--net-host", *options))
    assert status != 0
    assert said in output


@pytest.mark.parametrize("user", ["0:0", "1000:1000"])
def test_cockroach_works_in_its_container_as_root_and_as_another(shell: Shell, user: str) -> None:
    """Under a pod's name, with keys in files of mode 0400."""
    shell.run(
        f"sudo mkdir -p /srv/certs /srv/store && sudo chown {user} /srv/store && sudo chmod 755 /srv/store"
    )
    put_certificates(shell)
    shell.run(f"sudo chown -R {user} /srv/certs && sudo sh -c 'chmod 400 /srv/certs/*'")
    place(shell, "/etc/hosts", f"127.0.0.1 localhost {POD}\n")
    options = (
        "--net-host", f"--user={user}",
        "--mount=type=bind,src=/srv/certs,dst=/certs,options=rbind:ro",
        "--mount=type=bind,src=/srv/store,dst=/cockroach/cockroach-data,options=rbind:rw",
    )  # fmt: skip
    start = f"/cockroach/cockroach start --certs-dir=/certs --advertise-addr={POD} --join={POD}"
    shell.run(
        container(COCKROACH, start, "--detach --log-uri=file:///srv/log", *options, name="db").replace(
            "--rm ", ""
        )
    )
    client = f"/cockroach/cockroach {{}} --certs-dir=/certs --host={POD}"
    try:
        eventually(lambda: "26257" in shell.run("ss -tlnH"))
        shell.run(container(COCKROACH, client.format("init"), *options))
        asked = client.format("node status --format=json")
        row = json.loads(shell.run(container(COCKROACH, asked, *options)))[0]
        assert (row["address"], row["is_live"]) == (f"{POD}:26257", "true")
        sql = client.format("sql --format=csv") + " --execute='SELECT 6*7 AS product'"
        assert shell.run(container(COCKROACH, sql, *options)).split() == ["product", "42"]
    finally:
        shell.run(
            "sudo ctr -n k8s.io task kill --signal SIGTERM db; sleep 1; sudo ctr -n k8s.io task rm -f db"
        )
        shell.run("sudo ctr -n k8s.io container rm db; sudo rm -rf /srv/certs /srv/store")


def put_certificates(shell: Shell) -> None:
    authority = Authority()
    with tempfile.TemporaryDirectory() as folder:
        certs = Path(folder)
        authority.write(certs)
        authority.issue(certs, "node", "anything", SERVER, address="127.0.0.1", host=WILDCARD)
        authority.issue(certs, "client.node", "node", CLIENT)
        authority.issue(certs, "client.root", "root", CLIENT)
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            tar.add(certs, ".")
    coded = base64.b64encode(packed.getvalue()).decode()
    shell.run(f"echo {coded} | base64 -d | sudo tar -C /srv/certs -x")
