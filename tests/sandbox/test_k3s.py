"""Three servers and an agent of the stand-in for k3s, on real machines, as kubectl and an operator see them.

One cluster for the whole module; tests that take something away put it back.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.fabric import removal as fabric_removal
from sandbox.fabric.fabric import Fabric
from sandbox.fabric.model import Network
from sandbox.instance import Instance
from sandbox.kubernetes import binaries
from sandbox.machines import removal as machines_removal
from tests.sandbox.k3s_lab import TOKEN, K3sLab, Kubectl, write
from tests.sandbox.mirror_fixtures import mirror_for_machines

pytestmark = [pytest.mark.machines, pytest.mark.timeout(1200)]

SERVERS, AGENT, SPARE = ("a4", "a5", "a6"), "a7", "a8"
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: web, image: "busybox:1.37", command: [sh, -c, "echo started; sleep 1000"]}]
"""
MANIFEST_FILE = "/var/lib/rancher/k3s/server/manifests/x.yaml"
MANIFEST = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: deployed}\ndata: {by: k3s}\n"


@pytest.fixture(scope="module")
def lab(instance: Instance, base_image: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[K3sLab]:
    """Three servers, two of which join at the same time, an agent, and a machine where nothing runs yet."""
    del base_image
    machines_removal.remove_everything(instance)
    fabric_removal.remove_everything(instance)
    Fabric(instance).apply(Network())  # the edge must be there for the mirror to listen in
    directory = tmp_path_factory.mktemp("lab")
    try:
        with mirror_for_machines(instance, directory) as ca:
            made = K3sLab(instance, [*SERVERS, AGENT, SPARE], ca)
            bring_up(made)
            kubectl = made.kubectl("a4", directory)
            for machine in (*SERVERS, AGENT):
                made.add_network(machine, kubectl)
            kubectl("wait", "--for=condition=Ready", "node", "--all", "--timeout=180s")
            yield made
    finally:
        machines_removal.remove_everything(instance)
        fabric_removal.remove_everything(instance)


def bring_up(lab: K3sLab) -> None:
    """Boot all machines, begin the cluster, and let all others join at the same time."""
    with ThreadPoolExecutor() as pool:
        list(pool.map(lab.boot, [*SERVERS, AGENT, SPARE]))
        lab.install("a4", "server", **{"cluster-init": True})
        lab.start("a4")
        agent = pool.submit(lab.install, AGENT, "agent", server=lab.url("a4"), token=TOKEN)
        list(pool.map(lambda one: lab.install(one, "server", server=lab.url("a4")), ["a5", "a6", SPARE]))
        agent.result()
        with lab.shell("a6") as shell:
            write(shell, MANIFEST_FILE, MANIFEST)
        list(pool.map(lab.start, ["a5", "a6", AGENT], ["k3s", "k3s", "k3s-agent"]))


@pytest.fixture(scope="module")
def kubectl(lab: K3sLab, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    return lab.kubectl("a5", tmp_path_factory.mktemp("kubeconfig"))


def nodes(kubectl: Kubectl) -> dict[str, Any]:
    return {node["metadata"]["name"]: node for node in kubectl.json("get", "nodes")["items"]}


def is_ready(kubectl: Kubectl, machine: str) -> bool:
    conditions = kubectl.json("get", "node", f"host-{machine}")["status"]["conditions"]
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def etcd(lab: K3sLab, machine: str, *arguments: str) -> str:
    """Run etcdctl on a server."""
    tls_folder = "/var/lib/rancher/k3s/server/tls/etcd"
    pair = f"--cacert={tls_folder}/server-ca.crt --cert={tls_folder}/client.crt --key={tls_folder}/client.key"
    with lab.shell(machine) as shell:
        return shell.run(f"sudo etcdctl --endpoints=https://127.0.0.1:2379 {pair} {' '.join(arguments)}")


# What stands


def test_every_node_has_its_roles_range_and_address(lab: K3sLab, kubectl: Kubectl) -> None:
    def without_taints() -> dict[str, Any]:
        found = nodes(kubectl)  # each is tainted as not ready until its network is there
        return {} if any(node["spec"].get("taints") for node in found.values()) else found

    found = kubectl.until(without_taints)
    assert set(found) == {f"host-{machine}" for machine in (*SERVERS, AGENT)}
    for machine in (*SERVERS, AGENT):
        node = found[f"host-{machine}"]
        roles = {label for label in node["metadata"]["labels"] if label.startswith("node-role")}
        wanted = {"control-plane", "etcd", "master"} if machine in SERVERS else set()
        assert roles == {f"node-role.kubernetes.io/{role}" for role in wanted}
        assert {"type": "InternalIP", "address": lab.private(machine)} in node["status"]["addresses"]
        assert node["spec"]["podCIDR"].startswith("10.10.")
    assert len({node["spec"]["podCIDR"] for node in found.values()}) == 4


def test_three_members_vote(lab: K3sLab) -> None:
    members = [line.split(", ") for line in etcd(lab, "a6", "member", "list").splitlines()]
    assert {name.rpartition("-")[0] for _, _, name, *_ in members} == {f"host-{one}" for one in SERVERS}
    assert {(status, learner) for _, status, *_, learner in members} == {("started", "false")}


def test_the_command_and_the_log_say_what_runs(lab: K3sLab) -> None:
    with lab.shell("a4") as shell:
        assert "stand-in" in shell.run("k3s --version")
        first = shell.run("sudo journalctl -u k3s -o cat --no-pager | grep -m1 level=")
        assert "this is a stand-in for k3s" in first
        assert shell.run("sudo k3s kubectl get --raw=/readyz") == "ok"
        assert "busybox" in shell.run("sudo k3s ctr image pull --help >/dev/null && echo busybox")


def test_files_are_where_k3s_has_them_and_nobody_else_reads_them(lab: K3sLab) -> None:
    with lab.shell("a5") as shell:
        modes = shell.run(
            "sudo stat -L -c '%a %U' /etc/rancher/k3s/k3s.yaml /var/lib/rancher/k3s/server/token"
            " /var/lib/rancher/k3s/server/node-token /var/lib/rancher/k3s/server/tls/server-ca.key"
        )
        assert set(modes.splitlines()) == {"600 root"}
        token = shell.run("sudo cat /var/lib/rancher/k3s/server/node-token")
        ca = shell.run("sudo sha256sum /var/lib/rancher/k3s/server/tls/server-ca.crt").split()[0]
    assert token == f"K10{ca}::server:{TOKEN}"


def test_secrets_are_encrypted_at_rest_with_one_key(lab: K3sLab, kubectl: Kubectl) -> None:
    kubectl("create", "secret", "generic", "hidden", "--from-literal=word=plain")
    stored = etcd(lab, "a4", "get /registry/secrets/default/hidden --print-value-only | head -c 15")
    assert stored == "k8s:enc:aescbc:"
    with lab.shell("a6") as shell:  # another server reads it
        found = shell.run("sudo k3s kubectl get secret hidden -o jsonpath={.data.word}")
    assert found == "cGxhaW4="
    kubectl("delete", "secret", "hidden")


def test_requests_without_a_name_are_refused(lab: K3sLab) -> None:
    with lab.shell(AGENT) as shell:
        assert shell.run(f"curl -sk -o /dev/null -w %{{http_code}} {lab.url('a4')}/api") == "401"


# What kubectl does with it


def test_kubectl_old_and_new_applies_looks_into_and_deletes_a_deployment(kubectl: Kubectl) -> None:
    for client in (kubectl, Kubectl(kubectl.kubeconfig, binaries.path() / "kubectl")):
        client("apply", "-f", "-", stdin=DEPLOYMENT)
        assert "successfully rolled out" in client("rollout", "status", "deployment/web", "--timeout=180s")
        pods = client.json("get", "pods", "-l", "app=web")["items"]
        assert all(pod["status"]["podIP"].startswith("10.10.") for pod in pods)
        assert client("logs", "deployment/web") == "started"
        assert client("exec", "deployment/web", "--", "sh", "-c", "echo $((20 + 3))") == "23"
        assert "Image:         busybox:1.37" in client("describe", "pod", "-l", "app=web")
        assert "ScalingReplicaSet" in client("get", "events")
        assert "serverside-applied" in client(
            "apply", "--server-side", "--force-conflicts", "-f", "-", stdin=DEPLOYMENT
        )
    kubectl("delete", "deployment", "web")
    kubectl("wait", "--for=delete", "pod", "-l", "app=web", "--timeout=180s")


def test_an_image_that_no_registry_has_is_a_real_error(kubectl: Kubectl) -> None:
    kubectl("run", "missing", "--image=example.com/nothing:1", "--restart=Never")

    def reason() -> str:
        statuses = kubectl.json("get", "pod", "missing")["status"].get("containerStatuses") or [{}]
        return str(statuses[0].get("state", {}).get("waiting", {}).get("reason", ""))

    assert kubectl.until(lambda: reason() in ("ErrImagePull", "ImagePullBackOff"))
    kubectl("delete", "pod", "missing", "--wait=false")


def test_a_manifest_in_the_servers_folder_is_applied_and_applied_again(lab: K3sLab, kubectl: Kubectl) -> None:
    ask = ("get", "configmap", "deployed", "-o", "jsonpath={.data.by}")
    kubectl.until(lambda: kubectl(*ask) == "k3s")  # it was there before the server started
    with lab.shell("a6") as shell:
        write(shell, MANIFEST_FILE, MANIFEST.replace("k3s", "again"))
    kubectl.until(lambda: kubectl(*ask) == "again")


# What is refused


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"token": "another"}, "/v1-k3s/server-bootstrap: 401 Unauthorized: not authorized"),
        (
            {"token": f"K10{'0' * 64}::server:{TOKEN}"},
            "token CA hash does not match the Cluster CA certificate",
        ),
        ({"server": "https://10.1.1.99:6443"}, "failed to get CA certs: Get "),
        ({"server": "https://10.1.1.8:6443"}, "dial tcp 10.1.1.8:6443: connect: connection refused"),
        ({"cluster-cidr": "10.11.0.0/16"}, "critical configuration value mismatch between servers"),
        ({"secrets-encryption": False}, "critical configuration value mismatch between servers"),
        ({"node-name": "host-a5"}, "duplicate node name found, please use a unique name for this node"),
        ({"flannel-backend": "vxlan"}, "the sandbox's stand-in has no flannel"),
    ],
)
def test_a_server_that_must_not_join_ends_with_a_fatal_line_and_leaves_nothing(
    lab: K3sLab, change: dict[str, Any], message: str
) -> None:
    before = etcd(lab, "a4", "member", "list")
    settings = lab.settings(SPARE, **({"server": lab.url("a4")} | change))
    with lab.shell(SPARE) as shell:
        write(shell, "/etc/rancher/k3s/config.yaml", yaml.safe_dump(settings))
        status, said = shell.attempt("sudo timeout 30 k3s server")
    last = [line for line in said.splitlines() if line.startswith("time=")][-1]
    assert status == 1
    assert "level=fatal" in last
    assert message in last.replace('\\"', '"')
    assert etcd(lab, "a4", "member", "list") == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"token": "another"}, "failed to retrieve configuration from server: not authorized"),
        ({"server": "https://10.1.1.8:6443"}, "Failed to validate connection to cluster at https://10.1.1.8"),
        ({"node-name": "host-a7"}, "Node password rejected, duplicate hostname"),
    ],
)
def test_an_agent_that_must_not_join_says_why_and_waits(
    lab: K3sLab, change: dict[str, Any], message: str
) -> None:
    with lab.shell(SPARE) as shell:
        settings = {"server": lab.url("a4"), "token": TOKEN} | change
        write(shell, "/etc/rancher/k3s/config.yaml", yaml.safe_dump(settings))
        status, said = shell.attempt("sudo timeout 5 k3s agent")
    assert status == 124  # it would have waited on
    assert message in said


