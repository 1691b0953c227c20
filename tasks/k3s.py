"""k3s on machines: installed, joined to one cluster, restarted one after the other."""

import threading
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from blocks.logger import logger
from roachmesh.errors import HostFailed, KubernetesBusy, KubernetesRefused, NotReadyYet
from roachmesh.inventory import PodRoute
from roachmesh.outcome import Outcome
from roachmesh.plan import RegionPlan
from roachmesh.render import k3s, systemd
from tasks.deployment import Deployment
from tasks.engine import always, once
from tasks.hosts import session
from tasks.kubernetes import Body, Kubernetes, kubernetes, read_admin
from tasks.machines import Machine
from tasks.sessions import File, Session
from tasks.wait import wait_until

NODE, NAMESPACE = "v1/Node", "v1/Namespace"
ETCD_LABEL = "node-role.kubernetes.io/etcd=true"
NETWORKD = "systemd-networkd.service"
RESTART_TIMEOUT_S = 60.0
LIVING_TIMEOUT_S = 300.0
JOINED_TIMEOUT_S = 300.0
FORGOTTEN_TIMEOUT_S = 120.0
REGISTERED_TIMEOUT_S = 300.0
READY_TIMEOUT_S = 600.0  # the first time, images are downloaded

# A region's nodes are restarted one after the other, or etcd would lose its quorum.
_restarting: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

_apis: dict[str, Kubernetes] = {}  # by host key, which is a machine's and no other's


@once("install k3s on {machine.host.name}")
def ensure_k3s_installed(deployment: Deployment, machine: Machine) -> Outcome:
    """Place what does not depend on other machines, without starting anything.

    Raises:
        HostBusy: the download failed.
        HostFailed: the checksum is wrong, for instance.
    """
    version = deployment.plan.k3s.version
    source = deployment.artifact_source()
    host = session(deployment, machine.host)
    new = host.install_binary(source.k3s(version), k3s.BINARY)
    placed = host.place_files(_files(deployment, machine), _directories())
    if k3s.NETWORKD in placed and host.succeeds(["systemctl", "is-active", "--quiet", NETWORKD]):
        host.ensure_service(NETWORKD, files=[k3s.NETWORKD])
    return host.outcome(f"k3s {version}", new=new, changed=bool(placed))


def _files(deployment: Deployment, machine: Machine) -> list[File]:
    token = deployment.kubernetes_secrets().token_of(machine.node.region)
    mirror = deployment.artifact_source().images
    ca_pem = (mirror.ca_pem if mirror else None) or ""
    # Emptied where there is no mirror any more, since a file that is gone would restart nothing.
    registries = k3s.registries(mirror.url, mirror.host, has_ca=bool(ca_pem)) if mirror else ""
    return [
        (k3s.BINARY, None, "0755", "root"),
        (k3s.TOKEN, f"{token}\n", "0600", "root"),
        (_unit_path(machine), k3s.unit(machine.node), "0644", "root"),
        (k3s.NETWORKD, k3s.NETWORKD_DROP_IN, "0644", "root"),
        (k3s.REGISTRIES, registries, "0600", "root"),
        (k3s.MIRROR_CA, ca_pem, "0644", "root"),
    ]


def _directories() -> list[tuple[str, str, str]]:
    return [(path, "0755", "root") for path in (k3s.DIRECTORY, k3s.JOIN_DIRECTORY, k3s.NETWORKD_DIRECTORY)]


def _unit_path(machine: Machine) -> str:
    return f"{systemd.UNIT_DIR}/{k3s.service(machine.node)}"


@once("server {machine.host.name}")
def ensure_server(
    deployment: Deployment, region: RegionPlan, machine: Machine, servers: Sequence[Machine]
) -> Outcome:
    """Have a server running as a member of its region's one cluster.

    A machine that is no member yet joins a cluster that lives; only where no other server is a member
    does the first one start a cluster.

    Args:
        deployment: What it works for.
        region: The server's region.
        machine: The server.
        servers: All servers of the region.

    Raises:
        KubernetesRefused: it is in a cluster of its own.
        NotReadyYet: no member of the cluster answers, or the server has not joined after 300 s.
    """
    host = session(deployment, machine.host)
    others = [other for other in servers if other.host.name != machine.host.name]
    members = [other for other in others if session(deployment, other.host).exists(k3s.ETCD)]
    addresses = [address for one in servers for address in (one.node.address, one.host.address)]
    assert region.cluster is not None  # noqa: S101 -- it has servers
    config = k3s.server_config(machine.node, region.cluster, addresses)
    placed = host.place_files([(k3s.CONFIG, config, "0600", "root")])
    if not host.exists(k3s.ETCD):
        living = _find_living(deployment, region, machine, members) if members else None
        if living is None and machine.node != region.servers[0]:
            raise KubernetesRefused(
                f"no other server of {region.name} is a member of a cluster that this one could join.",
                where=machine.host.name,
                advice=f"Deploy again: {region.servers[0].name} begins.",
            )
        if living:
            _forget_former(api_of(deployment, living), machine)
        line = k3s.join_config(living.node if living else None)
        host.place_files([(k3s.JOIN, line, "0600", "root")])
    outcome = _ensure_running(deployment, region, machine, bool(placed))
    _require_joined(deployment, machine, members)
    return outcome


