"""What stands in a run's log: which region or node each line is about, and what Azure's SDK waits for."""

import io
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
import requests
from azure.core.credentials import AccessToken
from azure.core.pipeline.transport import RequestsTransport
from azure.mgmt.network import NetworkManagementClient
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from prefect.flow_engine import run_flow

from blocks.logger import logger
from blocks.retries import SpokenRetries
from roachmesh.plan import Node, RegionPlan, make_plan
from roachmesh.topology import parse
from tasks.azure_resource import to_log
from tasks.engine import always
from tasks.runs import family
from tasks.threads import ask_all

pytestmark = pytest.mark.usefixtures("prefect")

SECRET = "hush"
OPERATION = f"https://azure.example/operations/1?t={SECRET}&api-version=2024-01-01"
DONE: dict[str, Any] = {"name": "vnet", "properties": {"provisioningState": "Succeeded"}}
NODE = make_plan(parse({"regions": [{"platform": "vm", "name": "eastus"}]})).nodes[0]
ABOUT = "region=eastus node=eastus/1 VM crdb-eastus-1: "
Answer = tuple[int, dict[str, str], dict[str, Any]] | Exception


class Azure(requests.adapters.BaseAdapter):
    """Gives the answers it was given, one for each request."""

    def __init__(self, *answers: Answer) -> None:
        super().__init__()
        self.answers = list(answers)

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        assert SECRET in request.headers["Authorization"]
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        response = requests.Response()
        response.status_code, headers, body = answer
        response.headers.update({"Content-Type": "application/json", **headers})
        response.reason = {429: "Too Many Requests"}.get(response.status_code, "")
        response.raw, response.request = io.BytesIO(json.dumps(body).encode()), request
        response.url = str(request.url)
        return response

    def close(self) -> None:
        """Nothing is open."""


class Credential:
    """Signs with a secret."""

    def get_token(self, *_: str, **__: Any) -> AccessToken:
        return AccessToken(SECRET, 2_000_000_000)


def network(azure: Azure) -> NetworkManagementClient:
    session = requests.Session()
    session.mount("https://", azure)
    return NetworkManagementClient(
        Credential(),
        "subscription",
        base_url="https://azure.example",
        transport=RequestsTransport(session=session, session_owner=False),
        retry_policy=SpokenRetries(retry_total=5, retry_status=5, retry_backoff_factor=0.01),
        polling_interval=0,
    )


def logged(work: Callable[[], object]) -> list[str]:
    """Run something in a task about one node; gives what it said of the node, without Prefect's own lines."""
    lines = log_of(work)
    assert [line for line in lines if "Finished" in line] == [
        f"{ABOUT}Finished in state Completed()",
        "Finished in state Completed()",  # of the whole run
    ]
    return [line.removeprefix(ABOUT) for line in lines if line.startswith(ABOUT) and "Finished" not in line]


def log_of(work: Callable[[], object]) -> list[str]:
    """Run something in a task about one node; gives the run's log."""

    @always("VM {node.name}")
    def about(node: Node) -> None:
        work()

    @flow
    def whole() -> None:
        about(NODE, return_state=True)

    with get_client(sync_client=True) as client:
        run = client.create_flow_run(whole)
        run_flow(whole, flow_run=run)
        return list(lines(client, run.id))


def lines(client: Any, run_id: UUID) -> Iterator[str]:
    """Read a run's log as soon as its last line is there: Prefect sends it in the background."""
    of_run = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run_id]))
    for _ in range(100):
        found = [log.message for log in client.read_logs(log_filter=of_run, limit=200)]
        if any(re.match(r"(region=\w+ )?Finished in state", line) for line in found):  # the flow's own
            return iter(found)
        time.sleep(0.1)
    raise AssertionError(found)


def test_every_line_says_which_node_it_is_about() -> None:
    assert logged(lambda: logger().info("placed %s", "a file")) == ["placed a file"]


def test_lines_of_threads_say_so_too() -> None:
    assert logged(lambda: ask_all(lambda what: logger().info("placed 100 %%, %s", what), ["a file"])) == [
        "placed 100 %, a file"
    ]


def test_prefects_line_on_a_failure_says_so_too() -> None:
    def fail() -> None:
        raise ZeroDivisionError("nothing is left")

    [line] = [line for line in log_of(fail) if "nothing is left" in line]

    assert line.startswith(f"{ABOUT}Finished in state Failed(")


def test_lines_of_a_region_and_of_what_joins_two_name_every_region() -> None:
    plan = make_plan(parse({"regions": [{"platform": "vm", "name": name} for name in ("eastus", "westus")]}))

    @always("peering {left.name} <-> {right.name}")
    def join(left: RegionPlan, right: RegionPlan) -> None:
        logger().info("joined")

    @flow
    def within(region: RegionPlan) -> None:
        logger().info("begun")

    @flow
    def whole() -> None:
        within(plan.regions[1])
        join(*plan.regions)

    with get_client(sync_client=True) as client:
        run = client.create_flow_run(whole)
        run_flow(whole, flow_run=run)
        said = [line for one in family(client, run.id) for line in lines(client, one.id)]

    assert "region=westus begun" in said
    assert "region=westus Finished in state Completed()" in said
    assert "region=eastus region=westus peering eastus <-> westus: joined" in said


def test_throttling_is_said_with_reason_and_wait_and_without_secrets() -> None:
    azure = Azure(
        (429, {"Retry-After": "1", "x-ms-token": SECRET}, {"error": {"code": SECRET, "message": SECRET}}),
        (200, {}, DONE),
    )
    with network(azure) as client:
        said = logged(lambda: client.virtual_networks.get("group", "vnet"))

    assert said == [
        "Azure: GET https://azure.example/subscriptions/subscription/resourceGroups/group/"
        "providers/Microsoft.Network/virtualNetworks/vnet: 429 Too Many Requests; trying again in 1 s"
    ]


def test_an_operation_polled_in_another_thread_speaks_in_the_same_log() -> None:
    threads = set()

    class Watched(Azure):
        def send(self, *arguments: Any, **options: Any) -> requests.Response:
            threads.add(threading.get_ident())
            return super().send(*arguments, **options)

    azure = Watched(
        (201, {"Azure-AsyncOperation": OPERATION}, {"properties": {"provisioningState": "Updating"}}),
        (503, {}, {}),
        (200, {}, {"status": "Succeeded"}),
        (200, {}, DONE),
    )
    with network(azure) as client:
        said = logged(
            lambda: client.virtual_networks.begin_create_or_update(
                "group",
                "vnet",
                {"location": SECRET},  # the wire's words
                **to_log(),
            ).result()
        )

    assert len(threads) == 2
    assert said == ["Azure: GET https://azure.example/operations/1: 503; trying again"]


def test_a_lost_connection_is_said_without_the_address_query() -> None:
    lost = requests.exceptions.ConnectionError(
        f"refused at url: /operations/1?t={SECRET} (Caused by no route)"
    )
    azure = Azure(lost, (200, {}, DONE))
    with network(azure) as client:
        (said,) = logged(lambda: client.virtual_networks.get("group", "vnet"))

    assert said.endswith("/vnet: refused at url: /operations/1 (Caused by no route); trying again")
