"""Cilium in a cluster: installed by k3s's Helm controller, running on every node."""

from blocks.logger import logger
from roachmesh.errors import KubernetesBusy, KubernetesRefused
from roachmesh.outcome import Outcome
from roachmesh.plan import Plan, RegionPlan
from roachmesh.pods import hindrance, is_ready, last_warning
from roachmesh.render import cilium
from tasks.deployment import Deployment
from tasks.engine import always, once
from tasks.kubernetes import Body, Kubernetes, kubernetes
from tasks.mesh import AGENTS
from tasks.wait import wait_until

CHART = "helm.cattle.io/v1/HelmChart"
JOB, DAEMON_SET, EVENT = "batch/v1/Job", "apps/v1/DaemonSet", "v1/Event"
DEPLOYMENT, CONFIG_MAP, SECRET = "apps/v1/Deployment", "v1/ConfigMap", "v1/Secret"
# What the chart makes of the list of other clusters. Source: templates/clustermesh-config and
# templates/clustermesh-apiserver of the chart.
MESH_SERVER = "clustermesh-apiserver"
MESH_SECRETS = ("cilium-clustermesh", "cilium-kvstoremesh")
KNOWN_TIMEOUT_S = 120.0
NOTICED_TIMEOUT_S = 60.0
ROLLED_OUT_TIMEOUT_S = 600.0
LINES_QUOTED = 3


@once("Cilium {region.name}")
def ensure_cilium(deployment: Deployment, region: RegionPlan) -> Outcome:
    """Ask the cluster's Helm controller for Cilium; `wait_for_cilium` waits until it runs.

    The controller looks at the HelmChart alone, so that what is gone of Cilium is installed again by us.

    Raises:
        KubernetesRefused: the API refuses the objects.
        NotReadyYet: the controller has not noticed a change after 60 s.
    """
    api = kubernetes(deployment, region)
    source = deployment.artifact_source()
    objects = cilium.objects(
        deployment.plan,
        region,
        deployment.kubernetes_secrets().cilium_authority(),
        source.cilium_charts,
        source.ca_pem,
    )
    # k3s makes the kind HelmChart known a moment after its API answers.
    wait_until(
        lambda: api.offers(CHART),
        what=f"the Helm controller of {region.name}",
        timeout_s=KNOWN_TIMEOUT_S,
    )
    former = _job(api)
    changed = bool(api.apply(objects))
    if not changed and former and (gone := lost(api, deployment.plan, region)):
        logger().info("installing Cilium again, for %s", "; ".join(gone))
        api.delete(JOB, former["metadata"]["name"], cilium.NAMESPACE)
        changed = True
    if changed and former:
        wait_until(
            lambda: _is_another(_job(api), former),
            what=f"a new installation of Cilium in {region.name}",
            timeout_s=NOTICED_TIMEOUT_S,
            advice="See `kubectl -n kube-system describe helmchart cilium`.",
        )
    change = "unchanged" if not changed else "updated" if former else "created"
    return Outcome(what=f"Cilium {deployment.plan.cilium.version} in {region.name}", change=change)


def lost(api: Kubernetes, plan: Plan, region: RegionPlan) -> list[str]:
    """Name what the installed chart had made for its cluster and for the mesh, and is gone."""
    peers = [peer.name for peer in plan.peers_of(region)]
    parts = [(DAEMON_SET, cilium.CHART), (CONFIG_MAP, "cilium-config")]
    if peers:
        parts.append((DEPLOYMENT, MESH_SERVER))
    found = [
        f"{kind.rpartition('/')[2]} {name}"
        for kind, name in parts
        if api.read(kind, name, cilium.NAMESPACE) is None
    ]
    for name in MESH_SECRETS if peers else ():
        entries = (api.read(SECRET, name, cilium.NAMESPACE) or {}).get("data") or {}
        found += [f"{peer} in Secret {name}" for peer in peers if peer not in entries]
    return found


