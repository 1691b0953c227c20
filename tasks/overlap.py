"""One run at a time: whatever changes a topology holds its slot in Prefect."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from prefect.client.orchestration import get_client
from prefect.concurrency.sync import concurrency

from roachmesh.errors import AlreadyRunning
from tasks.deployment import Deployment, load_credentials

PATIENCE_S = 5.0
LEASE_S = 60.0  # a dead holder's slot is free after this


@contextmanager
def only_run(deployment: Deployment) -> Iterator[None]:
    """Hold the topology's slot, so that no deploy meets a destroy, from the UI or a terminal.

    Raises:
        AlreadyRunning: another run holds it.
    """
    subscription = load_credentials(deployment.credentials).subscription_id
    slot = f"roachmesh:{subscription}:{deployment.plan.topology}"  # Prefect allows no slash in it
    with get_client(sync_client=True) as client:
        client.upsert_global_concurrency_limit_by_name(slot, 1)
    with ExitStack() as held:
        try:
            held.enter_context(
                concurrency(slot, timeout_seconds=PATIENCE_S, lease_duration=LEASE_S, strict=True)
            )
        except TimeoutError as exc:
            raise AlreadyRunning(
                "another run changes this topology.",
                where=deployment.plan.topology,
                advice="Wait for it or cancel it; the slot of a run that died is free after a minute.",
            ) from exc
        yield