# What goes wrong


def test_a_restart_of_k3s_leaves_containers_running(lab: K3sLab, kubectl: Kubectl) -> None:
    overrides = '{"spec": {"nodeName": "host-a6", "terminationGracePeriodSeconds": 1}}'
    command = ("--restart=Never", f"--overrides={overrides}", "--", "sleep", "1000")
    kubectl("run", "stays", "--image=busybox:1.37", *command)
    kubectl("wait", "--for=condition=Ready", "pod/stays", "--timeout=180s")
    with lab.shell("a6") as shell:
        before = shell.run("pgrep -x -f 'sleep 1000'")
        process = lab.process(shell)
        shell.run("sudo systemctl restart --no-block k3s")
        lab.wait_for(shell, other_than=process)
        assert shell.run("pgrep -x -f 'sleep 1000'") == before
        assert shell.run("pgrep -c -x kube-apiserver") == "1"
    kubectl.until(lambda: is_ready(kubectl, "a6"))
    status = kubectl.json("get", "pod", "stays")["status"]["containerStatuses"][0]
    assert (status["ready"], status["restartCount"]) == (True, 0)
    kubectl("delete", "pod", "stays", "--wait=false")  # a kubelet tells of it every 10 s only


def test_k3s_ends_with_a_component_and_comes_back(lab: K3sLab, kubectl: Kubectl) -> None:
    with lab.shell("a6") as shell:
        process = lab.process(shell)
        shell.run("sudo pkill -x kubelet")
        kubectl.until(lambda: "kubelet exited" in shell.run("sudo journalctl -u k3s -n 200 -o cat"))
        lab.wait_for(shell, other_than=process)
    kubectl.until(lambda: is_ready(kubectl, "a6"))