@once("agent {machine.host.name}")
def ensure_agent(deployment: Deployment, region: RegionPlan, machine: Machine) -> Outcome:
    """Have an agent running as a node of its region's cluster."""
    host = session(deployment, machine.host)
    placed = host.place_files([(k3s.CONFIG, k3s.agent_config(machine.node, region), "0600", "root")])
    if not host.exists(k3s.NODE_PASSWORD):
        _forget_former(kubernetes(deployment, region), machine)
    return _ensure_running(deployment, region, machine, bool(placed))


def _find_living(
    deployment: Deployment, region: RegionPlan, machine: Machine, members: Sequence[Machine]
) -> Machine:
    """Find a member that answers; a cluster that exists and does not answer is waited for, never replaced."""

    def first() -> Machine | None:
        reasons = []
        for member in members:
            try:
                _cluster_id(deployment, member)
            except KubernetesBusy as exc:
                reasons.append(str(exc))
            else:
                return member
        raise KubernetesBusy("; ".join(reasons))

    return wait_until(
        first,
        what=f"a server of {region.name} that {machine.host.name} could join",
        timeout_s=LIVING_TIMEOUT_S,
        advice=f"See `journalctl -u {k3s.service(members[0].node)}` on the servers; "
        "most of those that are members must run.",
    )


def api_of(deployment: Deployment, server: Machine) -> Kubernetes:
    """Give this process's client of one server's API, which asks no other server.

    Raises:
        KubernetesBusy: it has none (yet).
    """
    key = server.host.host_key
    if key not in _apis:
        admin = read_admin(deployment, [server])
        _apis[key] = Kubernetes(server.node.region, [server.host.address], admin)
    return _apis[key]


def _cluster_id(deployment: Deployment, server: Machine) -> str:
    """Read from a server what no other cluster has too.

    Raises:
        KubernetesBusy: it does not answer.
    """
    namespace = api_of(deployment, server).read(NAMESPACE, "kube-system")
    if namespace is None:
        raise KubernetesBusy("its cluster is not made yet.", where=server.host.name)
    return str(namespace["metadata"]["uid"])


def _forget_former(api: Kubernetes, machine: Machine) -> None:
    """Delete the Node of a machine that this one replaces; k3s then removes its etcd member and password.

    Source: pkg/etcd/member_controller.go and pkg/nodepassword of k3s-io/k3s.
    """
    name = machine.host.name
    if api.read(NODE, name) is None:
        return
    logger().info("the machine is new: deleting the Node of the one before")
    api.delete(NODE, name)
    wait_until(
        lambda: api.read(NODE, name) is None,
        what=f"the end of the former Node {name}",
        timeout_s=FORGOTTEN_TIMEOUT_S,
        advice="Most of the region's servers must run to remove one.",
    )


def _ensure_running(
    deployment: Deployment, region: RegionPlan, machine: Machine, config_changed: bool
) -> Outcome:
    """Have a node running what was placed; a restarted one is Ready before the next is restarted."""
    host = session(deployment, machine.host)
    unit = k3s.service(machine.node)
    files = [k3s.BINARY, k3s.CONFIG, k3s.TOKEN, k3s.REGISTRIES, _unit_path(machine)]
    what = f"{unit.removesuffix('.service')} of {region.name}"
    did = _run(host, unit, files, restart=False)
    if not did["stale"]:
        return host.outcome(what, new=did["change"] == "started", changed=config_changed)
    with _restarting[region.name]:
        was_ready = _is_ready(deployment, region, machine)
        logger().info("restarting for %s", ", ".join(did["stale"]))
        _run(host, unit, files, restart=True)
        if was_ready:
            wait_until(
                lambda: _is_ready(deployment, region, machine),
                what=f"{machine.host.name} Ready after its restart",
                timeout_s=READY_TIMEOUT_S,
                advice=f"See `journalctl -u {unit}` on the machine.",
            )
    return host.outcome(what, new=False, changed=True)


def _run(host: Session, unit: str, files: Sequence[str], *, restart: bool) -> dict[str, Any]:
    """Start or restart a unit, also when somebody else does so at the same moment."""
    try:
        return host.ensure_service(unit, files=files, restart=restart)
    except HostFailed as exc:
        active = ["systemctl", "is-active", "--quiet", unit]
        try:  # systemd tries again by itself
            wait_until(lambda: host.succeeds(active), what=unit, timeout_s=RESTART_TIMEOUT_S)
        except NotReadyYet:
            raise exc from None
        logger().info("it did not start at first: %s", exc)
        return {"change": "started", "stale": []}


