"""Every automation of docs/automations, created as it is shipped, and seen to act on real runs and events."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from uuid import UUID

import pytest
import yaml
from prefect import Flow, flow
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.orchestration import get_client
from prefect.events.schemas.automations import AutomationCore
from prefect.exceptions import Pause
from prefect.flow_engine import run_flow
from prefect.flow_runs import suspend_flow_run
from prefect.states import Failed

from roachmesh import certificates
from roachmesh.certificates import public_half
from roachmesh.drift import Finding
from roachmesh.errors import DatabaseFailed, GateFailed
from tasks import certificate_drift, cockroachdb
from tasks.certificate_drift import survey_certificates
from tasks.runs import latest
from tests.flows.conftest import Cloud

FILES = sorted(Path("docs/automations").glob("*.yaml"))
SHORTEST_S = 10  # for which Prefect waits that something does not happen
ACTS_WITHIN_S = 60.0
MESSAGE = {"subject": "{{subject}}", "body": "{{body}}"}


class Inbox:
    """A webhook, and what it was sent."""

    def __init__(self) -> None:
        self.messages: list[dict[str, str]] = []
        inbox = self

        class Webhook(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                inbox.messages.append(json.loads(self.rfile.read(length)))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Webhook)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def bodies(self, subject: str) -> list[str]:
        """Give the messages with a subject."""
        return [message["body"] for message in self.messages if message["subject"] == subject]

    def wait_for(self, subject: str) -> str:
        """Give the first message with a subject, as soon as it is there."""
        wait_until(lambda: self.bodies(subject), self.messages)
        return self.bodies(subject)[0]


def wait_until(happens: Callable[[], object], otherwise: object) -> None:
    """Wait for what a server does in the background."""
    stop = time.monotonic() + ACTS_WITHIN_S
    while not happens():
        assert time.monotonic() < stop, otherwise
        time.sleep(0.1)


@pytest.fixture(scope="module")
def inbox(prefect: None) -> Iterator[Inbox]:
    """What is sent when every file was created as `prefect automation create --from-file` does it."""
    inbox = Inbox()
    serving = Thread(target=inbox.server.serve_forever)
    serving.start()
    block = CustomWebhookNotificationBlock(name="inbox", url=inbox.url, json_data=MESSAGE)
    block_id = str(block.save("inbox"))
    with get_client(sync_client=True) as client:
        for file in FILES:
            shipped = yaml.safe_load(file.read_text().replace("NOTIFICATION_BLOCK_ID", block_id))
            if shipped["trigger"]["posture"] == "Proactive":
                shipped["trigger"]["within"] = SHORTEST_S  # the only change: nobody waits for hours here
            client.create_automation(AutomationCore.model_validate(shipped))
    yield inbox
    inbox.server.shutdown()
    inbox.server.server_close()
    serving.join()


def run(whole: Flow[[], Any], name: str) -> UUID:
    """Run a flow to whatever end, as a run of a deployment; gives the deployment's id."""
    with get_client(sync_client=True) as client:
        deployment_id = client.create_deployment(client.create_flow(whole), name)
        made = client.create_flow_run_from_deployment(deployment_id)
    with suppress(Pause):
        run_flow(whole, flow_run=made, return_type="state")
    return deployment_id


def test_a_run_that_waits_for_an_answer_too_long_is_reminded_of_once_and_an_answered_one_never(
    inbox: Inbox,
) -> None:
    @flow(name="deploy", flow_run_name="deploy waiting")
    def waiting() -> None:
        suspend_flow_run(timeout=3600)

    @flow(name="deploy", flow_run_name="deploy answered")
    def answered() -> None:
        suspend_flow_run(timeout=3600)

    run(answered, "answered")
    with get_client(sync_client=True) as client:
        [suspended] = latest(client, "answered", ["deploy"])
        client.set_flow_run_state(suspended.id, Failed(message="rejected"), force=True)
    run(waiting, "waiting")

    inbox.wait_for("deploy waiting waits for approval")
    time.sleep(SHORTEST_S)
    assert len(inbox.bodies("deploy waiting waits for approval")) == 1
    assert inbox.bodies("deploy answered waits for approval") == []


