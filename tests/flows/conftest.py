"""A Prefect server for the whole session, and Azure's control plane for a module: no machines, no packets."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
from prefect.settings import PREFECT_HOME, temporary_settings
from prefect.testing.utilities import prefect_test_harness

from blocks import AzureCredentials
from roachmesh import topology
from roachmesh.plan import make_plan
from tasks import deployment
from tasks.deployment import Deployment
from tasks.keys import ensure_certificates, ensure_ssh_key
from tasks.resource_group import ensure_resource_group
from tests.sandbox.arm_fixtures import CREDENTIALS, Azure, control_plane

OPERATORS = (IPv4Network("203.0.113.7/32"),)

# A rule that lets everybody in.
EVERYBODY: Any = {
    "properties": {
        "priority": 150,
        "direction": "Inbound",
        "access": "Allow",
        "protocol": "*",
        "sourceAddressPrefix": "*",
        "sourcePortRange": "*",
        "destinationAddressPrefix": "*",
        "destinationPortRange": "*",
    }
}


@pytest.fixture(scope="session")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    home = tmp_path_factory.mktemp("prefect")  # results of an earlier session would be taken for ours
    with (
        temporary_settings({PREFECT_HOME: home}),
        prefect_test_harness(server_startup_timeout=120),
    ):
        yield


@dataclass
class Cloud:
    """Azure's control plane, and how to make a deployment in it."""

    azure: Azure
    credentials: str

    def deployment(self, **fields: Any) -> Deployment:
        """A deployment of a topology with these fields, its resource group and keys made already."""
        plan = make_plan(topology.parse(fields))
        made = Deployment(key="test", plan=plan, credentials=self.credentials, operators=OPERATORS)
        ensure_ssh_key.fn(made)
        ensure_certificates.fn(made)
        ensure_resource_group.fn(made)
        return made

    def writes_during(self, action: Callable[[], object]) -> list[str]:
        """The writes that an action sent, tokens left out."""
        before = len(self._log())
        action()
        return [line for line in self._log()[before:] if '"GET"' not in line and "oauth2" not in line]

    def _log(self) -> list[str]:
        return self.azure.request_log.read_text().splitlines()


@pytest.fixture(scope="module")
def cloud(prefect: None, tmp_path_factory: pytest.TempPathFactory, request: Any) -> Iterator[Cloud]:
    directory: Path = tmp_path_factory.mktemp("azure")
    name = directory.name.replace("_", "-")
    with control_plane(directory) as azure:
        AzureCredentials(
            subscription_id=CREDENTIALS.subscription_id,
            method="service_principal",
            tenant_id=CREDENTIALS.tenant_id,
            client_id=CREDENTIALS.client_id,
            client_secret=CREDENTIALS.client_secret,
            authority=azure.endpoint,
            arm_endpoint=azure.endpoint,
            ca_pem=azure.ca_file.read_text(),
        ).save(name)
        yield Cloud(azure, name)
        forget_clients(name)


def forget_clients(credentials: str) -> None:
    """Let go of the process's SDK clients, which live as long as the process otherwise."""
    used = Deployment(key="test", plan=make_plan(topology.DEFAULT), credentials=credentials)
    clients: list[Any] = [used.network(), used.compute(), used.resources()]
    for client in clients:
        client._config.credential.close()
        client.close()
    deployment._client.cache_clear()
    deployment.load_credentials.cache_clear()