def _is_ready(deployment: Deployment, region: RegionPlan, machine: Machine) -> bool:
    node = kubernetes(deployment, region).read(NODE, machine.host.name)
    return node is not None and is_ready(node)


def is_ready(node: Body) -> bool:
    """Tell whether a Node says that it is Ready."""
    return _condition(node, "Ready") == "True"


def _condition(node: Body, kind: str) -> str | None:
    """Read a condition of a Node: "True", "False", "Unknown", or None where it has none of the kind."""
    conditions = node.get("status", {}).get("conditions") or []
    return next((one["status"] for one in conditions if one["type"] == kind), None)


def _require_joined(deployment: Deployment, machine: Machine, members: Sequence[Machine]) -> None:
    """Let nothing pass but a server that is in the members' cluster, and in its etcd.

    Raises:
        KubernetesRefused: it is in a cluster of its own.
        NotReadyYet: it is not in etcd after 300 s.
    """
    expected = {server.host.name for server in (machine, *members)}

    def joined() -> str | None:
        api = api_of(deployment, machine)
        servers = api.list(NODE, labels=ETCD_LABEL)
        voting = {
            node["metadata"]["name"] for node in servers if _condition(node, "EtcdIsVoter") in ("True", None)
        }
        if expected - voting:
            raise KubernetesBusy(f"not in etcd: {', '.join(sorted(expected - voting))}")
        return _cluster_id(deployment, machine)

    ours = wait_until(
        joined,
        what=f"{machine.host.name} in etcd with {len(members)} other servers",
        timeout_s=JOINED_TIMEOUT_S,
        advice="See `journalctl -u k3s` on the machine.",
    )
    for member in members:
        try:
            theirs = _cluster_id(deployment, member)
        except KubernetesBusy as exc:
            logger().info("not compared with %s: %s", member.host.name, exc)
            continue
        if theirs != ours:
            raise KubernetesRefused(
                f"it is in another cluster than {member.host.name}.",
                where=machine.host.name,
                advice="On the one that should join the other, `systemctl stop k3s` and delete "
                "/var/lib/rancher/k3s/server, /var/lib/rancher/k3s/agent, /etc/rancher/node; deploy again.",
            )


@always("pod ranges of {region.name}")
def read_pod_routes(deployment: Deployment, region: RegionPlan) -> tuple[PodRoute, ...]:
    """Read which node has which pods, in the nodes' order, as soon as all have registered.

    Raises:
        NotReadyYet: naming the nodes without a range after 300 s.
    """
    api = kubernetes(deployment, region)

    def all_ranges() -> tuple[PodRoute, ...] | None:
        ranges = {node["metadata"]["name"]: node["spec"].get("podCIDR") for node in api.list(NODE)}
        missing = [node.name for node in region.nodes if not ranges.get(node.name)]
        if missing:
            raise KubernetesBusy(f"without a range: {', '.join(missing)}", where=region.name)
        return tuple(
            PodRoute(node=node.name, pods=ranges[node.name], address=node.address) for node in region.nodes
        )

    return wait_until(
        all_ranges,
        what=f"a range of pods for each node of {region.name}",
        timeout_s=REGISTERED_TIMEOUT_S,
        advice="See `journalctl -u k3s` or `-u k3s-agent` on those nodes.",
    )


@always("nodes of {region.name}")
def wait_for_nodes(deployment: Deployment, region: RegionPlan) -> None:
    """Wait until all nodes of a region are Ready.

    Raises:
        NotReadyYet: naming those that are not, and what they say, after 600 s.
    """
    api = kubernetes(deployment, region)

    def all_ready() -> bool:
        nodes = {node["metadata"]["name"]: node for node in api.list(NODE)}
        missing = [_state(node.name, nodes.get(node.name)) for node in region.nodes]
        if any(missing):
            raise KubernetesBusy("; ".join(filter(None, missing)), where=region.name)
        return True

    wait_until(
        all_ready,
        what=f"Ready nodes in {region.name}",
        timeout_s=READY_TIMEOUT_S,
        advice="A node becomes Ready as soon as Cilium runs on it: "
        "see `kubectl -n kube-system get pods -o wide`, by way of `roachmesh kubeconfig`.",
    )


def _state(name: str, node: Body | None) -> str:
    """Say why a node is not Ready; nothing when it is."""
    if node is None:
        return f"{name} is not there"
    if is_ready(node):
        return ""
    conditions = node.get("status", {}).get("conditions") or []
    said = [one.get("message", "") for one in conditions if one["type"] == "Ready"]
    return f"{name}: {''.join(said) or 'not Ready'}"
