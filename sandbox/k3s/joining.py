"""Reaching the servers of a cluster with nothing but an address and a token.

The real k3s asks its supervisor, which answers on 6443 beside the API server. Here there is none: the
token is a bearer token of the API itself.
"""

import socket
import ssl
from urllib.parse import urlsplit

from sandbox.cluster.kubernetes_api import KubernetesApi, Object, Unreachable
from sandbox.k3s.config import API_PORT
from sandbox.k3s.logs import log
from sandbox.k3s.token import Token

SERVERS_PATH = "/api/v1/namespaces/default/endpoints/kubernetes"
_CONNECT_S = 10.0


def connect(url: str, token: Token) -> tuple[KubernetesApi, str]:
    """Speak with a token to a server whose CA is checked by the token's hash, if it has one.

    Returns:
        The API, and the CA.

    Raises:
        Fatal: the CA is not the token's.
        Unreachable: no server answers.
    """
    ca = ca_of(url)
    token.check(ca)
    if not token.ca_hash:
        log.warning(
            "Cluster CA certificate is not trusted by the host CA bundle, but the token does not include a "
            "CA hash. Use the full token from the server's node-token file to enable Cluster CA validation."
        )
    return pinned(url, token, ca), ca


def pinned(url: str, token: Token, ca: str) -> KubernetesApi:
    """Speak with a token to a server of a CA that is known."""
    host, port = address_of(url)
    return KubernetesApi(host, port, ssl.create_default_context(cadata=ca), token.password)


def address_of(url: str) -> tuple[str, int]:
    """Return host and port of a server's URL."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or 443


def servers(api: KubernetesApi) -> list[str]:
    """Return the addresses of the API servers that live; each server's etcd has the same."""
    return addresses_in(api.get(SERVERS_PATH))


def addresses_in(endpoints: Object) -> list[str]:
    """Return the addresses of an Endpoints object."""
    subsets = endpoints.get("subsets") or []
    return [address["ip"] for subset in subsets for address in subset.get("addresses") or ()]


def ca_of(url: str) -> str:
    """Return the last certificate that a server shows, unverified: the caller judges it.

    Raises:
        Unreachable: it shows none.
    """
    host, port = address_of(url)
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with (
            socket.create_connection((host, port), timeout=_CONNECT_S) as plain,
            context.wrap_socket(plain, server_hostname=host) as wrapped,
        ):
            chain: list[bytes] = wrapped.get_unverified_chain()  # type: ignore[attr-defined]  # Python 3.13
    except OSError as error:
        asked = f'Get "{url}/cacerts": dial tcp {host}:{port}: {describe(error)}'
        raise Unreachable(f"failed to get CA certs: {asked}") from error
    return ssl.DER_cert_to_PEM_cert(chain[-1])


def describe(error: Exception) -> str:
    """Say what happened to a connection in Go's words, which people search for."""
    if isinstance(error, ConnectionRefusedError):
        return "connect: connection refused"
    if isinstance(error, TimeoutError):
        return "i/o timeout"
    return str(error) or type(error).__name__


def local_url() -> str:
    """Return where a server's own API server answers."""
    return f"https://127.0.0.1:{API_PORT}"
