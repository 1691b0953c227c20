"""Releases as Helm keeps them: a Secret per revision, which a real `helm` reads too.

Source: pkg/storage/driver/secrets.go and pkg/release of helm/helm.
"""

import base64
import datetime
import gzip
import json
from dataclasses import dataclass, field, replace

from sandbox.cluster.kubernetes_api import KubernetesApi, Object

DEPLOYED, FAILED, SUPERSEDED = "deployed", "failed", "superseded"
PENDING = ("pending-install", "pending-upgrade", "pending-rollback", "uninstalling")
KEPT = 10


@dataclass(frozen=True)
class Release:
    """One revision of an installed chart."""

    name: str
    namespace: str
    revision: int
    status: str
    chart: Object
    values: Object
    objects: list[Object] = field(default_factory=list)
    description: str = ""

    @property
    def path(self) -> str:
        """Where its Secret is."""
        secret = f"sh.helm.release.v1.{self.name}.v{self.revision}"
        return f"/api/v1/namespaces/{self.namespace}/secrets/{secret}"


class Releases:
    """All revisions of one release."""

    def __init__(self, api: KubernetesApi, name: str, namespace: str) -> None:
        self._api = api
        self.name, self.namespace = name, namespace

    def latest(self) -> Release | None:
        """Return the youngest revision, if there is any."""
        return max(self._all(), key=lambda release: release.revision, default=None)

    def save(self, release: Release) -> None:
        """Write a revision."""
        self._api.apply(_secret(release), "helm")

    def supersede(self, current: Release) -> None:
        """Mark every older deployed revision, and forget those that Helm would."""
        older = [release for release in self._all() if release.revision < current.revision]
        for release in older:
            if release.revision <= current.revision - KEPT:
                self._api.delete(release.path)
            elif release.status == DEPLOYED:
                self.save(replace(release, status=SUPERSEDED))

    def forget(self) -> None:
        """Remove every revision."""
        for release in self._all():
            self._api.delete(release.path)

    def _all(self) -> list[Release]:
        selector = f"labelSelector=owner%3Dhelm%2Cname%3D{self.name}"
        found = self._api.get(f"/api/v1/namespaces/{self.namespace}/secrets?{selector}")
        return [_release(secret) for secret in found["items"] or ()]


def _secret(release: Release) -> Object:
    now = datetime.datetime.now(datetime.UTC).isoformat()
    document = {
        "name": release.name, "namespace": release.namespace, "version": release.revision,
        "info": {
            "status": release.status, "description": release.description, "first_deployed": now,
            "last_deployed": now, "deleted": "", "notes": "",
        },
        "chart": {"metadata": release.chart, "templates": [], "values": {}},
        "config": release.values,
        "manifest": "".join(f"---\n{json.dumps(obj)}\n" for obj in release.objects),
    }  # fmt: skip
    packed = base64.b64encode(gzip.compress(json.dumps(document).encode(), mtime=0))
    metadata = {
        "name": release.path.rpartition("/")[2],
        "namespace": release.namespace,
        "labels": {
            "owner": "helm", "name": release.name, "status": release.status, "version": str(release.revision),
        },
    }  # fmt: skip
    return {
        "apiVersion": "v1", "kind": "Secret", "type": "helm.sh/release.v1", "metadata": metadata,
        "data": {"release": base64.b64encode(packed).decode()},
    }  # fmt: skip


def _release(secret: Object) -> Release:
    packed = base64.b64decode(base64.b64decode(secret["data"]["release"]))
    document = json.loads(gzip.decompress(packed))
    texts = document["manifest"].split("---\n")
    return Release(
        name=document["name"],
        namespace=document["namespace"],
        revision=document["version"],
        status=document["info"]["status"],
        chart=document["chart"]["metadata"],
        values=document["config"],
        objects=[json.loads(text) for text in texts if text.strip()],
        description=document["info"]["description"],
    )
