"""The command `cilium-agent`."""

import argparse
import json
import logging
import os
import re
import signal
import socketserver
import subprocess
import sys
import threading
import time
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from sandbox.cilium.agent import cni, kube_proxy, masquerade, refusals
from sandbox.cilium.agent.clusters import Clusters
from sandbox.cilium.agent.options import OptionError, Options, read
from sandbox.cilium.agent.status import SOCKET, Status
from sandbox.cluster import probes
from sandbox.cluster.kubernetes_api import SERVICE_ACCOUNT, ApiError, KubernetesApi, Object, Unreachable
from sandbox.cluster.threads import end_with_any

HEALTH_ADDRESS = ("127.0.0.1", 9879)
CNI_FOLDER, CNI_PROGRAMS = Path("/host/etc/cni/net.d"), Path("/host/opt/cni/bin")
API_TIMEOUT_S = 60.0
STAND_IN = (
    "this is a stand-in for Cilium 1.20.5, made by Roachmesh's sandbox of CNI plugins, nftables and "
    "kube-proxy; it is not Cilium, and has no eBPF"
)

log = logging.getLogger("cilium-agent")


class Agent:
    """One node's agent."""

    def __init__(self, options: Options, api: KubernetesApi, node_name: str, namespace: str) -> None:
        self._options = options
        self._api = api
        self._node_name = node_name
        self._namespace = namespace
        self._clusters = Clusters(api, namespace)
        self._pod_range: IPv4Network | None = None
        self._nodes: dict[str, str] = {}
        self._ip_masq_agent = masquerade.IpMasqAgent()
        self._lock = threading.Lock()

    def run(self) -> None:
        """Make the node ready, and keep it so until the pod ends."""
        self._pod_range = self._wait_for_pod_range()
        log.info("pods of this node have addresses of %s", self._pod_range)
        _forward_packets()
        proxy = self._start_kube_proxy() if self._options.kube_proxy_replacement else None
        self._masquerade()
        threading.Thread(target=self._watch_nodes, daemon=True).start()
        if self._options.ip_masq_agent:
            threading.Thread(target=self._watch_ip_masq_agent, daemon=True).start()
        cni.install(CNI_PROGRAMS, CNI_FOLDER, self._pod_range, self._options.mtu or _mtu())
        self._tell_network_is_there()
        self._clusters.start()
        refusals.start(self._api)
        threading.Thread(target=_serve_status, args=(self,), daemon=True).start()
        probes.answer(*HEALTH_ADDRESS, lambda: True)
        log.info("the node's network is ready")
        if proxy:
            sys.exit(f"kube-proxy ended with code {proxy.wait()}")
        threading.Event().wait()

    def status(self) -> Status:
        """Return what `cilium-dbg status` shows."""
        options = self._options
        excluded = masquerade.excluded(options, self._ip_masq_agent)
        size = self._pod_range.num_addresses - 2 if self._pod_range else 0
        masquerading: Status = {
            "enabled": options.masquerade, "enabledProtocols": {"ipv4": options.masquerade, "ipv6": False},
            "ip-masq-agent": options.ip_masq_agent, "mode": "BPF" if options.bpf_masquerade else "iptables",
            "snat-exclusion-cidr-v4": str(options.native_routing_cidr or ""),
            "non-masquerade-cidrs": [str(network) for network in excluded],
        }  # fmt: skip
        replaced = options.kube_proxy_replacement
        return {
            "cilium": {"state": "Ok", "msg": STAND_IN},
            "cluster-mesh": self._clusters.status(),
            "ipam": {"status": f"IPv4: {cni.used_addresses()}/{size} allocated from {self._pod_range}"},
            "kube-proxy-replacement": {"mode": str(replaced)},
            "kubernetes": {"state": "Ok"},
            "masquerading": masquerading,
            "routing": {"inter-host-routing-mode": "Native", "intra-host-routing-mode": "Legacy"},
        }

    def _wait_for_pod_range(self) -> IPv4Network:
        log.info("waiting for Kubernetes to give node %s a range of pod addresses", self._node_name)
        for event in self._api.watch("/api/v1/nodes", fieldSelector=f"metadata.name={self._node_name}"):
            if event.type in ("ADDED", "MODIFIED") and event.object["spec"].get("podCIDR"):
                return IPv4Network(event.object["spec"]["podCIDR"])
        raise AssertionError  # a watch never ends

    def _watch_nodes(self) -> None:
        synced = False
        for event in self._api.watch("/api/v1/nodes"):
            synced = synced or event.type == "SYNCED"
            if event.type != "SYNCED":
                name = event.object["metadata"]["name"]
                before = self._nodes.pop(name, None)
                address = _internal_address(event.object)
                if event.type != "DELETED" and address:
                    self._nodes[name] = address
                if event.type == "ADDED" and name != self._node_name:
                    self._route_directly(event.object)
                if before == self._nodes.get(name):
                    continue
            if synced:
                self._masquerade()

    def _route_directly(self, node: Object) -> None:
        """Say what the real agent says of `autoDirectNodeRoutes` where nodes share no layer 2."""
        if self._options.auto_direct_node_routes:
            log.error(
                "Unable to install direct node route {Dst: %s Gw: %s}: route to destination contains "
                "gateway, must be directly reachable",
                node["spec"].get("podCIDR"), _internal_address(node),
            )  # fmt: skip

    def _watch_ip_masq_agent(self) -> None:
        path = f"/api/v1/namespaces/{self._namespace}/configmaps"
        for event in self._api.watch(path, fieldSelector="metadata.name=ip-masq-agent"):
            if event.type != "SYNCED":
                text = "" if event.type == "DELETED" else event.object["data"].get("config", "")
                try:
                    self._ip_masq_agent = masquerade.ip_masq_agent(text)
                except OptionError as error:
                    log.error("%s; what was valid before stays", error)
                    continue
                self._masquerade()

    def _masquerade(self) -> None:
        rules = masquerade.NO_RULES
        if self._options.masquerade and self._pod_range:
            excluded = masquerade.excluded(self._options, self._ip_masq_agent)
            rules = masquerade.rules(self._pod_range, excluded, self._nodes.values())
        with self._lock:
            subprocess.run(["nft", "-f", "-"], input=rules.encode(), check=True)

    def _start_kube_proxy(self) -> subprocess.Popen[bytes]:
        log.info("kube-proxy stands in for its replacement with eBPF")
        authority, token = SERVICE_ACCOUNT / "ca.crt", SERVICE_ACCOUNT / "token"
        return kube_proxy.start(self._api.host, self._api.port, self._node_name, authority, token)

    def _tell_network_is_there(self) -> None:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        condition = {
            "type": "NetworkUnavailable", "status": "False", "reason": "CiliumIsUp",
            "message": "Cilium is running on this node", "lastHeartbeatTime": now, "lastTransitionTime": now,
        }  # fmt: skip
        patch: Any = {"status": {"conditions": [condition]}}
        self._api.merge_by_key(f"/api/v1/nodes/{self._node_name}/status", patch)


