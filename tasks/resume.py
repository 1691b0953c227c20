"""Which run is continued, and under which key its results are found."""

from operator import attrgetter
from uuid import UUID, uuid4

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound
from prefect.runtime import flow_run

from roachmesh.errors import CannotContinue
from tasks.deployment import Deployment
from tasks.engine import always
from tasks.resource_group import ResourceGroup
from tasks.results import delete_results
from tasks.runs import latest, page, was_refused

CHANGING = ("deploy", "destroy")
# Labels of a run: where its results are, and for what state of the world they hold.
RESULTS, HOLDS_FOR = "roachmesh.results", "roachmesh.results-hold-for"


@always("what is continued")
def read_results_key(
    deployment: Deployment, existing: ResourceGroup | None, continue_run: UUID | None
) -> str:
    """Name where this run keeps and finds results: those of its earlier attempts, or of the continued run.

    They hold as long as the resource group exists, opened by the same key, and no other run has worked on it:
    those of other runs are deleted.

    Raises:
        CannotContinue: there is no such run, it was another topology's, or it is not unfinished.
    """
    topology = deployment.plan.topology
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(UUID(flow_run.id))
        continued = _read_unfinished(client, topology, continue_run) if continue_run else None
        others = [
            one
            for one in latest(client, topology, CHANGING)
            if one.id != run.id and one.end_time and not was_refused(one)
        ]
        last = max(others, key=attrgetter("end_time"), default=None)
        holds_for = f"{last.id} {last.run_count}" if last else ""
        holds_for += f" {deployment.ssh_key_fingerprint}"
        key = None
        if existing and run.labels.get(HOLDS_FOR) == holds_for:
            key = run.labels[RESULTS]
        elif existing and continued and last and last.id == continued.id:
            key = continued.labels.get(RESULTS)
        key = str(key or uuid4())
        client.update_flow_run_labels(run.id, {RESULTS: key, HOLDS_FOR: holds_for})
    delete_results(topology, keep=key)
    return key


def _read_unfinished(client: SyncPrefectClient, topology: str, continued: UUID) -> FlowRun:
    where, advice = "continue_run", "Leave the field empty, or name an unfinished run of this topology."
    try:
        run = client.read_flow_run(continued)
    except ObjectNotFound as exc:
        raise CannotContinue(f"there is no run {continued}.", where=where, advice=advice) from exc
    if run.name != f"deploy {topology}":
        raise CannotContinue(f"{run.name} is no deployment of {topology}.", where=where, advice=advice)
    if run.state and run.state.is_completed():
        raise CannotContinue(f"{run.name} is complete: {page(run.id)}.", where=where, advice=advice)
    return run
