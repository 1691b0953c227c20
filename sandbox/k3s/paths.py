"""Where k3s keeps its files. Source: the pages "Server" and "Agent" of k3s's command-line reference."""

from pathlib import Path

BINARIES = Path("/usr/local/lib/kubernetes")  # what the sandbox shows in every machine

ETC = Path("/etc/rancher/k3s")
CONFIG = ETC / "config.yaml"
KUBECONFIG = ETC / "k3s.yaml"
REGISTRIES = ETC / "registries.yaml"
NODE_PASSWORD = Path("/etc/rancher/node/password")

DATA = Path("/var/lib/rancher/k3s")
SERVER = DATA / "server"
TLS = SERVER / "tls"
CREDENTIALS = SERVER / "cred"
ADMIN = CREDENTIALS / "admin.kubeconfig"
MANIFESTS = SERVER / "manifests"
TOKEN = SERVER / "token"
ETCD = SERVER / "db" / "etcd"

AGENT = DATA / "agent"
CONTAINERD = AGENT / "containerd"
CONTAINERD_CONFIG = AGENT / "etc" / "containerd" / "config.toml"
REGISTRY_HOSTS = AGENT / "etc" / "containerd" / "certs.d"
STATE = Path("/run/k3s/containerd")
CONTAINERD_SOCKET = STATE / "containerd.sock"


def write_secret(path: Path, content: str, mode: int = 0o600) -> None:
    """Write a file that nobody but root may read meanwhile, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".draft")
    draft.touch(0o600)
    draft.chmod(0o600)
    draft.write_text(content)
    draft.chmod(mode)
    draft.replace(path)
