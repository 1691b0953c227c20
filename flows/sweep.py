"""Sweep a subscription: delete the deployments whose time is over."""

from prefect import flow
from prefect.artifacts import create_markdown_artifact

from blocks.azure_credentials import CredentialsName
from flows.parallel import Parallel
from tasks.sweep import list_expired, report, sweep_one


@flow(name="sweep", flow_run_name="sweep {credentials}", persist_result=False)
def sweep(credentials: CredentialsName = "default") -> None:
    """List what carries our tags and has expired, then delete it; nothing else is touched.

    Args:
        credentials: Name of the block Azure Credentials whose subscription is swept; see Blocks.
    """
    expired = list_expired(credentials)
    listed = report(expired) or "Nothing has expired."
    create_markdown_artifact(f"```\n{listed}\n```", key="expired", description="What expired, and goes")

    work = Parallel()
    for one in expired:
        work.start(sweep_one, credentials, one)
    done = "\n".join(f"- {said}" for said in work.join())
    if expired:
        create_markdown_artifact(done, key="swept", description="What was deleted")
