"""The pictures in docs/pictures/: what Prefect's UI shows of a demo that runs."""

import shutil
import time
from pathlib import Path
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateName,
)
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort

from demo.browser import browser
from demo.instance import Instance
from demo.prefect_server import is_healthy
from demo.waiting import wait_until
from flows.progress import look

DIRECTORY = Path("docs/pictures")
BROWSER = "chromium"
EMOJI = Path("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")  # the network test's matrix is coloured
WIDTH = 1360
HEIGHTS = {"plan": 1000, "network-test": 860, "timeline": 1240, "connection-card": 860}
RUN_HEIGHT = 900
DRAWING_S = 10.0  # the UI fills its pages, and the graph on them, a while after they are loaded
# A click that this UI takes for one.
OPEN_ARTIFACTS = """[...document.querySelectorAll('[role=tab]')].find(tab => tab.textContent === 'Artifacts')
.dispatchEvent(new MouseEvent('mousedown', {bubbles: true}))"""


def take(instance: Instance) -> int:
    """Take all pictures, and for that of a run under way deploy once more; returns the exit code."""
    program = shutil.which(BROWSER)
    if program is None or not EMOJI.exists():
        print(f"Install Debian's packages {BROWSER} and fonts-noto-color-emoji.")
        return 2
    if not is_healthy(instance):
        print("There is no demo running: start it with ./run demo.")
        return 2
    DIRECTORY.mkdir(exist_ok=True)
    with get_client(sync_client=True) as client, browser(program) as page:

        def picture(name: str, path: str, height: int, script: str = "") -> None:
            page.open(f"{instance.ui}/v2/{path}", width=WIDTH, height=height)
            time.sleep(DRAWING_S)
            if script:
                page.run(script)
                time.sleep(1)
            page.picture(DIRECTORY / f"{name}.png")

        deployment = client.read_deployment_by_name("deploy/deploy")
        first = _first_success(client, deployment.id)
        if first is None:
            print("The demo has not deployed anything yet: wait until it has.")
            return 2
        picture("form", f"deployments/deployment/{deployment.id}/run", RUN_HEIGHT)
        of_run = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[first.id]))
        for artifact in client.read_artifacts(artifact_filter=of_run):
            if artifact.key in HEIGHTS:
                picture(artifact.key, f"artifacts/artifact/{artifact.id}", HEIGHTS[artifact.key])
        run = client.create_flow_run_from_deployment(deployment.id, parameters=first.parameters)
        wait_until(
            lambda: bool(look(client, run.id, set()).ended),
            what="a run of deploy",
            timeout_s=60,
            log=instance.directory / "prefect-worker.log",
        )
        picture("run", f"runs/flow-run/{run.id}", RUN_HEIGHT, OPEN_ARTIFACTS)
    for path in sorted(DIRECTORY.glob("*.png")):
        print(f"{path}  {path.stat().st_size // 1024} KiB")
    return 0


def _first_success(client: SyncPrefectClient, deployment_id: UUID) -> FlowRun | None:
    """Give the run that made everything, and not one that found it there."""
    found = client.read_flow_runs(
        flow_run_filter=FlowRunFilter(
            state=FlowRunFilterState(name=FlowRunFilterStateName(any_=["Completed"]))
        ),
        deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[deployment_id])),
        sort=FlowRunSort.START_TIME_ASC,
        limit=1,
    )
    return found[0] if found else None
