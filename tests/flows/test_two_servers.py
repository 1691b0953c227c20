"""Two Prefect servers, each with its own blocks, and one Azure: only the server that has the keys goes on."""

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, count
from typing import Any

import pytest
from prefect.server.api.server import SubprocessASGIServer
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_SERVER_DATABASE_CONNECTION_URL,
    temporary_settings,
)

from blocks import AzureCredentials, Certificates, SshKey
from roachmesh import names, topology
from roachmesh.errors import AzureRefused, DeployedElsewhere, Permanent, RoachmeshError
from roachmesh.inventory import RESOURCE_GROUP, VIRTUAL_MACHINE
from roachmesh.plan import make_plan
from tasks import azure_resource
from tasks.belongings import list_belongings
from tasks.deployment import Deployment
from tasks.drift import foresee, survey_all
from tasks.keys import delete_keys, ensure_certificates, ensure_ssh_key
from tasks.machines import read_machine
from tasks.resource_group import delete_resource_group, ensure_resource_group, read_resource_group
from tasks.status import find_deployment
from tests.flows.conftest import OPERATORS, Cloud
from tests.flows.test_azure_tasks import EASTUS, Stage

NUMBERS = count(1)
STEPS = ("find no group", "write the group", "look at machine and group", "write the machine")


@dataclass(frozen=True)
class Server:
    """A Prefect server, and one deployment from it."""

    api_url: str
    deployment: Deployment

    def do(self, *tasks: Any) -> list[Any]:
        """Run tasks as a run of this server does."""
        with temporary_settings({PREFECT_API_URL: self.api_url}):
            return [task.fn(self.deployment) for task in tasks]

    def ask(self, question: Callable[..., Any], *arguments: Any) -> Any:
        """Ask something of Azure with this server's blocks."""
        with temporary_settings({PREFECT_API_URL: self.api_url}):
            return question(*arguments)

    def deploy(self) -> None:
        """Deploy up to the only machine, and look at nothing before."""
        self.do(ensure_ssh_key, ensure_certificates, ensure_resource_group)
        with temporary_settings({PREFECT_API_URL: self.api_url}):
            Stage(self.deployment, self.deployment.plan.regions[0]).machine()

    @property
    def fingerprint(self) -> str | None:
        """What names its key."""
        fingerprint: str | None = self.ask(lambda: self.deployment.ssh_key_fingerprint)
        return fingerprint


