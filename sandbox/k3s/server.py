"""`k3s server`: begin a cluster, enter one, or go on in it."""

import asyncio
import http.client
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass

from sandbox.cluster import kubernetes_api, leader
from sandbox.cluster.kubernetes_api import ApiError, KubernetesApi, Unreachable
from sandbox.k3s import (
    addons,
    bootstrap,
    certificates,
    control_plane,
    etcd,
    joining,
    kubeconfig,
    manifests,
    node,
    nodes,
    paths,
    service,
    sharing,
    token,
)
from sandbox.k3s.bootstrap import Bootstrap
from sandbox.k3s.children import Children
from sandbox.k3s.config import API_PORT, ServerConfig
from sandbox.k3s.errors import Fatal
from sandbox.k3s.load_balancer import LoadBalancer
from sandbox.k3s.logs import log
from sandbox.k3s.token import Token

CONTROLLER = paths.CREDENTIALS / "controller.kubeconfig"
SCHEDULER = paths.CREDENTIALS / "scheduler.kubeconfig"
_PREPARING = "starting kubernetes: preparing server: "
_READY_EVERY_S = 0.1
_READY_TIMEOUT_S = 300.0
_JOIN_TIMEOUT_S = 300.0
_LOCAL = "127.0.0.1"


@dataclass(frozen=True)
class Place:
    """A server's place in its cluster.

    Attributes:
        shared: What all servers share.
        servers: Those that are in the cluster already, when this one enters it.
    """

    shared: Bootstrap
    servers: tuple[str, ...] = ()


def run(config: ServerConfig) -> None:
    """Run a server until it is told to stop.

    Raises:
        Fatal: it cannot start, or a component ended.
    """
    secret = Token.parse(config.node.token)
    place = _place(config, secret)
    _write_files(config, place.shared, secret)
    service.run_until_told(lambda children: _serve(children, config, place, secret))


def _place(config: ServerConfig, secret: Token) -> Place:
    """Go on with what an earlier start has left, else enter the cluster of another server, else begin one."""
    if etcd.is_member():
        return Place(_own_bootstrap(config, secret))
    if config.node.server_url:
        return _enter(config, secret)
    if not config.cluster_init:
        raise Fatal("the sandbox's stand-in has no SQLite: set cluster-init, or server to enter a cluster")
    return Place(
        Bootstrap(
            files=certificates.make_authorities(),
            encryption=bootstrap.encryption_configuration() if config.encrypt_secrets else "",
            agent_token=config.agent_token,
            critical=config.critical,
        )
    )


def _own_bootstrap(config: ServerConfig, secret: Token) -> Bootstrap:
    """Read back what this server has known since its first start."""
    if Token.parse(paths.TOKEN.read_text().strip()).password != secret.password:
        raise Fatal(
            f"{_PREPARING}failed to bootstrap cluster data: failed to reconcile with local datastore: "
            "bootstrap data already found and encrypted with different token"
        )
    encryption = control_plane.ENCRYPTION
    return Bootstrap(
        files=certificates.read_authorities(),
        encryption=encryption.read_text() if encryption.exists() else "",
        agent_token=config.agent_token,
        critical=config.critical,
    )


def _enter(config: ServerConfig, secret: Token) -> Place:
    """Ask another server for what all share, and compare."""
    url = config.node.server_url
    try:
        api, _ = joining.connect(url, secret)
        shared = Bootstrap.of(api.get(bootstrap.PATH), secret.password)
        servers = joining.servers(api)
    except Unreachable as error:
        raise Fatal(f"{_PREPARING}{error}") from error
    except ApiError as error:
        raise Fatal(f"{_PREPARING}{_refusal(url, error)}") from error
    except Fatal as error:
        raise Fatal(f"{_PREPARING}{error}") from error
    if different := bootstrap.differences(config.critical, shared.critical):
        log.error("critical configuration mismatched: %s", "; ".join(different))
        raise Fatal(
            f"{_PREPARING}failed to validate server configuration: critical configuration value mismatch "
            "between servers"
        )
    return Place(shared, tuple(servers))


def _refusal(url: str, error: ApiError) -> str:
    """Say it as the supervisor would; a token that is not the servers' is refused in one of two ways."""
    if error.status in (http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.FORBIDDEN):
        return f"{url}/v1-k3s/server-bootstrap: 401 Unauthorized: not authorized"
    return str(error)


def _write_files(config: ServerConfig, shared: Bootstrap, secret: Token) -> None:
    certificates.write(shared.files)
    certificates.write(certificates.issue(config, shared.files))
    ca = shared.files["server-ca.crt"]
    agents = shared.agent_token or secret.password
    paths.write_secret(paths.TOKEN, token.full(ca, "server", secret.password) + "\n")
    paths.write_secret(paths.SERVER / "agent-token", token.full(ca, "node", agents) + "\n")
    link = paths.SERVER / "node-token"
    link.unlink(missing_ok=True)
    link.symlink_to("token")
    paths.write_secret(control_plane.TOKENS, sharing.tokens(secret.password, shared.agent_token))
    if shared.encryption:
        paths.write_secret(control_plane.ENCRYPTION, shared.encryption)
    for file, certificate in (
        (paths.ADMIN, "client-admin"),
        (CONTROLLER, "client-controller"),
        (SCHEDULER, "client-scheduler"),
        (node.KUBELET_KUBECONFIG, "client-kubelet"),
        (node.KUBE_PROXY_KUBECONFIG, "client-kube-proxy"),
    ):
        paths.write_secret(file, kubeconfig.for_certificate(joining.local_url(), certificate))
    admin = kubeconfig.for_certificate(joining.local_url(), "client-admin")
    paths.write_secret(config.kubeconfig, admin, config.kubeconfig_mode)
    log.info("Wrote kubeconfig %s", config.kubeconfig)
    node_files = node.kubelet_config(config.node, str(config.cluster_dns), config.cluster_domain)
    paths.write_secret(node.KUBELET_CONFIG, node_files)
    paths.write_secret(node.CLIENT_CA, shared.files["client-ca.crt"])
    for folder in (paths.MANIFESTS, paths.AGENT / "pod-manifests", paths.AGENT / "images"):
        folder.mkdir(parents=True, exist_ok=True)


