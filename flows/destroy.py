"""Destroy a topology: everything it made in Azure, then its secrets."""

from typing import Literal

from prefect import flow
from prefect.runtime import flow_run

from blocks.azure_credentials import CredentialsName
from flows.approval import approve_destruction
from flows.run_page import RunPage
from roachmesh.errors import NotConfirmed
from roachmesh.fields import Name
from roachmesh.plan import make_plan
from roachmesh.topology import DEFAULT, Topology
from tasks.belongings import show_belongings
from tasks.deployment import Deployment
from tasks.keys import delete_keys
from tasks.overlap import only_run
from tasks.resource_group import delete_resource_group
from tasks.results import delete_results

TASKS = 3


@flow(name="destroy", flow_run_name="destroy {topology.name}", persist_result=False)
def destroy(
    topology: Topology = DEFAULT,
    *,
    confirm: Name,
    credentials: CredentialsName = "default",
    approval: Literal["none", "required"] = "none",
) -> None:
    """Delete everything that a deployment made, the data included.

    Args:
        topology: The topology that was deployed, every field as it was then.
        confirm: The topology's name once more, since nothing brings the data back.
        credentials: Name of the block Azure Credentials to use; see Blocks.
        approval: "required" shows on the run's page what will go, and waits there for an answer.
    """
    if confirm != topology.name:
        raise NotConfirmed(
            f"`confirm` is {confirm!r}.", where="destroy", advice=f"Write {topology.name!r} to destroy it."
        )
    deployment = Deployment(key=str(flow_run.id), plan=make_plan(topology), credentials=credentials)
    if approval == "required":
        approve_destruction(deployment)

    with RunPage(deployment.plan, TASKS) as page, only_run(deployment, page.finish):
        show_belongings(deployment)
        delete_resource_group(deployment)
        delete_keys(deployment)
        delete_results(deployment.plan.topology)
