"""A client of the Kubernetes API in plain HTTPS, for programs that run in a cluster or beside it.

Objects are dictionaries as the API writes them. Watches sleep in the kernel; nothing here polls.
"""

import base64
import http.client
import json
import logging
import os
import ssl
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import yaml

log = logging.getLogger(__name__)

Object = dict[str, Any]

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
REQUEST_TIMEOUT_S = 30.0
WATCH_S = 300
RETRY_S = 1.0
CLUSTER_SCOPED = {
    "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "Namespace", "Node", "PersistentVolume",
    "PriorityClass", "StorageClass",
}  # fmt: skip
TROUBLES = (OSError, http.client.HTTPException)


class ApiError(Exception):
    """The API server refused; the message is its own."""

    def __init__(self, status: int, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class Unreachable(Exception):
    """No API server answers."""


@dataclass(frozen=True)
class Event:
    """One thing that happened to an object: ADDED, MODIFIED, DELETED; or SYNCED, once after all existing."""

    type: str
    object: Object


class KubernetesApi:
    """A connection per thread to one API server.

    Args:
        host: Name or address.
        port: Its port.
        context: What the server is trusted by, and the client's certificate if it has one.
        token: A bearer token, if it has none.
    """

    def __init__(self, host: str, port: int, context: ssl.SSLContext, token: str = "") -> None:
        self.host, self.port = host, port
        self._context = context
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._local = threading.local()

    @classmethod
    def from_kubeconfig(cls, path: Path) -> "KubernetesApi":
        """Connect as the current context of a kubeconfig says; certificates inline or in files."""
        config = yaml.safe_load(path.read_text())
        by_name = {kind: {entry["name"]: entry for entry in config[kind]} for kind in _KUBECONFIG_LISTS}
        current = by_name["contexts"][config["current-context"]]["context"]
        cluster = by_name["clusters"][current["cluster"]]["cluster"]
        user = by_name["users"][current["user"]]["user"]
        server = urlsplit(cluster["server"])
        context = ssl.create_default_context(cadata=_text(cluster, "certificate-authority"))
        if _text(user, "client-certificate"):
            with tempfile.NamedTemporaryFile("w") as pair:  # ssl reads files only; 0600 by itself
                pair.write(_text(user, "client-certificate") + "\n" + _text(user, "client-key"))
                pair.flush()
                context.load_cert_chain(pair.name)
        return cls(server.hostname or "", server.port or 443, context, user.get("token", ""))

    @classmethod
    def in_cluster(cls) -> "KubernetesApi":
        """Connect as the pod's service account, where the pod's environment says."""
        context = ssl.create_default_context(cafile=str(SERVICE_ACCOUNT / "ca.crt"))
        token = (SERVICE_ACCOUNT / "token").read_text()
        host, port = os.environ["KUBERNETES_SERVICE_HOST"], int(os.environ["KUBERNETES_SERVICE_PORT"])
        return cls(host, port, context, token)

    def get(self, path: str) -> Object:
        """Read a path."""
        return self._request("GET", path)

    def find(self, path: str) -> Object | None:
        """Read a path; None if there is nothing."""
        try:
            return self.get(path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def create(self, obj: Object) -> Object:
        """Create an object."""
        return self._request("POST", path_of(obj, named=False), obj)

    def update(self, obj: Object) -> Object:
        """Replace an object, unless it changed since it was read."""
        return self._request("PUT", path_of(obj), obj)

    def apply(self, obj: Object, manager: str) -> Object:
        """Apply an object server-side, taking over fields that others own."""
        path = f"{path_of(obj)}?{urlencode({'fieldManager': manager, 'force': 'true'})}"
        return self._request("PATCH", path, obj, "application/apply-patch+yaml")

    def merge(self, path: str, patch: Object) -> Object:
        """Merge a patch into what is at a path."""
        return self._request("PATCH", path, patch, "application/merge-patch+json")

    def merge_by_key(self, path: str, patch: Object) -> Object:
        """Merge a patch whose lists are merged by their items' keys, such as conditions by their type."""
        return self._request("PATCH", path, patch, "application/strategic-merge-patch+json")

    def delete(self, path: str, propagation: str = "Background") -> None:
        """Delete what is at a path; nothing happens when there is nothing."""
        try:
            self._request("DELETE", path, {"propagationPolicy": propagation})
        except ApiError as error:
            if error.status != 404:
                raise

    def watch(self, path: str, **query: str) -> Iterator[Event]:
        """Yield what exists, a SYNCED, then every change, for ever; anew after every break.

        After a break all that exists is yielded as ADDED again and followed by another SYNCED; what was
        deleted meanwhile is yielded as DELETED before that.
        """
        known: dict[str, Object] = {}
        while True:
            try:
                yield from self._watch_once(path, query, known)
            except (ApiError, Unreachable) as error:
                log.warning("watching %s: %s", path, error)
                time.sleep(RETRY_S)

    def _watch_once(self, path: str, query: dict[str, str], known: dict[str, Object]) -> Iterator[Event]:
        answer = self.get(f"{path}?{urlencode(query)}")
        # items of a list carry neither kind nor apiVersion
        shape = {"apiVersion": answer["apiVersion"], "kind": answer["kind"].removesuffix("List")}
        existing = {_key(item): shape | item for item in answer["items"] or ()}
        for key in set(known) - set(existing):
            yield Event("DELETED", known.pop(key))
        for key, item in existing.items():
            known[key] = item
            yield Event("ADDED", item)
        yield Event("SYNCED", {})
        version = answer["metadata"]["resourceVersion"]
        while True:
            for event in self._stream(path, query | {"resourceVersion": version}):
                version = event.object["metadata"]["resourceVersion"]
                if event.type == "DELETED":
                    known.pop(_key(event.object), None)
                elif event.type != "BOOKMARK":
                    known[_key(event.object)] = event.object
                if event.type != "BOOKMARK":
                    yield event

    def _stream(self, path: str, query: dict[str, str]) -> Iterator[Event]:
        query = query | {"watch": "true", "timeoutSeconds": str(WATCH_S), "allowWatchBookmarks": "true"}
        # a server that died without a word is noticed a little after it should have ended the watch
        connection = http.client.HTTPSConnection(
            self.host, self.port, context=self._context, timeout=WATCH_S + 10
        )
        try:
            connection.request("GET", f"{path}?{urlencode(query)}", headers=self._headers)
            response = connection.getresponse()
            if response.status != 200:
                raise _error(response.status, response.read())
            for line in response:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise ApiError(event["object"].get("code", 500), event["object"].get("message", ""))
                yield Event(event["type"], event["object"])
        except (*TROUBLES, ValueError) as error:
            raise Unreachable(str(error) or type(error).__name__) from error
        finally:
            connection.close()

    def _request(
        self, method: str, path: str, body: Object | None = None, content_type: str = "application/json"
    ) -> Object:
        headers = self._headers | {"Content-Type": content_type, "Accept": "application/json"}
        content = json.dumps(body) if body is not None else None
        for attempt in (1, 2):  # a connection that was kept may have been closed meanwhile
            connection = self._connection()
            kept = connection.sock is not None
            try:
                connection.request(method, path, content, headers)
                response = connection.getresponse()
                answer = response.read()
                break
            except TROUBLES as error:
                connection.close()
                if not kept or attempt == 2 or method == "POST":
                    raise Unreachable(str(error) or type(error).__name__) from error
        if response.status >= 300:
            raise _error(response.status, answer)
        found: Object = json.loads(answer)
        return found

    def _connection(self) -> http.client.HTTPSConnection:
        if not hasattr(self._local, "connection"):
            self._local.connection = http.client.HTTPSConnection(
                self.host, self.port, context=self._context, timeout=REQUEST_TIMEOUT_S
            )
        connection: http.client.HTTPSConnection = self._local.connection
        return connection


def path_of(obj: Object, named: bool = True) -> str:
    """Return the path of an object, or that of its collection."""
    kind, metadata = obj["kind"], obj["metadata"]
    version = obj["apiVersion"]
    parts = ["/apis" if "/" in version else "/api", version]
    if kind not in CLUSTER_SCOPED:
        parts += ["namespaces", metadata.get("namespace", "default")]
    parts.append(_plural(kind))
    return "/".join([*parts, metadata["name"]] if named else parts)


def event_about(obj: Object, kind: str, reason: str, message: str, component: str, name: str = "") -> Object:
    """Return an Event about an object; without a name it gets one of its own, and may be told again."""
    metadata = obj["metadata"]
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    involved = {field: metadata[field] for field in ("name", "namespace", "uid")}
    called = {"name": name} if name else {"generateName": f"{metadata['name']}."}
    return {
        "apiVersion": "v1", "kind": "Event", "type": kind, "reason": reason, "message": message,
        "metadata": called | {"namespace": metadata["namespace"]},
        "involvedObject": {"apiVersion": obj["apiVersion"], "kind": obj["kind"], **involved},
        "source": {"component": component}, "firstTimestamp": now, "lastTimestamp": now, "count": 1,
    }  # fmt: skip


_KUBECONFIG_LISTS = ("clusters", "contexts", "users")


def _plural(kind: str) -> str:
    name = kind.lower()
    if name.endswith("y"):
        return name.removesuffix("y") + "ies"
    if name == "endpoints":
        return name
    return name + ("es" if name.endswith(("s", "x")) else "s")


def _key(obj: Object) -> str:
    return f"{obj['metadata'].get('namespace', '')}/{obj['metadata']['name']}"


def _text(entry: Object, field: str) -> str:
    """Return PEM that stands in a kubeconfig itself, or in a file that it names; empty if neither."""
    if f"{field}-data" in entry:
        return base64.b64decode(entry[f"{field}-data"]).decode()
    return Path(entry[field]).read_text() if field in entry else ""


def _error(status: int, answer: bytes) -> ApiError:
    try:
        said = json.loads(answer)
        return ApiError(status, said.get("message", ""), said.get("reason", ""))
    except ValueError:
        return ApiError(status, answer.decode(errors="replace").strip())
