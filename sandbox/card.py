"""What a client needs to know of a running sandbox: printed by `up`, kept in a file of mode 0600."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from sandbox.arm import Credentials
from sandbox.instance import Instance

STAND_INS = (
    ("Debian 13 in systemd-nspawn", "Azure's virtual machines"),
    ("the supported part of cloud-config", "cloud-init"),
    ("network namespaces and nftables", "Azure's network"),
    ("an ARM and token endpoint in Python", "Azure Resource Manager and Entra ID"),
    ("a `cockroach` of our own over PostgreSQL", "CockroachDB"),
    (
        "images of our own, most of them on the machine's /usr",
        "container images, all but busybox and the poolers'",
    ),
    ("a `k3s` of our own that runs real Kubernetes 1.20 and etcd", "k3s"),
    ("a Job of our own that installs the chart cilium only, and renders no Go templates", "Helm"),
    ("standard CNI plugins, nftables and the real kube-proxy", "Cilium"),
    ("servers of our own over mutual TLS", "Cilium's ClusterMesh"),
    ("a `coredns` of our own", "CoreDNS"),
    ("a provisioner of our own", "Rancher's local-path provisioner"),
)


@dataclass(frozen=True)
class Card:
    """The JSON object of `up --json`, field by field."""

    subscription_id: str
    tenant_id: str
    client_id: str
    client_secret: str = field(repr=False)
    arm_endpoint: str
    authority: str
    ca_pem: str
    public_address_url: str
    artifacts: dict[str, str]
    stand_ins: list[dict[str, str]]
    started_at: str

    @classmethod
    def new(cls, instance: Instance, *, client_secret: str, ca_pem: str, started_at: str) -> "Card":
        """Make the card of an instance; all but the secret and the certificates is always the same."""

        def identifier(what: str) -> str:
            return str(uuid5(NAMESPACE_URL, f"{instance.mark}/{what}"))

        endpoint, mirror = f"https://localhost:{instance.arm_port}", f"https://{instance.mirror_address}"
        return cls(
            subscription_id=identifier("subscription"),
            tenant_id=identifier("tenant"),
            client_id=identifier("client"),
            client_secret=client_secret,
            arm_endpoint=endpoint,
            authority=endpoint,
            ca_pem=ca_pem,
            public_address_url=f"{mirror}/ip",
            artifacts={"base_url": mirror, "ca_pem": ca_pem},
            stand_ins=[{"what": what, "stands_in_for": real} for what, real in STAND_INS],
            started_at=started_at,
        )

    @property
    def credentials(self) -> Credentials:
        """The service principal of the card."""
        return Credentials(self.tenant_id, self.subscription_id, self.client_id, self.client_secret)

    @property
    def document(self) -> dict[str, Any]:
        """The JSON object."""
        return asdict(self)

    def write(self, instance: Instance) -> None:
        """Keep it where only the owner can read it."""
        path = _path(instance)
        draft = path.with_suffix(".draft")
        draft.unlink(missing_ok=True)
        draft.touch(mode=0o600)
        draft.write_text(json.dumps(self.document))
        draft.rename(path)


def read(instance: Instance) -> Card | None:
    """The card of the last `up`, None if there is none; whether that sandbox lives is another question."""
    path = _path(instance)
    if not path.exists():
        return None
    try:
        return Card(**json.loads(path.read_text()))
    except (TypeError, ValueError):  # another version wrote it, or a full disk cut it: not ours to use
        return None


def _path(instance: Instance) -> Path:
    return instance.directory / "card.json"
