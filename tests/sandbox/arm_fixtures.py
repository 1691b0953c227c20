"""ARM over TLS in this process, without machines and packets, and the unmodified SDK clients to it."""

import asyncio
import json
import socket
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError
from azure.identity import ClientSecretCredential
from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.network import NetworkManagementClient
from azure.mgmt.resource.resources import ResourceManagementClient

from sandbox import tls
from sandbox.arm import App, Credentials
from sandbox.instance import Instance
from sandbox.machines.model import MachineSpec
from sandbox.web import WebServer

CREDENTIALS = Credentials(
    tenant_id="11111111-1111-1111-1111-111111111111",
    subscription_id="22222222-2222-2222-2222-222222222222",
    client_id="33333333-3333-3333-3333-333333333333",
    client_secret="correct horse",
)
SCOPE = "https://management.azure.com/.default"
ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGtlZXAgb3V0IG9mIHRoaXMga2V5IGl0IGlzIGZha2Uh test"


class Clock:
    """Time that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class Clients:
    """The SDK's clients."""

    def __init__(
        self, credential: ClientSecretCredential, subscription_id: str, options: dict[str, Any]
    ) -> None:
        self.credential = credential
        self.network = NetworkManagementClient(credential, subscription_id, **options)
        self.compute = ComputeManagementClient(credential, subscription_id, **options)
        self.resources = ResourceManagementClient(credential, subscription_id, **options)

    def close(self) -> None:
        """Close what the clients hold open."""
        for client in (self.network, self.compute, self.resources, self.credential):
            client.close()


class Azure(Clients):
    """The SDK's clients, and what a test wants to know of the other side."""

    def __init__(self, app: App, endpoint: str, ca_file: Path, clock: Clock, request_log: Path) -> None:
        self.app, self.endpoint, self.ca_file = app, endpoint, ca_file
        self.clock, self.request_log = clock, request_log
        credential = ClientSecretCredential(
            CREDENTIALS.tenant_id,
            CREDENTIALS.client_id,
            CREDENTIALS.client_secret,
            authority=endpoint,
            disable_instance_discovery=True,
            connection_verify=str(ca_file),
        )
        options = {"base_url": endpoint, "credential_scopes": [SCOPE], "polling_interval": 0.05}
        options["connection_verify"] = str(ca_file)
        super().__init__(credential, CREDENTIALS.subscription_id, options)

    def id(self, group: str, path: str, namespace: str = "Microsoft.Network") -> str:
        """The id of a resource."""
        start = f"/subscriptions/{CREDENTIALS.subscription_id}/resourceGroups/{group}"
        return f"{start}/providers/{namespace}/{path}"

    def raw(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        version: str | None = "2019-07-01",  # that all of Azure knows
        token: str | None = "",
        headers: dict[str, str] | None = None,
        query: str = "",
    ) -> tuple[int, Any, dict[str, str]]:
        """Send one request without the SDK; returns status, decoded body and headers (lower-case)."""
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {token or self.credential.get_token(SCOPE).token}"
        url = f"{self.endpoint}{path}?{query}" + (f"api-version={version}" if version else "")
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, sent, method=method)  # noqa: S310 - always https
        context = ssl.create_default_context(cafile=str(self.ca_file))
        try:
            with urllib.request.urlopen(request, context=context) as answer:  # noqa: S310 - always https
                return answer.status, _decoded(answer.read()), _lower(answer.headers)
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, _decoded(refused.read()), _lower(refused.headers)


def _decoded(body: bytes) -> Any:
    return json.loads(body) if body else None


