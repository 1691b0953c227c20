"""Run the real kube-proxy in place of Cilium's eBPF replacement of it."""

import json
import subprocess
from pathlib import Path

PROGRAM = "/usr/local/lib/kubernetes/kube-proxy"
FOLDER = Path("/run/cilium-kube-proxy")


def start(host: str, port: int, node_name: str, authority: Path, token: Path) -> subprocess.Popen[bytes]:
    """Start kube-proxy with iptables; it ends with the pod.

    Args:
        host: Of the API server.
        port: Of the API server.
        node_name: Whose Services these are.
        authority: A file with the API server's authority.
        token: A file with the token of the pod's service account.
    """
    FOLDER.mkdir(exist_ok=True)
    kubeconfig = FOLDER / "kubeconfig"
    kubeconfig.write_text(
        json.dumps(
            {
                "apiVersion": "v1", "kind": "Config", "current-context": "node",
                "clusters": [{"name": "node", "cluster": {
                    "server": f"https://{host}:{port}", "certificate-authority": str(authority)}}],
                "users": [{"name": "node", "user": {"tokenFile": str(token)}}],
                "contexts": [{"name": "node", "context": {"cluster": "node", "user": "node"}}],
            }
        )
    )  # fmt: skip
    configuration = FOLDER / "config.json"
    configuration.write_text(
        json.dumps(
            {
                "apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration",
                "mode": "iptables", "hostnameOverride": node_name,
                "clientConnection": {"kubeconfig": str(kubeconfig)},
                "healthzBindAddress": "127.0.0.1:10256", "metricsBindAddress": "127.0.0.1:10249",
                # zero leaves the kernel's tables of connections alone: they are this computer's
                "conntrack": {
                    "maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s",
                },
            }
        )
    )  # fmt: skip
    return subprocess.Popen([PROGRAM, f"--config={configuration}", "--v=0"])