async def _serve(children: Children, config: ServerConfig, place: Place, secret: Token) -> None:
    await service.start_containerd(children, config.node)
    name = await children.unless_one_ends(_start_etcd(children, config, place))
    await children.start("kube-apiserver", control_plane.kube_apiserver(config))
    await children.unless_one_ends(_api_is_ready())
    log.info("Kube API server is now running")
    api = KubernetesApi.from_kubeconfig(paths.ADMIN)
    await asyncio.to_thread(_take_part, api, config, place.shared, secret)
    await children.start("kube-controller-manager", control_plane.kube_controller_manager(config, CONTROLLER))
    if config.scheduler:
        await children.start("kube-scheduler", control_plane.kube_scheduler(config, SCHEDULER))
    async with LoadBalancer([_LOCAL]).listening():
        log.info("k3s is up and running")
        service.notify("READY=1")
        await _start_node(children, config, api, name)
        await _start_controllers(children, config, api)
        await children.unless_one_ends(asyncio.Event().wait())


async def _start_etcd(children: Children, config: ServerConfig, place: Place) -> str:
    """Start etcd; a server that enters a cluster does so here, and votes when this returns."""
    name = etcd.member_name(config.node)
    members = {name: etcd.peer_url(config.node)}
    cluster = etcd.Etcd(list(place.servers))
    if place.servers:
        members = await _entered(cluster, config)
    command = control_plane.etcd(config, name, members, joins=bool(place.servers))
    await children.start("etcd", command)
    if place.servers:
        await _patiently(lambda: etcd.promoted(cluster, config.node))
    return name


async def _entered(cluster: etcd.Etcd, config: ServerConfig) -> dict[str, str]:
    found: dict[str, str] = {}

    def enter() -> bool:
        found.update(etcd.enter(cluster, config.node))
        return True

    await _patiently(enter)
    return found


async def _patiently(step: Callable[[], bool]) -> None:
    """Repeat what an etcd cluster cannot do at the moment."""
    until, said = time.monotonic() + _JOIN_TIMEOUT_S, ""
    while True:
        try:
            if await asyncio.to_thread(step):
                return
        except etcd.EtcdBusy as error:
            if str(error) != said:
                said = str(error)
                log.info("Waiting for other members to finish joining etcd cluster: %s", said)
        except etcd.EtcdError as error:
            raise Fatal(f"etcd cluster join failed: {error}") from error
        if time.monotonic() > until:
            raise Fatal(f"etcd cluster join failed: context deadline exceeded: {said}")
        await asyncio.sleep(0.3)


async def _api_is_ready() -> None:
    until = time.monotonic() + _READY_TIMEOUT_S
    context = ssl.create_default_context(cafile=str(paths.TLS / "server-ca.crt"))
    context.load_cert_chain(paths.TLS / "client-admin.crt", paths.TLS / "client-admin.key")
    while not await asyncio.to_thread(_readyz, context):
        if time.monotonic() > until:
            raise Fatal("failed to wait for API server to become ready: context deadline exceeded")
        await asyncio.sleep(_READY_EVERY_S)


def _readyz(context: ssl.SSLContext) -> bool:
    connection = http.client.HTTPSConnection(_LOCAL, API_PORT, context=context, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except kubernetes_api.TROUBLES:
        return False
    finally:
        connection.close()


def _take_part(api: KubernetesApi, config: ServerConfig, shared: Bootstrap, secret: Token) -> None:
    """Let others join through this server, and see that the node's name is this machine's.

    What an earlier start of this server led, nobody does any more.
    """
    sharing.publish(api, config, shared, secret.password)
    try:
        nodes.check_password(api, config.node)
    except nodes.PasswordRejected as error:
        raise Fatal(str(error)) from error
    for component in ("kube-controller-manager", "kube-scheduler"):
        leader.free(api, component, socket.gethostname())
    until = time.monotonic() + _READY_TIMEOUT_S
    while str(config.advertise_address) not in joining.servers(api):
        if time.monotonic() > until:
            raise Fatal("the API server does not advertise itself: context deadline exceeded")
        time.sleep(_READY_EVERY_S)


async def _start_node(children: Children, config: ServerConfig, api: KubernetesApi, member: str) -> None:
    await children.unless_one_ends(service.containerd_answers())
    await children.start("kubelet", node.kubelet(config.node))
    if config.kube_proxy:
        await children.start("kube-proxy", node.kube_proxy(config.node, str(config.cluster_cidr)))
    service.in_background(children, "node metadata", lambda: nodes.describe(api, config.node, member))


async def _start_controllers(children: Children, config: ServerConfig, api: KubernetesApi) -> None:
    own = etcd.Etcd([_LOCAL])
    service.in_background(
        children, "etcd member controller", lambda: nodes.remove_members_of_deleted(api, own)
    )
    await children.start_again_and_again("addons", addons.command(config))
    service.in_background(
        children, "deploy controller", lambda: manifests.deploy(paths.ADMIN, config.disabled)
    )