@pytest.fixture(scope="module")
def apis(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The session's server and a second one; both may log in to the same Azure."""
    database = tmp_path_factory.mktemp("second") / "prefect.db"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    second = SubprocessASGIServer(port=port)
    with temporary_settings({PREFECT_SERVER_DATABASE_CONNECTION_URL: f"sqlite+aiosqlite:///{database}"}):
        second.start(timeout=120)
    credentials = AzureCredentials.load(cloud.credentials)
    with temporary_settings({PREFECT_API_URL: second.api_url}):
        credentials.save(cloud.credentials)
    yield str(PREFECT_API_URL.value()), second.api_url
    second.stop()


@pytest.fixture
def servers(cloud: Cloud, apis: tuple[str, str]) -> tuple[Server, Server]:
    """Two servers that are about to deploy the same topology, another one for each test."""
    plan = make_plan(topology.parse({"name": f"two-servers-{next(NUMBERS)}", "regions": [EASTUS]}))
    one, other = (
        Server(api, Deployment(key=api, plan=plan, credentials=cloud.credentials, operators=OPERATORS))
        for api in apis
    )
    return one, other


def test_the_second_server_is_refused_by_every_verb_and_changes_nothing(
    cloud: Cloud, servers: tuple[Server, Server]
) -> None:
    one, other = servers
    one.deploy()
    deployment, plan = other.deployment, other.deployment.plan
    verbs: dict[str, Callable[[], object]] = {
        "deploy and verify": lambda: other.do(read_resource_group),
        "plan": lambda: other.ask(foresee, plan, cloud.credentials),
        "status": lambda: other.ask(find_deployment, plan, cloud.credentials),
        "ssh": lambda: other.ask(read_machine, deployment, plan.nodes[0]),
        "destroy": lambda: other.do(delete_resource_group),
        "what destroy shows": lambda: other.ask(list_belongings, deployment),
    }

    def all_verbs() -> None:
        for verb, run in verbs.items():
            with pytest.raises(DeployedElsewhere) as refused:
                run()
            said = str(refused.value)
            assert f"its SSH key is {one.fingerprint}, the one here is none" in said, verb
            assert f"save its blocks named {plan.topology} here: ssh-key" in said, verb
            assert f"az group delete -n {plan.resource_group}" in said, verb

    assert cloud.writes_during(all_verbs) == []
    assert cloud.writes_during(one.deploy) == []


def test_a_server_that_gets_the_blocks_goes_on_where_the_first_one_was(
    cloud: Cloud, servers: tuple[Server, Server]
) -> None:
    one, other = servers
    one.deploy()
    with temporary_settings({PREFECT_API_URL: one.api_url}):
        saved = [kind.load(one.deployment.plan.topology) for kind in (SshKey, Certificates)]
    with temporary_settings({PREFECT_API_URL: other.api_url}):
        for block in saved:
            block.save(one.deployment.plan.topology)

    assert cloud.writes_during(other.deploy) == []


def test_a_group_of_an_older_version_is_adopted_by_who_has_the_key_and_by_nobody_else(
    cloud: Cloud, servers: tuple[Server, Server]
) -> None:
    one, other = servers
    one.deploy()
    group = one.deployment.resource_group
    groups: Any = cloud.azure.resources.resource_groups
    found = groups.get(group)
    tags = {name: value for name, value in found.tags.items() if name != names.TAG_SSH_KEY}
    groups.create_or_update(group, {"location": found.location, "tags": tags})

    with pytest.raises(DeployedElsewhere, match="it has 1 machines, and there is no SSH key for them here"):
        other.do(read_resource_group)
    foreseen = one.ask(survey_all, one.deployment)
    [changed] = [finding for finding in foreseen if finding.state != "as planned"]
    assert (changed.label, changed.deploying_means) == (f"resource group {group}", "change it")
    one.do(read_resource_group, ensure_resource_group)

    assert groups.get(group).tags[names.TAG_SSH_KEY] == one.fingerprint


def test_a_group_that_stays_after_a_destruction_is_for_anybody_to_deploy_into(
    cloud: Cloud, servers: tuple[Server, Server]
) -> None:
    one, other = servers
    one.deploy()
    addresses: Any = cloud.azure.network.public_ip_addresses
    theirs: Any = {"location": "eastus", "sku": {"name": "Standard"}}
    theirs["properties"] = {"publicIPAllocationMethod": "Static"}
    addresses.begin_create_or_update(one.deployment.resource_group, "theirs", theirs).result()
    one.do(delete_resource_group, delete_keys)

    other.deploy()

    group = cloud.azure.resources.resource_groups.get(one.deployment.resource_group)
    assert group.tags
    assert group.tags[names.TAG_SSH_KEY] == other.fingerprint


def test_an_authority_that_is_lost_is_not_replaced_while_machines_trust_it(
    servers: tuple[Server, Server],
) -> None:
    one, _ = servers
    one.deploy()
    with temporary_settings({PREFECT_API_URL: one.api_url}):
        Certificates.delete(one.deployment.plan.topology)

    with pytest.raises(Permanent, match=r"no block certificates/.* but 1 machines exist"):
        one.do(ensure_certificates)


def test_a_block_with_something_else_in_it_is_named(servers: tuple[Server, Server]) -> None:
    one, _ = servers
    with temporary_settings({PREFECT_API_URL: one.api_url}):
        pasted: Any = "whatever"
        SshKey(public_key="not a key", private_key=pasted).save(one.deployment.plan.topology)

    with pytest.raises(Permanent, match=r"has no SSH key in `public_key`.*Write the line there"):
        one.do(read_resource_group)


class Run(threading.Thread):
    """A first deployment that halts before each of its decisive requests until it is its turn."""

    def __init__(self, server: Server) -> None:
        super().__init__(daemon=True)
        self._server = server
        self._halted, self._turn = threading.Semaphore(0), threading.Semaphore(0)
        self._last_kind = ""
        self.has_ended = False
        self.error: RoachmeshError | None = None
        self.start()
        self._halted.acquire()

    def run(self) -> None:
        """Deploy up to the machine; what refuses it is kept."""
        try:
            self._server.do(ensure_resource_group)
            stage = Stage(self._server.deployment, self._server.deployment.plan.regions[0])
            self._server.ask(stage.machine)
        except RoachmeshError as exc:
            self.error = exc
        finally:
            self.has_ended = True
            self._halted.release()

    def halt_before(self, kind: str) -> None:
        """Wait for the turn; the looks at a machine and then at its group are one step."""
        is_one_step = (self._last_kind, kind) == (VIRTUAL_MACHINE, RESOURCE_GROUP)
        self._last_kind = kind
        if kind in (RESOURCE_GROUP, VIRTUAL_MACHINE) and not is_one_step:
            self._halted.release()
            self._turn.acquire()

    def step(self) -> None:
        """Let it go on to its next halt, or its end."""
        if not self.has_ended:
            self._turn.release()
            self._halted.acquire()


def all_orders() -> list[tuple[int, ...]]:
    """Every order of the steps of two runs, 0 and 1; the first step is always 0's, since they are equal."""
    steps = range(2 * len(STEPS))
    chosen = combinations(steps[1:], len(STEPS) - 1)
    return [tuple(0 if i == 0 or i in mine else 1 for i in steps) for mine in chosen]


def test_of_two_first_deployments_at_once_one_goes_on_in_every_order_of_their_steps(
    cloud: Cloud, servers: tuple[Server, Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    operations = azure_resource.operations

    def halting(deployment: Deployment, kind: str) -> Any:
        run = threading.current_thread()
        if isinstance(run, Run):
            run.halt_before(kind)
        return operations(deployment, kind)

    for server in servers:  # both have found no group, and have made their keys
        server.do(read_resource_group, ensure_ssh_key, ensure_certificates)
    monkeypatch.setattr(azure_resource, "operations", halting)
    for order in all_orders():
        runs = [Run(server) for server in servers]
        for turn in order:
            runs[turn].step()
        assert all(run.has_ended for run in runs), order
        judge(cloud, servers, runs, order)
        cloud.azure.resources.resource_groups.begin_delete(servers[0].deployment.resource_group).result()


def judge(cloud: Cloud, servers: Sequence[Server], runs: Sequence[Run], order: tuple[int, ...]) -> None:
    """Expect that the one that went on has the key of the machine, and that the other was told why."""
    [one] = [server for server, run in zip(servers, runs, strict=True) if run.error is None]
    [error] = [run.error for run in runs if run.error]
    # Azure itself refuses the second of two that write the same machine at the same moment.
    assert isinstance(error, DeployedElsewhere | AzureRefused), order
    plan = one.deployment.plan
    machine: Any = cloud.azure.compute.virtual_machines.get(plan.resource_group, plan.nodes[0].name)
    assert machine.tags[names.TAG_SSH_KEY] == one.fingerprint, order
    accepted = machine.os_profile.linux_configuration.ssh.public_keys[0].key_data
    assert accepted == one.ask(lambda: one.deployment.ssh_key().public_key), order
