"""The command lines of etcd, API server, controller manager and scheduler.

Sources: pkg/daemons/control/server.go and pkg/etcd/etcd.go of k3s-io/k3s; the flags are those of
Kubernetes 1.20 and etcd 3.5.
"""

from pathlib import Path

from sandbox.k3s import paths
from sandbox.k3s.config import API_PORT, ServerConfig

TOKENS = paths.CREDENTIALS / "tokens.csv"
ENCRYPTION = paths.CREDENTIALS / "encryption-config.json"
CLIENT_PORT, PEER_PORT = 2379, 2380


def etcd(config: ServerConfig, name: str, members: dict[str, str], *, joins: bool) -> list[str]:
    """Return etcd's command line.

    Files are not synced to the disk: a machine of the sandbox that dies loses no page of its files, since
    this computer's kernel lives on.

    Args:
        config: The server's configuration.
        name: Its member's name.
        members: Peer URLs by the names of all members, its own among them.
        joins: Whether the cluster exists already.
    """
    address, tls = config.node.node_ip, paths.TLS / "etcd"
    client = f"https://127.0.0.1:{CLIENT_PORT},https://{address}:{CLIENT_PORT}"
    return [
        "etcd",
        f"--name={name}",
        f"--data-dir={paths.ETCD}",
        f"--initial-cluster={','.join(f'{member}={url}' for member, url in members.items())}",
        f"--initial-cluster-state={'existing' if joins else 'new'}",
        f"--initial-advertise-peer-urls=https://{address}:{PEER_PORT}",
        f"--listen-peer-urls=https://127.0.0.1:{PEER_PORT},https://{address}:{PEER_PORT}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls=https://{address}:{CLIENT_PORT}",
        "--listen-metrics-urls=http://127.0.0.1:2381",
        f"--trusted-ca-file={tls}/server-ca.crt",
        f"--cert-file={tls}/server-client.crt",
        f"--key-file={tls}/server-client.key",
        "--client-cert-auth=true",
        f"--peer-trusted-ca-file={tls}/peer-ca.crt",
        f"--peer-cert-file={tls}/peer-server-client.crt",
        f"--peer-key-file={tls}/peer-server-client.key",
        "--peer-client-cert-auth=true",
        "--heartbeat-interval=500",
        "--election-timeout=5000",
        "--snapshot-count=10000",
        "--unsafe-no-fsync",
        "--logger=zap",
        "--log-level=warn",
        *_added(config, "etcd"),
    ]


def kube_apiserver(config: ServerConfig) -> list[str]:
    """Return the API server's command line."""
    tls, issuer = paths.TLS, f"https://kubernetes.default.svc.{config.cluster_domain}"
    encryption = [f"--encryption-provider-config={ENCRYPTION}"] if config.encrypt_secrets else []
    return [
        _program("kube-apiserver"),
        f"--advertise-address={config.advertise_address}",
        "--allow-privileged=true",
        "--anonymous-auth=false",
        f"--api-audiences={issuer},k3s",
        "--authorization-mode=Node,RBAC",
        "--bind-address=0.0.0.0",
        f"--client-ca-file={tls}/client-ca.crt",
        "--enable-admission-plugins=NodeRestriction",
        f"--etcd-servers=https://127.0.0.1:{CLIENT_PORT}",
        f"--etcd-cafile={tls}/etcd/server-ca.crt",
        f"--etcd-certfile={tls}/etcd/client.crt",
        f"--etcd-keyfile={tls}/etcd/client.key",
        f"--kubelet-client-certificate={tls}/client-kube-apiserver.crt",
        f"--kubelet-client-key={tls}/client-kube-apiserver.key",
        "--kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname",
        "--profiling=false",
        f"--proxy-client-cert-file={tls}/client-auth-proxy.crt",
        f"--proxy-client-key-file={tls}/client-auth-proxy.key",
        "--requestheader-allowed-names=system:auth-proxy",
        f"--requestheader-client-ca-file={tls}/request-header-ca.crt",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-username-headers=X-Remote-User",
        f"--secure-port={API_PORT}",
        f"--service-account-issuer={issuer}",
        f"--service-account-key-file={tls}/service.key",
        f"--service-account-signing-key-file={tls}/service.key",
        f"--service-cluster-ip-range={config.service_cidr}",
        f"--service-node-port-range={config.node_port_range}",
        f"--tls-cert-file={tls}/serving-kube-apiserver.crt",
        f"--tls-private-key-file={tls}/serving-kube-apiserver.key",
        f"--token-auth-file={TOKENS}",
        *encryption,
        *_added(config, "kube-apiserver"),
    ]


def kube_controller_manager(config: ServerConfig, kubeconfig: Path) -> list[str]:
    """Return the controller manager's command line; leases are renewed less often than by default."""
    tls = paths.TLS
    return [
        _program("kube-controller-manager"),
        "--allocate-node-cidrs=true",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        "--bind-address=127.0.0.1",
        f"--cluster-cidr={config.cluster_cidr}",
        f"--cluster-signing-cert-file={tls}/client-ca.crt",
        f"--cluster-signing-key-file={tls}/client-ca.key",
        "--controllers=*,tokencleaner,-service,-route,-cloud-node-lifecycle",
        f"--kubeconfig={kubeconfig}",
        "--port=0",
        "--profiling=false",
        f"--root-ca-file={tls}/server-ca.crt",
        f"--service-account-private-key-file={tls}/service.key",
        f"--service-cluster-ip-range={config.service_cidr}",
        "--use-service-account-credentials=true",
        *_LEASES,
        *_added(config, "kube-controller-manager"),
    ]


def kube_scheduler(config: ServerConfig, kubeconfig: Path) -> list[str]:
    """Return the scheduler's command line."""
    return [
        _program("kube-scheduler"),
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        "--bind-address=127.0.0.1",
        f"--kubeconfig={kubeconfig}",
        "--port=0",
        "--profiling=false",
        *_LEASES,
        *_added(config, "kube-scheduler"),
    ]


# Six servers on two cores: a lease every two seconds from each is most of what an idle cluster does.
_LEASES = (
    "--leader-elect-lease-duration=30s",
    "--leader-elect-renew-deadline=20s",
    "--leader-elect-retry-period=5s",
)


def _program(name: str) -> str:
    return str(paths.BINARIES / name)


def _added(config: ServerConfig, component: str) -> list[str]:
    return [f"--{argument}" for argument in config.arguments.get(component, ())]
