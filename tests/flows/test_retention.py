"""A month of nights: what they leave behind stays bounded, and what could be resumed stays."""

import asyncio
import gc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from os import utime
from pathlib import Path
from uuid import UUID

import pytest
import sqlalchemy as sa
from prefect import flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import ArtifactCreate, LogCreate
from prefect.server.database import provide_database_interface
from prefect.server.services import db_vacuum
from prefect.settings import PREFECT_LOCAL_STORAGE_PATH, temporary_settings
from prefect.settings import PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED as ENABLED
from prefect.settings import PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD as RETENTION_PERIOD
from prefect.states import Completed, Suspended

from demo.instance import Instance
from roachmesh import topology
from roachmesh.errors import DatabaseFailed
from roachmesh.plan import make_plan
from sandbox.instance import Instance as Sandbox
from tasks.deployment import Deployment
from tasks.engine import once
from tasks.results import KEPT_FOR, OURS, delete_results
from tasks.resume import read_results_key

PLAN = make_plan(topology.parse({"name": "month"}))
NIGHTS, RETENTION = 30, 14
EVENTS_KEPT_WITHIN_S = 7.0  # the server writes them every 5 s
EVERY_TABLE = ("FlowRun", "TaskRun", "FlowRunState", "TaskRunState", "Log", "Artifact", "Event")


# Prefect leaves connections open when results are looked for; they end here, and not in another test.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def _end_connections() -> Iterator[None]:
    yield
    gc.collect()


@once("step {number}")
def step(deployment: Deployment, number: int) -> int:
    return number


@flow(name="deploy", flow_run_name="deploy month")
def night(fails: bool = False) -> str:
    deployment = Deployment(key="none", plan=PLAN)
    deployment = deployment.keeping(read_results_key(deployment, None, None))
    step(deployment, 1)
    step(deployment, 2)
    if fails:
        raise DatabaseFailed(deployment.key)
    return deployment.key


def record_night(client: SyncPrefectClient) -> None:
    """Have Prefect record what a night is made of: a run, a task, in that a subflow, lines and artifacts."""
    run = client.create_flow_run(night)
    task = client.create_task_run(step, run.id, dynamic_key="0", state=Completed())
    subflow = client.create_flow_run(night, parent_task_run_id=task.id)
    for one in (subflow, run):
        client.set_flow_run_state(one.id, Completed(), force=True)
        line = LogCreate(name="n", level=20, message="m", timestamp=datetime.now(UTC), flow_run_id=one.id)
        client._client.post("/logs/", json=[line.model_dump(mode="json")]).raise_for_status()
        client.create_artifact(ArtifactCreate(key="report", type="markdown", data="t", flow_run_id=one.id))


def results() -> list[Path]:
    """The results of this topology."""
    return [one for one in PREFECT_LOCAL_STORAGE_PATH.value().glob("month.*") if OURS.fullmatch(one.name)]


async def age(days: int) -> None:
    """Date what is new as if it were of a later day."""
    db = provide_database_interface()
    today = datetime.now(UTC)
    async with db.session_context(begin_transaction=True) as session:
        for column in (db.FlowRun.end_time, db.Event.occurred, db.EventResource.occurred):
            new = sa.update(column.class_).where(column < today + timedelta(hours=12))
            await session.execute(new.values({column.key: today + timedelta(days=days)}))


async def clean_up() -> None:
    """Do what the server does by itself every hour, and every day."""
    for vacuum in (
        db_vacuum.vacuum_old_flow_runs,
        db_vacuum.vacuum_old_events,
        db_vacuum.vacuum_orphaned_logs,
        db_vacuum.vacuum_orphaned_artifacts,
    ):
        await vacuum(db=provide_database_interface())


async def count() -> dict[str, int]:
    """Count the rows of every table that nights write to."""
    db = provide_database_interface()
    async with db.session_context() as session:
        return {
            name: int(await session.scalar(sa.select(sa.func.count()).select_from(getattr(db, name))) or 0)
            for name in EVERY_TABLE
        }


async def end_day(day: int, monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Let a day end on which nights were spent; gives what is left."""
    monkeypatch.setattr(db_vacuum, "now", lambda _: datetime.now(UTC) + timedelta(days=day))
    await clean_up()
    return await count()


async def spend_a_month(monkeypatch: pytest.MonkeyPatch) -> tuple[list[dict[str, int]], dict[str, int]]:
    """Give what is left after each night of a month, and what the month adds to what was there for good."""
    counts = []
    before = await end_day(NIGHTS + RETENTION + 1, monkeypatch)  # other tests leave runs that never end
    with get_client(sync_client=True) as client:
        client.create_flow_run(night, state=Suspended())
        for day in range(NIGHTS):
            record_night(client)
            await age(day)
            counts.append(await end_day(day, monkeypatch))
    await asyncio.sleep(EVENTS_KEPT_WITHIN_S)
    await age(NIGHTS)
    over = await end_day(NIGHTS + RETENTION + 1, monkeypatch)
    await (await provide_database_interface().engine()).dispose()
    return counts, {name: over[name] - before[name] for name in over if name != "Event"} | {
        "Event": over["Event"]
    }


@pytest.fixture
def cleaning(prefect: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The demo's settings of what the server cleans up."""
    monkeypatch.setattr("demo.instance.STATE_DIR", tmp_path)
    instance = Instance(Sandbox("test"))
    instance.directory.mkdir()
    environment = instance.server_environment()
    with temporary_settings({one: environment[one.name] for one in (ENABLED, RETENTION_PERIOD)}):
        yield


def test_what_a_month_of_nights_leaves_in_prefect_is_bounded_and_goes_but_for_what_still_waits(
    cleaning: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts, over = asyncio.run(spend_a_month(monkeypatch))

    bounded = [{name: one[name] for name in EVERY_TABLE if name != "Event"} for one in counts]
    assert bounded[RETENTION - 1]["FlowRun"] > bounded[0]["FlowRun"]
    assert bounded[RETENTION + 1] == bounded[-1]
    assert over == {**dict.fromkeys(EVERY_TABLE, 0), "FlowRun": 1, "FlowRunState": 1}


def test_only_the_last_deployments_results_stay_until_the_topology_goes(prefect: None) -> None:
    night()
    night()
    assert len(results()) == 2

    with pytest.raises(DatabaseFailed) as failed:
        night(fails=True)
    assert [str(failed.value) in path.name for path in results()] == [True, True]

    delete_results("another")
    assert len(results()) == 2
    delete_results("month")
    assert results() == []


def test_old_results_of_any_topology_and_region_go_and_what_is_not_ours_stays(prefect: None) -> None:
    night()
    real = results()[0]
    folder = real.parent
    of_topology, of_region, young, others = (
        folder / name for name in (f"gone.{UUID(int=1)}-it", "0" * 32, "1" * 32, "2" * 32)
    )
    for path in (of_topology, of_region, young):
        path.write_bytes(real.read_bytes())
    others.write_text("{}")
    for path in (of_topology, of_region, others):
        utime(path, (0, datetime.now(UTC).timestamp() - KEPT_FOR.total_seconds() - 60))

    delete_results("another")

    assert [path.exists() for path in (of_topology, of_region, young, others)] == [False, False, True, True]
    young.unlink()
    others.unlink()
    delete_results("month")
