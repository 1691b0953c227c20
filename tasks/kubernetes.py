"""The Kubernetes API of a region; the only door to it."""

import json
import shlex
import threading
from base64 import b64decode
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from ipaddress import IPv4Address
from textwrap import shorten
from typing import Any, TypeVar

import urllib3
from websocket import WebSocketBadStatusException, WebSocketException

from roachmesh.errors import (
    HostFailed,
    HostUnreachable,
    KubernetesBusy,
    KubernetesRefused,
    NotDeployed,
)
from roachmesh.kubeconfig import Access, api_url, read_access
from roachmesh.plan import RegionPlan
from tasks.deployment import Deployment
from tasks.hosts import session
from tasks.machines import Machine, read_machine
from tasks.memory_files import memory_file

# The client itself takes one to two seconds to import, so that is done where it is used: help,
# completion, and deployments of plain machines need none of it.

R = TypeVar("R")
Body = dict[str, Any]

FIELD_MANAGER = "roachmesh"
KUBECONFIG = "/etc/rancher/k3s/k3s.yaml"
CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 10, 60
COMMAND_TIMEOUT_S = 120
LINES_QUOTED = 3
STDOUT, STDERR, STATUS = 1, 2, 3  # the channels of a command's connection
NO_ANSWER = (0, 503)  # k3s itself says 503 while its API server starts
TRANSIENT_STATUSES = frozenset({408, 409, 429, 500, 502, 504})
# The client keeps what it discovers in a file in /tmp by the server's address, where it outlives the
# cluster; nothing can be kept here.
NO_FILE = "/dev/null/none"

_clusters: dict[tuple[str, str], "Kubernetes"] = {}
_opening: defaultdict[tuple[str, str], threading.Lock] = defaultdict(threading.Lock)


def kubernetes(deployment: Deployment, region: RegionPlan) -> "Kubernetes":
    """Give this process's client of a region's cluster.

    Raises:
        KubernetesBusy: no k3s server of the region has an API to offer (yet).
        NotDeployed: the region has no servers at all.
    """
    # The deployment's key is part of it: a cluster that was destroyed and deployed again is another one.
    place = (deployment.key, region.name)
    with _opening[place]:
        if place not in _clusters:
            servers = find_servers(deployment, region)
            _clusters[place] = Kubernetes(
                region.name, [server.host.address for server in servers], read_admin(deployment, servers)
            )
        return _clusters[place]


def find_servers(deployment: Deployment, region: RegionPlan) -> list[Machine]:
    """Find the machines of a region's servers; one that was deleted is none, as long as there is another."""
    found: list[Machine] = []
    missing: NotDeployed | None = None
    for node in region.servers:
        try:
            found.append(read_machine(deployment, node))
        except NotDeployed as exc:
            missing = exc
    if missing and not found:
        raise missing
    return found


def read_admin(deployment: Deployment, servers: Sequence[Machine]) -> Access:
    """Read what opens a cluster's API from the first of its servers that has it, over SSH.

    Raises:
        KubernetesBusy: none has it (yet).
    """
    reasons = []
    for server in servers:
        try:
            return read_access(session(deployment, server.host).run(["cat", KUBECONFIG]))
        except (HostUnreachable, HostFailed) as exc:
            reasons.append(str(exc))
        except ValueError as exc:
            reasons.append(f"{server.host.name}: {KUBECONFIG}: {exc}")
    raise KubernetesBusy(f"no k3s server to ask: {'; '.join(reasons)}", where=servers[0].node.region)