def _lower(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


@contextmanager
def running(server: WebServer, listener: socket.socket) -> Iterator[None]:
    """Run a server in a thread."""
    thread = threading.Thread(target=lambda: asyncio.run(server.serve_on(listener)))
    thread.start()
    try:
        yield
    finally:
        server.stop()
        thread.join()
        listener.close()


@contextmanager
def serving(app: Any, directory: Path) -> Iterator[tuple[str, Path]]:
    """Serve an ASGI application over TLS on a free port; gives its address and its CA's file."""
    authority = tls.new_authority("test")
    certificate = tls.issue(authority, ["localhost", "127.0.0.1"], directory, "arm")
    ca_file = directory / "ca.pem"
    ca_file.write_text(authority.pem)
    listener = socket.create_server(("127.0.0.1", 0))
    with running(WebServer(app, *certificate), listener):
        yield f"https://localhost:{listener.getsockname()[1]}", ca_file


@contextmanager
def control_plane(directory: Path, **options: Any) -> Iterator[Azure]:
    """ARM in control-plane mode, with a clock that stands still."""
    clock, log = Clock(), directory / "requests.jsonl"
    app = App(Instance("test"), CREDENTIALS, clock=clock, request_log=log, **options)
    with serving(app, directory) as (endpoint, ca_file):
        azure = Azure(app, endpoint, ca_file, clock, log)
        try:
            yield azure
        finally:
            azure.close()
            app.close()


@contextmanager
def refused(code: str, status: int | None = None) -> Iterator[pytest.ExceptionInfo[HttpResponseError]]:
    """Expect an error of Azure's, by its code."""
    with pytest.raises(HttpResponseError) as caught:
        yield caught
    error = caught.value.error
    assert error is not None
    assert error.code == code, caught.value.message
    if status is not None:
        assert caught.value.status_code == status


class Hypervisor:
    """One whose machines are always there, and have no disks."""

    def boot(self, spec: MachineSpec) -> None:
        """Boot it."""

    def halt(self, key: str) -> None:
        """Halt it."""

    def kill(self, key: str) -> None:
        """Kill it."""

    def delete(self, key: str) -> None:
        """Delete it."""

    def is_running(self, key: str) -> bool:
        """Tell so."""
        return True

    def delete_disk(self, disk_id: str) -> None:
        """Delete it."""

    def fill_disks(self, key: str) -> None:
        """Find none."""
        raise FileNotFoundError("it has mounted no data disk")

    def free_disks(self, key: str) -> None:
        """Free nothing."""


LOCATION = "eastus"


def security_group(azure: Clients, name: str = "nsg", group: str = "rg", location: str = LOCATION) -> Any:
    """Make a security group without rules."""
    body = {"location": location, "properties": {}}
    return azure.network.network_security_groups.begin_create_or_update(group, name, body).result()


def virtual_network(
    azure: Clients,
    name: str = "vnet",
    prefix: str = "10.1.0.0/16",
    subnets: dict[str, str] | None = None,
    *,
    group: str = "rg",
    location: str = LOCATION,
) -> Any:
    """Make a virtual network; by default with one subnet `nodes`."""
    given = {"nodes": f"{prefix.rsplit('.', 2)[0]}.1.0/24"} if subnets is None else subnets
    properties = {
        "addressSpace": {"addressPrefixes": [prefix]},
        "subnets": [{"name": key, "properties": {"addressPrefix": value}} for key, value in given.items()],
    }
    body = {"location": location, "properties": properties}
    return azure.network.virtual_networks.begin_create_or_update(group, name, body).result()


def public_address(azure: Clients, name: str = "pip", group: str = "rg", location: str = LOCATION) -> Any:
    """Make a public address."""
    body = {
        "location": location,
        "sku": {"name": "Standard"},
        "properties": {"publicIPAllocationMethod": "Static"},
    }
    return azure.network.public_ip_addresses.begin_create_or_update(group, name, body).result()


def interface_body(
    subnet_id: str, address: str | None = None, public_id: str | None = None, location: str = LOCATION
) -> dict[str, Any]:
    """Describe a network interface; without an address it is a dynamic one."""
    properties: dict[str, Any] = {"subnet": {"id": subnet_id}}
    if address:
        properties |= {"privateIPAllocationMethod": "Static", "privateIPAddress": address}
    if public_id:
        properties["publicIPAddress"] = {"id": public_id}
    configuration = {"name": "primary", "properties": properties}
    return {"location": location, "properties": {"ipConfigurations": [configuration]}}


def interface(azure: Clients, name: str, subnet_id: str, *, group: str = "rg", **options: Any) -> Any:
    """Make a network interface."""
    body = interface_body(subnet_id, **options)
    return azure.network.network_interfaces.begin_create_or_update(group, name, body).result()


def machine_body(
    interface_id: str, name: str = "vm", *, key: str = ED25519, custom_data: str | None = None, **more: Any
) -> dict[str, Any]:
    """Describe a virtual machine."""
    image = {"publisher": "Debian", "offer": "debian-13", "sku": "13-gen2", "version": "latest"}
    path = "/home/ops/.ssh/authorized_keys"
    profile = {
        "computerName": name,
        "adminUsername": "ops",
        "linuxConfiguration": {
            "disablePasswordAuthentication": True,
            "ssh": {"publicKeys": [{"path": path, "keyData": key}]},
        },
    }
    properties = {
        "hardwareProfile": {"vmSize": "Standard_D4s_v5"},
        "storageProfile": {"imageReference": image, "osDisk": {"createOption": "FromImage"}},
        "osProfile": profile | ({"customData": custom_data} if custom_data else {}),
        "networkProfile": {"networkInterfaces": [{"id": interface_id}]},
    }
    return {"location": LOCATION, "properties": properties, **more}


def machine(azure: Clients, name: str, interface_id: str, *, group: str = "rg", **options: Any) -> Any:
    """Make a virtual machine."""
    body = machine_body(interface_id, name, **options)
    return azure.compute.virtual_machines.begin_create_or_update(group, name, body).result()