@always("Cilium runs in {region.name}")
def wait_for_cilium(deployment: Deployment, region: RegionPlan) -> None:
    """Wait until Cilium is installed as the plan says, and runs on every node.

    Raises:
        KubernetesRefused: the Helm controller refuses the chart, and with what words.
        NotReadyYet: it does not run everywhere after 600 s; what the installation said last is quoted.
    """
    api = kubernetes(deployment, region)

    def rolled_out() -> bool:
        _require_installed(api)
        running = _running(api.read(DAEMON_SET, cilium.CHART, cilium.NAMESPACE))
        if running < len(region.nodes):
            why = _why_not(api)
            raise KubernetesBusy(f"it runs on {running} of {len(region.nodes)} nodes{why}", where=region.name)
        return True

    wait_until(
        rolled_out,
        what=f"Cilium in {region.name}",
        timeout_s=ROLLED_OUT_TIMEOUT_S,
        advice="See `kubectl -n kube-system get pods`, by way of `roachmesh kubeconfig`.",
    )


def _require_installed(api: Kubernetes) -> None:
    """Say what keeps the installation from its end.

    Raises:
        KubernetesRefused: the Helm controller refuses.
        KubernetesBusy: it is under way, or fails and is tried again, as the controller does.
    """
    chart = api.read(CHART, cilium.CHART, cilium.NAMESPACE)
    conditions = (chart or {}).get("status", {}).get("conditions") or []
    failed = next((one for one in conditions if one["type"] == "Failed" and one["status"] == "True"), None)
    if failed:
        said = failed.get("message") or last_warning(api.list(EVENT, cilium.NAMESPACE), cilium.CHART)
        raise KubernetesRefused(
            f"its Helm controller refuses Cilium: {failed.get('reason', '')}: {said}",
            where=api.region,
            advice="See `kubectl -n kube-system describe helmchart cilium`.",
        )
    job = _job(api)
    if job is None:
        raise KubernetesBusy("the Helm controller has not begun", where=api.region)
    if not job.get("status", {}).get("succeeded"):
        raise KubernetesBusy(f"the installation has not ended: {_last_words(api, job)}", where=api.region)


def _job(api: Kubernetes) -> Body | None:
    """Read the Job that installs, or has installed, what the HelmChart says."""
    return api.read(JOB, f"helm-install-{cilium.CHART}", cilium.NAMESPACE)


def _is_another(job: Body | None, former: Body) -> bool:
    return job is not None and job["metadata"]["uid"] != former["metadata"]["uid"]


def _why_not(api: Kubernetes) -> str:
    """Say of the first agent that is not ready why it is not."""
    agents = api.list("v1/Pod", cilium.NAMESPACE, labels=AGENTS)
    waiting = [pod for pod in agents if not is_ready(pod)]
    return f"; {waiting[0]['metadata']['name']}: {hindrance(waiting[0])}" if waiting else ""


def _last_words(api: Kubernetes, job: Body) -> str:
    """Quote what the newest pod of a Job says."""
    pods = api.list("v1/Pod", cilium.NAMESPACE, labels=f"job-name={job['metadata']['name']}")
    if not pods:
        return "it has no pod yet"
    newest = max(pods, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))
    try:
        lines = api.logs(cilium.NAMESPACE, newest["metadata"]["name"]).strip().splitlines()
    except (KubernetesRefused, KubernetesBusy):  # it has not started
        lines = []
    return " | ".join(lines[-LINES_QUOTED:]) or hindrance(newest)


def _running(agents: Body | None) -> int:
    """Count the nodes on which Cilium is what the chart says now, and ready.

    Source: the rules of `kubectl rollout status`.
    """
    status = (agents or {}).get("status", {})
    if agents is None or status.get("observedGeneration", 0) < agents["metadata"]["generation"]:
        return 0
    return min(int(status.get("updatedNumberScheduled", 0)), int(status.get("numberAvailable", 0)))
