"""What Prefect must know before the first run: blocks, a work pool, the deployments of prefect.yaml."""

import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectAlreadyExists
from prefect.filesystems import LocalFileSystem

from blocks import Artifacts, AzureCredentials
from demo.prefect_server import PREFECT, WORK_POOL

REPOSITORY = Path(__file__).parent.parent


def save_blocks(cloud: dict[str, Any]) -> None:
    """Save how to reach the sandbox; `cloud` is what `python -m sandbox up --json` printed."""
    AzureCredentials(
        subscription_id=cloud["subscription_id"],
        method="service_principal",
        tenant_id=cloud["tenant_id"],
        client_id=cloud["client_id"],
        client_secret=cloud["client_secret"],
        authority=cloud["authority"],
        arm_endpoint=cloud["arm_endpoint"],
        ca_pem=cloud["ca_pem"],
        public_address_url=cloud["public_address_url"],
    ).save("default", overwrite=True)
    Artifacts(**cloud["artifacts"]).save("default", overwrite=True)


def share_results(folder: Path) -> None:
    """Have every worker keep what finished tasks gave in one folder."""
    block_id: Any = LocalFileSystem(basepath=str(folder)).save("results", overwrite=True)
    with get_client(sync_client=True) as client:
        client.update_server_default_result_storage(block_id)


def make_work_pool() -> None:
    """Make the pool that the deployments of prefect.yaml name, if it is not there."""
    with get_client(sync_client=True) as client, suppress(ObjectAlreadyExists):
        client.create_work_pool(WorkPoolCreate(name=WORK_POOL, type="process"))


def register_deployments() -> None:
    """Register every deployment of prefect.yaml."""
    done = subprocess.run(
        [PREFECT, "--no-prompt", "deploy", "--all"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"prefect deploy --all failed:\n{done.stdout}{done.stderr}")
