"""Sweep a subscription: delete the deployments whose time is over."""

from prefect import flow
from prefect.artifacts import create_markdown_artifact

from blocks.azure_credentials import CredentialsName
from flows.parallel import Parallel
from roachmesh.fields import Name
from tasks.lifeline import Lifeline
from tasks.sweep import list_expired, report, sweep_one


@flow(name="sweep", flow_run_name="sweep {credentials}", persist_result=False)
def sweep(credentials: CredentialsName = "default", topologies: list[Name] | None = None) -> None:
    """List what carries our tags and has expired, then delete it; nothing else is touched.

    Args:
        credentials: Name of the block Azure Credentials whose subscription is swept; see Blocks.
        topologies: Names of those that may go if they have expired; all that have when left out.
    """
    with Lifeline(None, last_words=lambda: None):
        expired = [
            one for one in list_expired(credentials) if topologies is None or one.topology in topologies
        ]
        listed = report(expired) or "Nothing has expired."
        create_markdown_artifact(f"```\n{listed}\n```", key="expired", description="What expired, and goes")

        work = Parallel()
        going = [work.start(sweep_one, credentials, one) for one in expired]
        try:
            work.join()
        finally:
            done = [f"- {one.result()}" for one in going if one.state.is_completed()]
            if done:
                create_markdown_artifact("\n".join(done), key="swept", description="What was deleted")
