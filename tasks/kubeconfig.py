"""What opens the Kubernetes API of a topology's clusters, for people."""

import os
import tempfile
from pathlib import Path
from typing import Any

import yaml
from pydantic import SecretStr

from blocks import Kubeconfig
from roachmesh import kubeconfig
from roachmesh.errors import BlockMissing, InvalidTopology, NotDeployed
from roachmesh.outcome import Outcome
from roachmesh.plan import Plan
from tasks.deployment import Deployment, load_block
from tasks.engine import always
from tasks.kubernetes import find_servers, read_admin


@always("kubeconfig {deployment.plan.topology}")
def ensure_kubeconfig(deployment: Deployment) -> Outcome:
    """Keep what opens the clusters; k3s renews its certificates, so it is compared each time."""
    contexts = []
    for region in deployment.plan.clusters:
        servers = find_servers(deployment, region)
        contexts.append(
            kubeconfig.Context(
                f"{deployment.plan.topology}-{region.name}",
                servers[0].host.address,
                read_admin(deployment, servers),
            )
        )
    text = yaml.safe_dump(kubeconfig.document(contexts), sort_keys=False)
    what = "kubeconfig"
    try:
        former = load_block(Kubeconfig, deployment.plan.topology)
    except BlockMissing:
        former = None
    if former and former.text.get_secret_value() == text:
        return Outcome(what=what, change="unchanged")
    Kubeconfig(text=SecretStr(text)).save(deployment.plan.topology, overwrite=True)
    return Outcome(what=what, change="updated" if former else "created")


def read_kubeconfig(plan: Plan) -> str:
    """Give the kubeconfig of a topology that is deployed.

    Raises:
        NotDeployed: there is none.
    """
    if not plan.clusters:
        raise NotDeployed("it has no region on k3s.", where=plan.topology)
    try:
        return load_block(Kubeconfig, plan.topology).text.get_secret_value()
    except BlockMissing as exc:
        raise NotDeployed(
            f"Prefect has no block kubeconfig/{plan.topology} (yet).",
            where=plan.topology,
            advice="Deploy the topology, by this Prefect server.",
        ) from exc


def own_file() -> Path:
    """Name the kubeconfig that kubectl writes to: the first of $KUBECONFIG, or ~/.kube/config."""
    named = [one for one in os.environ.get("KUBECONFIG", "").split(os.pathsep) if one]
    return Path(named[0]) if named else Path.home() / ".kube" / "config"


def merge_into(path: Path, text: str) -> None:
    """Put our clusters into somebody's kubeconfig; what else is in it stays, the current context too.

    Raises:
        InvalidTopology: the file is no kubeconfig; it was not touched.
    """
    try:
        existing: Any = yaml.safe_load(path.read_text()) if path.exists() else {}
    except yaml.YAMLError as exc:
        existing = exc
    if not isinstance(existing or {}, dict):
        raise InvalidTopology(f"{path} is no kubeconfig; it was not touched.", advice="Use --output instead.")
    merged = kubeconfig.merge(existing or {}, yaml.safe_load(text))
    write(path, yaml.safe_dump(merged, sort_keys=False))


def write(path: Path, text: str) -> None:
    """Write a file that only its owner may read, at once or not at all; a link stays one."""
    target = path.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, beside = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")  # mode 0600
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        Path(beside).replace(target)
    finally:
        Path(beside).unlink(missing_ok=True)