class Kubernetes:
    """A cluster's API, asked through whichever server answers; threads may share it.

    A kind is written with its API version: "v1/Pod", "apps/v1/StatefulSet".
    """

    def __init__(self, region: str, addresses: Sequence[IPv4Address], access: Access) -> None:
        self.region = region
        self._files = ExitStack()  # on no disk, and as long as this process lives
        texts = (access.ca, access.certificate, access.key)
        paths = [self._files.enter_context(memory_file(text)) for text in texts]
        self._servers = [Server(address, *paths) for address in addresses]

    def apply(self, objects: Iterable[Body]) -> list[str]:
        """Have objects say what these say, by server-side apply; fields they leave out are others'.

        Gives those that did not say it yet, as "ConfigMap coredns-custom".

        Raises:
            KubernetesRefused: an object is refused.
            KubernetesBusy: no server answers, or the cluster does not know such objects (yet).
        """
        return [_name(one) for one in objects if self._apply(one)]

    def read(self, kind: str, name: str, namespace: str = "") -> Body | None:
        """Read an object; None when there is none."""
        return self._request("get", kind, name, namespace)

    def read_secret(self, name: str, namespace: str) -> dict[str, str]:
        """Read a Secret's texts by their names; none when there is no such Secret."""
        data = (self.read("v1/Secret", name, namespace) or {}).get("data") or {}
        return {key: b64decode(text).decode() for key, text in data.items()}

    def list(self, kind: str, namespace: str = "", *, labels: str = "", fields: str = "") -> list[Body]:
        """Read all objects of a kind, in a namespace or in all, that carry certain labels or have fields."""
        selectors = {"label_selector": labels or None, "field_selector": fields or None}
        found = self._request("get", kind, "", namespace, **selectors)
        return list(found["items"]) if found else []

    def delete(self, kind: str, name: str, namespace: str = "") -> None:
        """Delete an object and what belongs to it, if it is there; its end is not waited for."""
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        self._request("delete", kind, name, namespace, body=options)

    def offers(self, kind: str) -> bool:
        """Tell whether the cluster knows a kind, such as "policy/v1/PodDisruptionBudget"."""
        from kubernetes.dynamic.exceptions import ResourceNotFoundError

        version, _, name = kind.rpartition("/")

        def ask(server: Server) -> bool:
            try:
                return bool(server.api.resources.get(api_version=version, kind=name))
            except ResourceNotFoundError:
                return False

        return self._ask(ask)

    def newest(self, kind: str, versions: Sequence[str]) -> str:
        """Give the first of these API versions that offers a kind; none does while the cluster begins."""
        return next((version for version in versions if self.offers(f"{version}/{kind}")), versions[0])

    def logs(self, namespace: str, pod: str, container: str = "") -> str:
        """Give what a pod has logged so far."""
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/log"
        query = [("container", container)] if container else []
        answer = self._ask(lambda server: server.request("get", path, query_params=query))
        return str(answer.data.decode(errors="replace"))

    def run(
        self,
        namespace: str,
        pod: str,
        command: Sequence[str],
        *,
        container: str = "",
        stdin: str = "",
        timeout_s: int = COMMAND_TIMEOUT_S,
    ) -> str:
        """Run a command in a pod and give what it prints.

        Args:
            namespace: The pod's namespace.
            pod: Its name.
            command: Its words; with `stdin` the image must have `sh` and `head`.
            container: Which of the pod's containers, if it has several.
            stdin: What it reads: the place for secrets, since no process list shows it.
            timeout_s: Seconds after which it is given up.

        Raises:
            KubernetesRefused: it ended with an error, what it said last is quoted; or there is no such pod.
            KubernetesBusy: nobody answers, or the connection broke.
        """
        # Servers older than 1.30 cannot say to a command that its input ended: it is told the length.
        length = str(len(stdin.encode()))
        words = ["sh", "-c", 'head -c "$0" | "$@"', length, *command] if stdin else list(command)
        opened = self._ask(lambda server: server.open(namespace, pod, words, container, stdin=bool(stdin)))
        what = f"`{shorten(shlex.join(command), 100)}` in {namespace}/{pod}"
        try:
            if stdin:
                opened.write_stdin(stdin.encode())
            opened.run_forever(timeout=timeout_s)
            if opened.is_open():
                raise KubernetesRefused(f"{what} did not end in {timeout_s} s.", where=self.region)
            channels = (opened.read_channel(number) for number in (STDOUT, STDERR))
            output, errors = (str(content.decode(errors="replace")) for content in channels)
            status = json.loads(opened.read_channel(STATUS) or "null")
        except (OSError, WebSocketException) as exc:
            raise KubernetesBusy(f"{what}: the connection broke: {exc}", where=self.region) from exc
        finally:
            opened.close()
        if status is None:
            raise KubernetesBusy(f"{what}: the connection broke.", where=self.region)
        if status["status"] != "Success":
            lines = (errors.strip() or output.strip() or status["message"]).splitlines()
            raise KubernetesRefused(f"{what} failed: {' '.join(lines[-LINES_QUOTED:])}", where=self.region)
        return output

    def _apply(self, wanted: Body) -> bool:
        kind = f"{wanted['apiVersion']}/{wanted['kind']}"
        name, namespace = wanted["metadata"]["name"], wanted["metadata"].get("namespace", "")
        before = self.read(kind, name, namespace)
        after = self._request(
            "patch",
            kind,
            name,
            namespace,
            body=wanted,
            content_type="application/apply-patch+yaml",
            field_manager=FIELD_MANAGER,
            force_conflicts=True,
        )
        return before is None or _said(before) != _said(after or {})

    def _request(self, method: str, kind: str, name: str, namespace: str, **options: Any) -> Body | None:
        """Ask about an object, or about all of a kind; None when there is none."""
        from kubernetes.dynamic.exceptions import NotFoundError

        version, _, kind_name = kind.rpartition("/")

        def ask(server: Server) -> Body | None:
            resource = server.api.resources.get(api_version=version, kind=kind_name)
            path = resource.path(name=name or None, namespace=namespace or None)
            try:
                answer = server.request(method, path, **options)
            except NotFoundError:
                if method == "patch":
                    raise
                return None
            body: Body = answer.json()
            return body

        return self._ask(ask)

    def _ask(self, ask: Callable[["Server"], R]) -> R:
        """Ask the server that answered last, and if it does not answer now, each of the others."""
        reasons = []
        first, *others = self._servers
        for server in (first, *others, first):  # twice, for its connection may have been an old one
            try:
                with self._errors():
                    answer = ask(server)
            except _NoAnswerError as exc:
                reasons.append(f"{server.address}: {exc}")
                continue
            self._servers = [server, *(one for one in self._servers if one is not server)]
            return answer
        raise KubernetesBusy(
            f"its API does not answer: {'; '.join(dict.fromkeys(reasons))}", where=self.region
        )

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Say in our words what the client raises inside."""
        from kubernetes.client import ApiException
        from kubernetes.dynamic.exceptions import ResourceNotFoundError

        try:
            yield
        except ApiException as exc:
            status, said = _read_error(exc)
            if status in NO_ANSWER:
                raise self._unanswered(said) from exc
            kind = KubernetesBusy if status in TRANSIENT_STATUSES else KubernetesRefused
            raise kind(f"its API says {status}: {said}", where=self.region) from exc
        except ResourceNotFoundError as exc:
            raise KubernetesBusy(f"the cluster does not know that (yet): {exc}", where=self.region) from exc
        except (urllib3.exceptions.HTTPError, OSError) as exc:
            raise self._unanswered(_reason(exc)) from exc

    def _unanswered(self, said: str) -> Exception:
        """Say why there is no answer; only another cluster's certificate is past all hope."""
        if "CERTIFICATE_VERIFY_FAILED" in said:
            return KubernetesRefused(
                f"what answers for it has another cluster's certificate: {said}",
                where=self.region,
                advice="Find out who answers there; k3s may have been set up anew by hand.",
            )
        return _NoAnswerError(said)


