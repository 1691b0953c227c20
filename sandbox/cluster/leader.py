"""Let one of several do the work: whoever holds a Lease of the Kubernetes API."""

import datetime
import logging
import time
from collections.abc import Callable

from sandbox.cluster.kubernetes_api import ApiError, KubernetesApi, Object, Unreachable

DURATION_S = 15.0
RENEW_S = 5.0

log = logging.getLogger(__name__)


def path_of(name: str) -> str:
    """Return where a Lease is."""
    return f"/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/{name}"


def free(api: KubernetesApi, name: str, host: str) -> None:
    """Let anybody take a Lease at once that a program of this host held, all of which are dead.

    Kubernetes' own programs call themselves `<host>_<something new>`, so that they wait even for themselves.
    """
    lease = api.find(path_of(name))
    if lease and lease["spec"].get("holderIdentity", "").startswith(f"{host}_"):
        lease["spec"]["holderIdentity"] = ""
        try:
            api.update(lease)
        except ApiError as error:
            if error.status != 409:  # another was faster
                raise


class Lost(Exception):
    """Another has taken over, or the API server cannot be asked."""


class Lease:
    """One candidate's view of a Lease in kube-system.

    A holder counts as gone when its Lease did not change for `DURATION_S` by our own clock.
    """

    def __init__(self, api: KubernetesApi, name: str, identity: str) -> None:
        self._api = api
        self._path = path_of(name)
        self._name, self._identity = name, identity
        self._seen: Object = {}
        self._seen_at = 0.0

    def acquire(self) -> None:
        """Wait until the Lease is ours."""
        while True:
            try:
                if self._try():
                    return
            except (ApiError, Unreachable) as error:
                log.warning("lease %s: %s", self._name, error)
            time.sleep(RENEW_S)

    def keep(self) -> None:
        """Renew the Lease for ever.

        Raises:
            Lost: it is no longer ours.
        """
        renewed = time.monotonic()
        while True:
            time.sleep(RENEW_S)
            try:
                if not self._try():
                    raise Lost(f"lease {self._name} is another's")
                renewed = time.monotonic()
            except (ApiError, Unreachable) as error:
                if time.monotonic() - renewed > DURATION_S - RENEW_S:
                    raise Lost(f"lease {self._name} cannot be renewed: {error}") from error

    def _try(self) -> bool:
        lease = self._api.find(self._path)
        if lease is None:
            metadata = {"name": self._name, "namespace": "kube-system"}
            lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata}
            return self._write(self._api.create, lease)
        spec = lease.get("spec", {})
        if spec != self._seen:
            self._seen, self._seen_at = spec, time.monotonic()
        is_ours = spec.get("holderIdentity") == self._identity
        if is_ours or time.monotonic() - self._seen_at > DURATION_S:
            return self._write(self._api.update, lease)
        return False

    def _write(self, write: Callable[[Object], Object], lease: Object) -> bool:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        lease["spec"] = {
            "holderIdentity": self._identity, "leaseDurationSeconds": int(DURATION_S), "renewTime": now,
        }  # fmt: skip
        try:
            write(lease)
        except ApiError as error:
            if error.status == 409:  # another was faster
                return False
            raise
        return True
