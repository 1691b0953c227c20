"""`k3s agent`: a node of a cluster whose servers are elsewhere."""

import asyncio
import http
import json
from dataclasses import dataclass

from sandbox.cluster.kubernetes_api import ApiError, KubernetesApi, Unreachable
from sandbox.k3s import joining, kubeconfig, node, nodes, paths, service, sharing
from sandbox.k3s.children import Children
from sandbox.k3s.config import API_PORT, LOCAL_API_PORT, NodeConfig
from sandbox.k3s.errors import Fatal
from sandbox.k3s.load_balancer import LoadBalancer
from sandbox.k3s.logs import log
from sandbox.k3s.token import Token

BOOTSTRAP_KUBECONFIG = paths.AGENT / "bootstrap.kubeconfig"
KNOWN_SERVERS = paths.AGENT / "etc" / "k3s-agent-load-balancer.json"
_LOCAL_URL = f"https://127.0.0.1:{LOCAL_API_PORT}"
_RETRY_S = 2.0


@dataclass(frozen=True)
class Welcome:
    """What an agent learns from its servers before it is a node.

    Attributes:
        ca: The servers' CA.
        servers: Their addresses.
        settings: What they say alike: DNS, ranges, whether there is a kube-proxy.
    """

    ca: str
    servers: list[str]
    settings: dict[str, str]


def run(config: NodeConfig) -> None:
    """Run an agent until it is told to stop; it waits for its servers for ever, as the real one does.

    Raises:
        Fatal: it cannot start, or a component ended.
    """
    secret = Token.parse(config.token)
    service.run_until_told(lambda children: _serve(children, config, secret))


async def _serve(children: Children, config: NodeConfig, secret: Token) -> None:
    await service.start_containerd(children, config)
    welcome = await children.unless_one_ends(_welcome(config, secret))
    _write_files(config, secret, welcome)
    balancer = LoadBalancer(welcome.servers)
    async with balancer.listening():
        await children.unless_one_ends(service.containerd_answers())
        await children.start("kubelet", node.kubelet(config, bootstrap=BOOTSTRAP_KUBECONFIG))
        if welcome.settings["kube-proxy"] == "true":
            await children.start("kube-proxy", node.kube_proxy(config, welcome.settings["cluster-cidr"]))
        api = joining.pinned(_LOCAL_URL, secret, welcome.ca)
        service.in_background(children, "node metadata", lambda: nodes.describe(api, config))
        loop = asyncio.get_running_loop()
        service.in_background(children, "load balancer", lambda: _follow_servers(api, balancer, loop))
        log.info("k3s agent is up and running")
        service.notify("READY=1")
        await children.unless_one_ends(asyncio.Event().wait())


async def _welcome(config: NodeConfig, secret: Token) -> Welcome:
    """Ask the server that is configured, and those known from earlier, until one answers."""
    while True:
        for url in dict.fromkeys([config.server_url, *_known_urls()]):
            try:
                return await asyncio.to_thread(_ask, url, config, secret)
            except (Unreachable, Fatal) as error:
                log.error("Failed to validate connection to cluster at %s: %s", url, error)
            except ApiError as error:
                refused = error.status in (http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.FORBIDDEN)
                said = "not authorized" if refused else error
                log.error("failed to retrieve configuration from server: %s", said)
            except nodes.PasswordRejected as error:
                log.info("Waiting to retrieve agent configuration; server is not ready: %s", error)
        await asyncio.sleep(_RETRY_S)


def _ask(url: str, config: NodeConfig, secret: Token) -> Welcome:
    api, ca = joining.connect(url, secret)
    settings = api.get(sharing.SETTINGS_PATH)["data"]
    nodes.check_password(api, config)
    servers = joining.servers(api) or [joining.address_of(url)[0]]
    return Welcome(ca, servers, settings)


def _write_files(config: NodeConfig, secret: Token, welcome: Welcome) -> None:
    told = welcome.settings
    paths.write_secret(node.CLIENT_CA, told["client-ca"])
    paths.write_secret(
        node.KUBELET_CONFIG, node.kubelet_config(config, told["cluster-dns"], told["cluster-domain"])
    )
    with_token = kubeconfig.for_token(_LOCAL_URL, welcome.ca, secret.password)
    for file in (BOOTSTRAP_KUBECONFIG, node.KUBE_PROXY_KUBECONFIG):
        paths.write_secret(file, with_token)
    _remember(welcome.servers)
    for folder in (paths.AGENT / "pod-manifests", paths.AGENT / "images"):
        folder.mkdir(parents=True, exist_ok=True)


def _follow_servers(api: KubernetesApi, balancer: LoadBalancer, loop: asyncio.AbstractEventLoop) -> None:
    for event in api.watch("/api/v1/namespaces/default/endpoints", fieldSelector="metadata.name=kubernetes"):
        servers = joining.addresses_in(event.object)
        if servers:
            _remember(servers)
            loop.call_soon_threadsafe(balancer.update, servers)


def _known_urls() -> list[str]:
    known = json.loads(KNOWN_SERVERS.read_text()) if KNOWN_SERVERS.exists() else []
    return [f"https://{server}:{API_PORT}" for server in known]


def _remember(servers: list[str]) -> None:
    paths.write_secret(KNOWN_SERVERS, json.dumps(sorted(servers)))
