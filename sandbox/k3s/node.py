"""The command lines and files of containerd, kubelet and kube-proxy.

Sources: pkg/agent/run.go, pkg/agent/containerd, pkg/daemons/agent of k3s-io/k3s; what a kubelet 1.20 needs in
a machine of the sandbox was measured.
"""

import json
import resource
from pathlib import Path
from typing import Any

from sandbox.k3s import paths
from sandbox.k3s.config import NodeConfig

KUBELET_CONFIG = paths.AGENT / "etc" / "kubelet.json"
KUBELET_KUBECONFIG = paths.AGENT / "kubelet.kubeconfig"
KUBE_PROXY_KUBECONFIG = paths.AGENT / "kubeproxy.kubeconfig"
CLIENT_CA = paths.AGENT / "client-ca.crt"
_RESOLVED, _RESOLV_CONF = Path("/run/systemd/resolve/resolv.conf"), Path("/etc/resolv.conf")
_MOST_OPEN_FILES = 1_000_000


def containerd() -> list[str]:
    """Return containerd's command line."""
    return ["containerd", f"--config={paths.CONTAINERD_CONFIG}"]


def containerd_config(config: NodeConfig) -> str:
    """Return containerd's configuration; the CNI is where containerd looks for it by default."""
    cri = 'plugins."io.containerd.grpc.v1.cri"'
    return f"""\
# Written by k3s at every start.
version = 2
root = "{paths.CONTAINERD}"
state = "{paths.STATE}"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.nri.v1.nri", "io.containerd.internal.v1.tracing"]

[grpc]
  address = "{paths.CONTAINERD_SOCKET}"

[{cri}]
  stream_server_address = "127.0.0.1"
  stream_server_port = "10010"
  enable_selinux = false
  restrict_oom_score_adj = true
  sandbox_image = "{config.pause_image}"

[{cri}.containerd]
  snapshotter = "overlayfs"

[{cri}.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[{cri}.containerd.runtimes.runc.options]
  SystemdCgroup = false

[{cri}.registry]
  config_path = "{paths.REGISTRY_HOSTS}"
"""


def kubelet(config: NodeConfig, *, bootstrap: Path | None = None) -> list[str]:
    """Return the kubelet's command line.

    Args:
        config: The node's configuration.
        bootstrap: A kubeconfig to ask for a certificate with, on a node that cannot make its own.
    """
    asks = [f"--bootstrap-kubeconfig={bootstrap}", "--rotate-certificates=true"] if bootstrap else []
    return [
        # kubelet 1.20 asks Amazon's metadata service for credentials, for 15 s if nobody answers
        *("env", "AWS_EC2_METADATA_DISABLED=true", str(paths.BINARIES / "kubelet")),
        f"--config={KUBELET_CONFIG}",
        f"--kubeconfig={KUBELET_KUBECONFIG}",
        *asks,
        f"--cert-dir={paths.AGENT / 'pki'}",
        "--container-runtime=remote",
        f"--container-runtime-endpoint=unix://{paths.CONTAINERD_SOCKET}",
        f"--hostname-override={config.node_name}",
        f"--node-ip={config.node_ip}",
        f"--node-labels={','.join(('node.kubernetes.io/instance-type=k3s', *config.labels))}",
        f"--register-with-taints={','.join(config.taints)}",
        # cAdvisor walks every control group as often as this
        "--housekeeping-interval=30s",
        *(f"--{argument}" for argument in config.kubelet_arguments),
    ]


def kubelet_config(config: NodeConfig, cluster_dns: str, cluster_domain: str) -> str:
    """Return the kubelet's configuration.

    A machine's memory and disk are this computer's, so nothing is evicted and no image removed for lack of
    them. Pods get the resolver behind systemd-resolved, whose own address means nothing to them.
    """
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    content: dict[str, Any] = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True, "cacheTTL": "2m0s"},
            "x509": {"clientCAFile": str(CLIENT_CA)},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "cgroupsPerQOS": False,
        "clusterDNS": [cluster_dns],
        "clusterDomain": cluster_domain,
        "enforceNodeAllocatable": [],
        "evictionHard": {},
        "failSwapOn": False,
        "healthzBindAddress": "127.0.0.1",
        "imageGCHighThresholdPercent": 100,
        "maxOpenFiles": min(most_files, _MOST_OPEN_FILES),
        "serializeImagePulls": False,
        "resolvConf": config.resolv_conf or str(_RESOLVED if _RESOLVED.exists() else _RESOLV_CONF),
        "staticPodPath": str(paths.AGENT / "pod-manifests"),
    }
    return json.dumps(content, indent=1)


def kube_proxy(config: NodeConfig, cluster_cidr: str) -> list[str]:
    """Return kube-proxy's command line; it leaves the limits of conntrack to this computer."""
    return [
        str(paths.BINARIES / "kube-proxy"),
        f"--cluster-cidr={cluster_cidr}",
        "--conntrack-max-per-core=0",
        "--conntrack-tcp-timeout-close-wait=0s",
        "--conntrack-tcp-timeout-established=0s",
        "--healthz-bind-address=127.0.0.1",
        f"--hostname-override={config.node_name}",
        f"--kubeconfig={KUBE_PROXY_KUBECONFIG}",
        "--proxy-mode=iptables",
        *(f"--{argument}" for argument in config.kube_proxy_arguments),
    ]
