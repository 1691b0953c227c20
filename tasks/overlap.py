"""One run at a time: whatever changes a topology holds its slot in Prefect."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from prefect.client.orchestration import get_client
from prefect.concurrency.sync import concurrency

from roachmesh.errors import AlreadyRunning, NotReadyYet
from tasks.deployment import Deployment, load_credentials
from tasks.wait import wait_until

LEASE_S = 60.0  # the shortest that Prefect allows; a holder that was killed keeps the slot for as long
ASK_S = 5.0
# Longer than a dead holder's lease and the 15 s until Prefect's server looks for such.
PATIENCE_S = 90.0


@contextmanager
def only_run(deployment: Deployment) -> Iterator[None]:
    """Hold the topology's slot, so that no deploy meets a destroy, from the UI or a terminal.

    Raises:
        AlreadyRunning: another run holds it, and lives.
    """
    subscription = load_credentials(deployment.credentials).subscription_id
    slot = f"roachmesh:{subscription}:{deployment.plan.topology}"  # Prefect allows no slash in it
    with get_client(sync_client=True) as client:
        client.upsert_global_concurrency_limit_by_name(slot, 1)
    with ExitStack() as held:

        def is_ours() -> bool | None:
            try:
                held.enter_context(
                    concurrency(slot, timeout_seconds=ASK_S, lease_duration=LEASE_S, strict=True)
                )
            except TimeoutError:
                return None
            return True

        try:
            wait_until(is_ours, what=f"other runs of {deployment.plan.topology} to end", timeout_s=PATIENCE_S)
        except NotReadyYet as exc:
            raise AlreadyRunning(
                "another run changes this topology.",
                where=deployment.plan.topology,
                advice="Wait for it, or cancel it.",
            ) from exc
        yield