def main() -> None:
    """Run the agent."""
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stdout,
        format='level=%(levelname)s msg="%(message)s"',
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    parser = argparse.ArgumentParser("cilium-agent")
    parser.add_argument("--config-dir", type=Path, required=True)
    log.info(STAND_IN)
    end_with_any()
    try:
        options = read(parser.parse_args().config_dir)
    except OptionError as error:
        log.critical("%s", error)
        sys.exit(1)
    api = KubernetesApi.in_cluster()
    _wait_for_api(api)
    Agent(options, api, os.environ["K8S_NODE_NAME"], os.environ["CILIUM_K8S_NAMESPACE"]).run()


def _wait_for_api(api: KubernetesApi) -> None:
    until = time.monotonic() + API_TIMEOUT_S
    while True:
        try:
            api.get("/version")
            return
        except (ApiError, Unreachable) as error:
            log.warning("Unable to contact k8s api-server at https://%s:%d: %s", api.host, api.port, error)
            if time.monotonic() > until:
                log.critical("Unable to initialize Kubernetes subsystem: unable to create k8s client")
                sys.exit(1)
            time.sleep(2)


def _forward_packets() -> None:
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1\n")


def _mtu() -> int:
    """Return the MTU of the device that leads to everywhere else."""
    answer = subprocess.run(["ip", "route", "show", "default"], capture_output=True, text=True, check=True)
    device = re.search(r"dev (\S+)", answer.stdout)
    return int(Path(f"/sys/class/net/{device[1]}/mtu").read_text()) if device else 1500


def _internal_address(node: Object) -> str:
    addresses = node.get("status", {}).get("addresses", ())
    return next((entry["address"] for entry in addresses if entry["type"] == "InternalIP"), "")


def _serve_status(agent: Agent) -> None:
    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(json.dumps(agent.status()).encode())

    SOCKET.unlink(missing_ok=True)
    with socketserver.UnixStreamServer(str(SOCKET), Handler) as server:
        server.serve_forever(poll_interval=3600)
