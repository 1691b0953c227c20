"""Machines that run the stand-in for k3s, installed as an operator would: from the mirror, with a unit."""

import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import yaml

from sandbox.instance import Instance
from sandbox.kubernetes import binaries
from tests.sandbox.fabric_lab import group, rule, virtual_network
from tests.sandbox.machine_lab import MachineLab, Shell

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
        settings = config if command == "agent" else COMMON | self._names(machine) | config
        if "server" in settings:
            settings["server"] = f"https://{self.private(settings['server'])}:6443"
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

    def start(self, machine: str, unit: str = "k3s") -> float:
        """Start k3s and wait until it says that it is ready; returns the seconds that it took."""
        with self.shell(machine) as shell:
            started = time.monotonic()
            shell.run(f"sudo systemctl start {unit}")
            return time.monotonic() - started

    def add_network(self, machine: str, kubectl: "Kubectl") -> None:
        """Give a node a container network, as a CNI would once the node has its range."""
        asked = ("get", "node", f"host-{machine}", "-o", "jsonpath={.spec.podCIDR}")
        found = kubectl.until(lambda: kubectl(*asked), within_s=30)
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

    def _names(self, machine: str) -> dict[str, Any]:
        return {"tls-san": [str(self.lab.public(int(machine[1:])))], "node-ip": self.private(machine)}


class Kubectl:
    """A kubectl that nobody here wrote."""

    def __init__(self, kubeconfig: Path, program: str = "") -> None:
        self.kubeconfig = kubeconfig
        self.program = program or shutil.which("kubectl") or str(binaries.path() / "kubectl")

    def __call__(self, *arguments: str, stdin: str = "") -> str:
        """Run it; it must succeed."""
        done = self.attempt(*arguments, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def attempt(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run it."""
        command = [self.program, f"--kubeconfig={self.kubeconfig}", *arguments]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=120)

    def json(self, *arguments: str) -> Any:
        """Return what it gives as JSON."""
        return json.loads(self(*arguments, "-o", "json"))

    def until(self, ask: Any, *, within_s: float) -> Any:
        """Ask until the answer is something; returns it."""
        deadline = time.monotonic() + within_s
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