def test_an_agent_finds_another_server_when_its_own_is_gone(lab: K3sLab, kubectl: Kubectl) -> None:
    ask = "sudo curl -sk --max-time 5 -o /dev/null -w %{http_code} https://127.0.0.1:6444/version"
    lab.machines.kill("a4")  # the one that it joined through
    with lab.shell(AGENT) as shell:
        kubectl.until(lambda: shell.attempt(ask)[1] == "401")
        shell.run("sudo timeout 30 systemctl stop k3s-agent")  # though kubelet holds a connection through it
        shell.run("sudo systemctl start --no-block k3s-agent")  # it remembers the others
        kubectl.until(lambda: shell.attempt(ask)[1] == "401")
    assert is_ready(kubectl, AGENT)
    lab.boot("a4")
    kubectl.until(lambda: is_ready(kubectl, "a4"))


def test_a_cluster_whose_servers_all_lost_power_comes_back(lab: K3sLab, kubectl: Kubectl) -> None:
    kubectl("create", "configmap", "kept", "--from-literal=word=kept")
    for machine in SERVERS:
        lab.machines.kill(machine)
    with ThreadPoolExecutor() as pool:
        list(pool.map(lab.boot, SERVERS))
    ask = ("get", "configmap", "kept", "-o", "jsonpath={.data.word}")
    assert kubectl.until(lambda: kubectl(*ask)) == "kept"
    for machine in SERVERS:
        kubectl.until(lambda machine=machine: is_ready(kubectl, machine))


def test_a_server_is_replaced_once_its_node_is_deleted(lab: K3sLab, kubectl: Kubectl) -> None:
    lab.machines.delete("a6")
    lab.boot("a6")
    lab.install("a6", "server", server=lab.url("a4"))
    with lab.shell("a6") as shell:
        status, said = shell.attempt("sudo timeout 30 k3s server")
        assert status == 1
        assert "duplicate node name found" in said
    kubectl("delete", "node", "host-a6", "--timeout=180s")
    assert "host-a6" not in etcd(lab, "a4", "member", "list")
    lab.start("a6")
    kubectl.until(lambda: "control-plane" in str(nodes(kubectl).get("host-a6")))
    assert etcd(lab, "a6", "member", "list").count("started") == 3