class Server:
    """One server's API."""

    def __init__(self, address: IPv4Address, ca: str, certificate: str, key: str) -> None:
        from kubernetes.client import Configuration

        self.address = address
        self._configuration = Configuration(host=api_url(address))
        self._configuration.ssl_ca_cert = ca
        self._configuration.cert_file, self._configuration.key_file = certificate, key
        self._configuration.retries = False  # that is the other servers' part, and that of who asks
        self._configuration.proxy = None
        self._lock = threading.Lock()

    @property
    def api(self) -> Any:
        """The client that knows which kinds there are; asks the server the first time."""
        with self._lock:
            return self._api

    def request(self, method: str, path: str, **options: Any) -> Any:
        """Send a request; gives the raw answer."""
        timeout = (CONNECT_TIMEOUT_S, READ_TIMEOUT_S)
        return self.api.request(method, path, serialize=False, _request_timeout=timeout, **options)

    def open(self, namespace: str, pod: str, command: Sequence[str], container: str, *, stdin: bool) -> Any:
        """Start a command in a pod; gives the open connection to it."""
        from kubernetes.client import ApiClient, CoreV1Api
        from kubernetes.stream import stream

        self.request("get", "/readyz")  # opening has no timeout of its own
        # The library swaps a method of the client that it is given: a client for each call.
        return stream(
            CoreV1Api(ApiClient(self._configuration)).connect_get_namespaced_pod_exec,
            pod,
            namespace,
            command=list(command),
            **({"container": container} if container else {}),
            stdin=stdin,
            stdout=True,
            stderr=True,
            tty=False,
            binary=True,
            _preload_content=False,
        )

    @cached_property
    def _api(self) -> Any:
        from kubernetes.client import ApiClient
        from kubernetes.dynamic import DynamicClient

        return DynamicClient(ApiClient(self._configuration), cache_file=NO_FILE)


class _NoAnswerError(Exception):
    """This server does not answer; another one may."""


def _name(body: Mapping[str, Any]) -> str:
    return f"{body['kind']} {body['metadata']['name']}"


def _said(body: Body) -> Body:
    """Give what an object says, without what the cluster notes down beside it."""
    noted = ("managedFields", "resourceVersion", "generation")
    metadata = {key: value for key, value in body["metadata"].items() if key not in noted}
    return {**{key: value for key, value in body.items() if key != "status"}, "metadata": metadata}


def _read_error(error: Any) -> tuple[int, str]:
    """Read an API error: its status, 0 when nobody answered, and its sentence."""
    refusal = error.__context__
    if isinstance(refusal, WebSocketBadStatusException):  # the client forgets what it said
        return refusal.status_code, _sentence(refusal.resp_body) or str(refusal)
    return error.status or 0, _sentence(error.body) or str(error.reason).strip().split("\n")[-1]


def _sentence(body: str | bytes | None) -> str:
    try:
        return str(json.loads(body or "")["message"])
    except (ValueError, LookupError, TypeError):
        return ""


def _reason(error: BaseException) -> str:
    """Give what lies at the bottom of an error, since the layers above add only their names."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error).strip().split("\n")[0] or type(error).__name__
