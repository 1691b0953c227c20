"""Whether applications are served: poolers used from every region, as an application uses them."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from ipaddress import IPv4Network, ip_address
from typing import Any

from prefect.artifacts import create_markdown_artifact

from roachmesh import names
from roachmesh.errors import DatabaseBusy, DatabaseFailed, NotReadyYet
from roachmesh.outcome import Outcome
from roachmesh.plan import POOLER_PODS
from roachmesh.pooler_test import CLIENTS, Storm, Use, as_markdown, faults
from tasks.deployment import Deployment
from tasks.engine import always, once
from tasks.hosts import session
from tasks.machines import Machine, in_region
from tasks.sql import TABLE, connect
from tasks.wait import wait_until

DRIVER = "python3-psycopg"
PATIENCE_S = 30.0
PAIR_TIMEOUT_S = 60
FAR_INSTANCES = 2  # of a region's poolers are logged in to from another region; all of them from their own
STORM_TIMEOUT_S = 90
COUNT_EVERY_S = 0.2


@once("SQL client {machine.host.name}")
def ensure_sql_client(deployment: Deployment, machine: Machine) -> Outcome:
    """Have on a machine what uses poolers from there: psycopg."""
    host = session(deployment, machine.host)
    return host.outcome("SQL client", new=host.ensure_packages(DRIVER), changed=False)


@always("write through the pooler of {machine.node.region}")
def write_through_pooler(deployment: Deployment, machine: Machine, machines: Sequence[Machine]) -> None:
    """Write through a region's pooler from there.

    Raises:
        DatabaseFailed: it does not serve within 30 s.
    """
    region = machine.node.region
    (use,) = _use(deployment, machine, {region: in_region(machines, region)})
    if use.problem:
        raise DatabaseFailed(f"the pooler does not serve: {use.problem}", where=region)


@always("use all poolers from {machine.node.region}")
def use_poolers(deployment: Deployment, machine: Machine, machines: Sequence[Machine]) -> list[Use]:
    """Use the poolers of all regions from a machine of one; what fails is tried again for 30 s."""
    by_region = {region.name: in_region(machines, region.name) for region in deployment.plan.regions}
    return _use(deployment, machine, by_region)


def _use(deployment: Deployment, machine: Machine, by_region: dict[str, list[Machine]]) -> list[Use]:
    plan, source = deployment.plan, machine.node.region
    ports = {region.name: plan.pooler_port(region) for region in plan.regions}
    request = _login(deployment) | {
        "poolers": [
            {"hosts": _instances(there, source), "port": ports[region]} for region, there in by_region.items()
        ],
        "rows": [{"run": deployment.key, "region": source, "through": region} for region in by_region],
    }
    uses: list[Use] = []

    def all_serve() -> bool:
        host = session(deployment, machine.host)
        answers = host.program("use_poolers", request, timeout_s=PAIR_TIMEOUT_S * len(by_region))
        uses[:] = [
            Use(source=source, target=region, **answer)
            for region, answer in zip(by_region, answers, strict=True)
        ]
        for use in uses:
            if use.problem:
                raise DatabaseBusy(use.problem, where=use.target)
        return True

    with suppress(NotReadyYet):  # the judge says so
        wait_until(all_serve, what=f"poolers to serve {source}", timeout_s=PATIENCE_S)
    return uses


def _instances(machines: Sequence[Machine], source: str) -> list[str]:
    addresses = [str(one.node.address) for one in machines]
    return addresses if machines[0].node.region == source else addresses[:FAR_INSTANCES]


def _login(deployment: Deployment) -> dict[str, Any]:
    return {
        "database": deployment.plan.database.name,
        "table": TABLE,
        "user": names.VERIFY_USER,
        "password": deployment.password_of(names.VERIFY_USER),
        "ca": deployment.certificates().ca_certificate,
    }


@always("every pooler serves every region")
def judge_poolers(deployment: Deployment, used: Sequence[Sequence[Use]]) -> None:
    """Show how long it takes from where to where, and let nobody pass unless all are served.

    Raises:
        DatabaseFailed: naming exactly the pairs that are not.
    """
    uses = [use for row in used for use in row]
    create_markdown_artifact(
        as_markdown(uses), key="pooler-test", description=f"Poolers of {deployment.plan.topology}, in use"
    )
    if broken := faults(uses):
        lines = "\n".join(f"- {line}" for line in broken)
        raise DatabaseFailed(f"{len(broken)} of {len(uses)} pairs fail.\n{lines}", where="poolers")


@always("500 clients in {machine.node.region}")
def judge_storm(deployment: Deployment, machine: Machine) -> None:
    """Have 500 clients at once at a region's pooler, and let nobody pass unless the database hardly notices.

    Raises:
        DatabaseFailed: clients were left without an answer, or the database saw more than the pooler's limit.
    """
    plan, region = deployment.plan, deployment.plan.region_of(machine.node)
    request = _login(deployment) | {
        "host": str(machine.node.address),
        "port": plan.pooler_port(region),
        "clients": CLIENTS,
        "timeout_s": STORM_TIMEOUT_S,
    }
    sources = region.cluster.pods if region.cluster else IPv4Network(machine.node.address)
    over = threading.Event()
    with ThreadPoolExecutor(max_workers=1) as pool:
        counting = pool.submit(_count_sessions, deployment, machine, sources, over)
        try:
            host = session(deployment, machine.host)
            answer = host.program("storm_pooler", request, timeout_s=2 * STORM_TIMEOUT_S)
        finally:
            over.set()
    storm = Storm(
        region=region.name,
        clients=CLIENTS,
        sessions=counting.result(),
        limit=plan.pooler_connections(region) * (POOLER_PODS if region.cluster else 1),
        **answer,
    )
    said = (
        f"{storm.answered} of {storm.clients} clients at once were answered in {storm.seconds:.1f} s; the "
        f"database had {storm.sessions} sessions of theirs at most, and may have {storm.limit}."
    )
    problems = "".join(f"\n- {problem}" for problem in storm.problems)
    create_markdown_artifact(
        f"{said}\n{problems}", key="pooler-storm", description=f"Many clients at once in {region.name}"
    )
    if storm.answered < storm.clients or not 0 < storm.sessions <= storm.limit:
        raise DatabaseFailed(f"{said}{problems}", where=f"pooler of {region.name}")


def _count_sessions(
    deployment: Deployment, machine: Machine, sources: IPv4Network, over: threading.Event
) -> int:
    """Give the most sessions of `verify`'s user that the database has from somewhere, until it is over."""
    most = 0
    question = "SELECT client_address FROM [SHOW CLUSTER SESSIONS] WHERE user_name = %s"
    with connect(deployment, machine) as root:
        root.autocommit = True
        while not over.wait(COUNT_EVERY_S):
            addresses = [text.rpartition(":")[0] for (text,) in root.execute(question, (names.VERIFY_USER,))]
            most = max(most, sum(ip_address(address.strip("[]")) in sources for address in addresses))
    return most
