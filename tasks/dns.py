"""Names of pods: answered by every cluster, asked by other clusters and by plain machines."""

from roachmesh.errors import KubernetesBusy
from roachmesh.outcome import Outcome
from roachmesh.plan import RegionPlan
from roachmesh.render import dns
from tasks.deployment import Deployment
from tasks.engine import always, once
from tasks.hosts import session
from tasks.kubernetes import kubernetes
from tasks.machines import Machine
from tasks.rollouts import DEPLOYMENT, wait_until_rolled_out
from tasks.wait import wait_until

KNOWN_TIMEOUT_S = 120.0
ROLLED_OUT_TIMEOUT_S = 300.0


@once("DNS {region.name}")
def ensure_cluster_dns(deployment: Deployment, region: RegionPlan) -> Outcome:
    """Have a cluster's DNS ask other clusters, and answer other regions.

    Raises:
        NotReadyYet: k3s has not brought CoreDNS along after 120 s.
    """
    api = kubernetes(deployment, region)

    def apply() -> list[str] | None:
        # Without k3s's own Deployment to apply to, ours would be one without containers.
        if api.read(DEPLOYMENT, dns.COREDNS, dns.NAMESPACE) is None:
            raise KubernetesBusy("there is no Deployment coredns yet", where=region.name)
        *read_by_pods, coredns = dns.objects(deployment.plan, region)
        changed = api.apply(read_by_pods)
        custom = api.read("v1/ConfigMap", dns.CUSTOM, dns.NAMESPACE)
        if custom is None:
            raise KubernetesBusy(f"the ConfigMap {dns.CUSTOM} is gone again", where=region.name)
        version = custom["metadata"]["resourceVersion"]
        return [*changed, *api.apply([dns.restarted_for(coredns, version)])]

    changed = wait_until(apply, what=f"CoreDNS in {region.name}", timeout_s=KNOWN_TIMEOUT_S)
    new = f"Service {dns.SERVICE}" in changed
    return Outcome.of(f"DNS of {region.name}", new=new, changed=bool(changed))


@always("DNS answers in {region.name}")
def wait_for_cluster_dns(deployment: Deployment, region: RegionPlan) -> None:
    """Wait until all of a cluster's CoreDNS pods are ready.

    Raises:
        NotReadyYet: they are not after 300 s.
    """
    cluster = kubernetes(deployment, region)
    wait_until_rolled_out(cluster, dns.COREDNS, dns.NAMESPACE, ROLLED_OUT_TIMEOUT_S)


@once("DNS {machine.host.name}")
def ensure_names_of_pods(deployment: Deployment, machine: Machine) -> Outcome:
    """Have a plain machine ask the clusters for the names of their pods, and nobody else for those.

    dnsmasq asks, for systemd-resolved cannot send a domain to a server of its own.
    """
    host = session(deployment, machine.host)
    directories = [(path, "0755", "root") for path in (dns.DNSMASQ_DIRECTORY, dns.RESOLVED_DIRECTORY)]
    # Before the package, which starts the service: without it, its port is resolved's.
    placed = host.place_files(
        [
            (dns.DNSMASQ, dns.dnsmasq(deployment.plan), "0644", "root"),
            (dns.RESOLVED, dns.RESOLVED_DROP_IN, "0644", "root"),
        ],
        directories,
    )
    installed = host.ensure_packages("dnsmasq", "systemd-resolved")
    did = [
        host.ensure_service("dnsmasq.service", files=[dns.DNSMASQ]),
        host.ensure_service("systemd-resolved.service", files=[dns.RESOLVED]),
    ]
    changed = bool(placed) or any(one["change"] != "unchanged" for one in did)
    return host.outcome("dnsmasq", new=installed or dns.DNSMASQ in placed, changed=changed)