def test_a_failed_gate_is_told_with_what_failed_and_another_failure_is_not(inbox: Inbox) -> None:
    @flow(name="verify", flow_run_name="verify other")
    def other() -> None:
        raise DatabaseFailed("no quorum", where="eastus")

    @flow(name="verify", flow_run_name="verify gated")
    def gated() -> None:
        raise GateFailed("crdb-eastus-1 -> crdb-westus-1: refused", where="gated", advice="See NSGs.")

    run(other, "other")
    run(gated, "gated")

    told = inbox.wait_for("verify gated: the network test failed")
    assert "GateFailed: gated: crdb-eastus-1 -> crdb-westus-1: refused See NSGs." in told
    assert inbox.bodies("verify other: the network test failed") == []


def test_a_failed_night_is_told_and_the_next_one_waits_for_a_person(inbox: Inbox) -> None:
    @flow(name="nightly", flow_run_name="nightly n-nightly")
    def nightly() -> None:
        raise DatabaseFailed("no quorum", where="eastus")

    deployment_id = run(nightly, "nightly")

    assert "DatabaseFailed: eastus: no quorum" in inbox.wait_for("nightly n-nightly failed")
    with get_client(sync_client=True) as client:
        wait_until(lambda: client.read_deployment(deployment_id).paused, "it goes on")


class Host:
    """A machine with a `node.crt` that ends soon, and a `client.node.crt` that does not."""

    def __init__(self, pairs: list[list[str | None]]) -> None:
        self.host = None
        self._pairs = pairs

    def program(self, name: str, _: object) -> dict[str, Any]:
        assert name == "read_certificates"
        return {"pairs": self._pairs}


def survey(cloud: Cloud, monkeypatch: pytest.MonkeyPatch, name: str, days: int) -> list[Finding]:
    """Look, in a run, at two nodes whose `node.crt` has so many days left."""
    regions = [{"platform": "vm", "name": "eastus", "nodes": 2}]
    deployment = cloud.deployment(name=name, pooler="none", regions=regions)
    block = deployment.certificates()
    node, client = cockroachdb.purposes_of(deployment.plan.nodes[0]).values()
    issued = [block.issue(node, timedelta(days=days)), block.issue(client)]
    host = Host([[one.certificate, public_half(one.key)] for one in issued])
    monkeypatch.setattr(certificate_drift, "read_machine", lambda *_: host)
    monkeypatch.setattr(certificate_drift, "session", lambda *_: host)

    @flow(name="verify")
    def look() -> list[Finding]:
        return survey_certificates(deployment)

    return look()


def test_certificates_that_end_soon_are_found_and_told_once(
    cloud: Cloud, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = f"{datetime.now(UTC) + timedelta(days=29):%Y-%m-%d}"
    found, _ = (survey(cloud, monkeypatch, "ending", 29) for _ in range(2))

    assert [str(finding) for finding in found][:2] == [
        f"certificate node.crt on crdb-eastus-1 different (it expires on {ends})",
        "certificate client.node.crt on crdb-eastus-1 as planned",
    ]
    told = inbox.wait_for("ending: certificates end soon")
    assert f"node.crt on crdb-eastus-1 ends on {ends}" in told or f"on crdb-eastus-2 ends on {ends}" in told
    time.sleep(2)
    assert len(inbox.bodies("ending: certificates end soon")) == 1


def test_certificates_that_serve_for_long_are_told_to_nobody_but_an_authority_that_ends_is(
    cloud: Cloud, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = survey(cloud, monkeypatch, "lasting", 31)
    monkeypatch.setattr(certificates, "AUTHORITY_LIFETIME", timedelta(days=179))
    survey(cloud, monkeypatch, "orphaned", 31)

    assert "ca.crt ends on" in inbox.wait_for("orphaned: certificates end soon")
    assert found[0].state == "as planned"
    assert inbox.bodies("lasting: certificates end soon") == []
