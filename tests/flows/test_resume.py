"""What a resumed deployment repeats, with the real wrapper task, transactions and cache policy."""

import json
from collections import Counter
from collections.abc import Sequence

import pytest
from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.settings import PREFECT_LOCAL_STORAGE_PATH
from prefect.transactions import CommitMode, transaction

from blocks import ResultsKey
from flows.parallel import Parallel, for_each
from roachmesh import topology
from roachmesh.errors import AzureBusy, AzureRefused
from roachmesh.outcome import Outcome
from roachmesh.plan import make_plan
from tasks import engine, results
from tasks.deployment import Deployment
from tasks.engine import always, once
from tasks.results import EncryptedSerializer

pytestmark = pytest.mark.usefixtures("prefect")

PLAN = make_plan(topology.DEFAULT)
executed: Counter[str] = Counter()
failing: set[str] = set()


@once("step {name}")
def step(deployment: Deployment, name: str) -> str:
    executed[name] += 1
    if name in failing:
        raise AzureRefused("no")
    return name


@always("gate {name}")
def gate(deployment: Deployment, name: str) -> None:
    executed[name] += 1


@task(cache_policy=NO_CACHE, persist_result=False)
def wrapper(deployment: Deployment, region: str) -> list[str]:
    with transaction(commit_mode=CommitMode.EAGER):
        return region_flow(deployment, region)


@flow
def region_flow(deployment: Deployment, region: str) -> list[str]:
    work = Parallel()
    one = work.start(step, deployment, f"{region}1")
    two = work.start(step, deployment, f"{region}2", after=[one])
    three = work.start(step, deployment, f"{region}3", after=[two])
    work.join()
    return [one.result(), two.result(), three.result()]


@flow
def whole(deployment: Deployment, regions: Sequence[str] = ("a", "b", "c")) -> None:
    step(deployment, "first")
    for_each(regions, wrapper, deployment)
    gate(deployment, "gate")


@pytest.fixture(autouse=True)
def _fresh() -> None:
    executed.clear()
    failing.clear()


def test_only_the_failed_task_and_what_follows_it_run_again() -> None:
    deployment = Deployment(key="resumed", plan=PLAN)
    failing.add("b2")
    with pytest.raises(AzureRefused):
        whole(deployment)
    assert executed == Counter(
        {"first": 1, **{f"a{i}": 1 for i in (1, 2, 3)}, "b1": 1, "b2": 1, **{f"c{i}": 1 for i in (1, 2, 3)}}
    )
    executed.clear()
    failing.clear()

    whole(deployment)

    assert executed == Counter({"b2": 1, "b3": 1, "gate": 1})


def test_what_tells_what_to_do_is_raised_before_what_does_not() -> None:
    @task
    def fail(error: Exception) -> None:
        raise error

    @flow
    def side_by_side() -> None:
        work = Parallel()
        work.start(fail, KeyError("surprise"))
        work.start(fail, AzureRefused("no", advice="Ask."))
        work.join()

    with pytest.raises(AzureRefused, match=r"^no Ask\.\nAlso: 'surprise'$"):
        side_by_side()


def test_a_new_deployment_runs_everything() -> None:
    whole(Deployment(key="one", plan=PLAN), ["a"])
    whole(Deployment(key="two", plan=PLAN), ["a"])

    assert set(executed.values()) == {2}


def test_a_changed_plan_runs_everything_although_the_key_is_the_same() -> None:
    other = make_plan(topology.parse({"name": "other"}))

    whole(Deployment(key="plans", plan=PLAN), ["a"])
    whole(Deployment(key="plans", plan=other), ["a"])

    assert set(executed.values()) == {2}


def test_results_at_rest_say_nothing_without_their_key() -> None:
    whole(Deployment(key="at-rest", plan=PLAN), ["secretive"])

    stored = list(PREFECT_LOCAL_STORAGE_PATH.value().glob("*.at-rest-*"))
    key = ResultsKey.load("default").key.get_secret_value()
    assert len(stored) == 4
    for path in stored:
        assert b"secretive" not in path.read_bytes()
        assert key.encode() not in path.read_bytes()


def test_a_lost_key_leads_to_doing_it_again() -> None:
    deployment = Deployment(key="lost", plan=PLAN)
    whole(deployment, ["a"])
    ResultsKey.delete("default")
    results._fernet.cache_clear()
    executed.clear()

    whole(deployment, ["a"])

    assert executed == Counter({"first": 1, "a1": 1, "a2": 1, "a3": 1, "gate": 1})


def test_a_result_of_another_shape_leads_to_doing_it_again() -> None:
    deployment = Deployment(key="older", plan=PLAN)

    @once("shape {name}")
    def shaped(deployment: Deployment, name: str) -> Outcome:
        executed[name] += 1
        return Outcome(what=name, change="created")

    @flow
    def older() -> Outcome:
        return shaped(deployment, "shape")

    older()
    older()
    assert executed == Counter({"shape": 1})
    for path in PREFECT_LOCAL_STORAGE_PATH.value().glob("*.older-*"):
        record = json.loads(path.read_text())
        was = EncryptedSerializer().dumps(
            {"__class__": "roachmesh.outcome.Outcome", "data": {"was": "other"}}
        )
        path.write_text(json.dumps({**record, "result": was.decode()}))

    assert older() == Outcome(what="shape", change="created")
    assert executed == Counter({"shape": 2})


def test_the_cause_is_raised_and_not_what_could_not_run_for_it() -> None:
    failing.add("x1")

    with pytest.raises(AzureRefused, match="no"):
        region_flow(Deployment(key="cause", plan=PLAN), "x")
    assert executed == Counter({"x1": 1})


def test_a_transient_error_is_retried_and_a_permanent_one_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    attempts: Counter[str] = Counter()

    @once("flaky {name}")
    def flaky(deployment: Deployment, name: str) -> str:
        attempts[name] += 1
        if name == "permanent":
            raise AzureRefused("no")
        if attempts[name] < 3:
            raise AzureBusy("later")
        return name

    patient = flaky.with_options(retry_delay_seconds=[0] * len(engine.RETRY_DELAYS_S))
    deployment = Deployment(key="retries", plan=PLAN)

    @flow
    def both() -> None:
        assert patient(deployment, "transient") == "transient"
        with pytest.raises(AzureRefused):
            patient(deployment, "permanent")

    both()
    assert attempts == Counter({"transient": 3, "permanent": 1})
