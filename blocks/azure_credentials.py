"""Who we are to Azure, and where Azure is."""

import hashlib
import tempfile
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import requests
from azure.core.credentials import TokenCredential
from azure.core.pipeline.transport import RequestsTransport
from azure.identity import ClientSecretCredential, DefaultAzureCredential, ManagedIdentityCredential
from prefect.blocks.core import Block
from pydantic import Field, SecretStr, model_validator
from requests.adapters import HTTPAdapter

from blocks.retries import SpokenRetries
from blocks.write_budget import WriteBudget
from roachmesh.forms import may_be_empty

PUBLIC_AUTHORITY = "https://login.microsoftonline.com"
PUBLIC_ARM = "https://management.azure.com"
TOKEN_SCOPE = "https://management.azure.com/.default"  # noqa: S105 -- a scope, no secret
CONNECTIONS = 64  # as many as a deployment's threads; requests would keep 10 and shake hands anew
CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 10, 60  # the SDK's own are 300 each, and it tries four times
PATIENCE_S = 300  # for one request with all its retries; the SDK's own is a week
RETRIES = 40  # patience ends before they do
CA_DIR = Path("~/.cache/roachmesh/ca")

C = TypeVar("C")

# What Prefect allows as the name of a block.
CredentialsName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", max_length=255)]


class AzureCredentials(Block):
    """A subscription and how to sign in to it; `get_client` is the only door to Azure's SDK.

    Example:
        ```python
        from azure.mgmt.network import NetworkManagementClient
        from blocks.azure_credentials import AzureCredentials

        credentials = AzureCredentials.load("BLOCK_NAME")
        network = credentials.get_client(NetworkManagementClient)
        ```
    """

    _block_type_name = "Azure Credentials"
    _block_type_slug = "azure-credentials"
    _description = "A subscription, how to sign in to it, and where its Azure Resource Manager is."
    _documentation_url = "https://learn.microsoft.com/azure/developer/python/sdk/authentication/overview"  # type: ignore[assignment]

    subscription_id: str = Field(description="The subscription that everything is created in.")
    method: Literal["service_principal", "managed_identity", "default"] = Field(
        default="default",
        description="How to sign in: with a client secret, as this machine's identity, or by whatever "
        "the Azure SDK's default chain finds (az login, environment, workload identity).",
    )
    tenant_id: str | None = Field(
        default=None,
        description="Directory of the service principal; empty for other methods.",
        json_schema_extra=may_be_empty,
    )
    client_id: str | None = Field(
        default=None,
        description="The service principal's id; or that of a managed identity, if the machine has several.",
        json_schema_extra=may_be_empty,
    )
    client_secret: SecretStr | None = Field(
        default=None,
        description="The service principal's secret; empty for other methods.",
        json_schema_extra=may_be_empty,
    )
    authority: str = Field(
        default=PUBLIC_AUTHORITY, description="Where tokens are issued; leave it for Azure's public cloud."
    )
    arm_endpoint: str = Field(
        title="ARM Endpoint",
        default=PUBLIC_ARM,
        description="Azure Resource Manager's address; leave it for Azure's public cloud.",
    )
    ca_pem: str | None = Field(
        title="Certificates, PEM",
        default=None,
        description="Certificates to trust for both addresses instead of the public ones.",
        json_schema_extra=may_be_empty,
    )
    public_address_url: str = Field(
        title="Public Address URL",
        default="https://checkip.amazonaws.com",
        description="A page that answers with the caller's own public address and nothing else.",
    )

    @model_validator(mode="after")
    def _is_complete(self) -> "AzureCredentials":
        if self.method == "service_principal" and not (
            self.tenant_id and self.client_id and self.client_secret
        ):
            raise ValueError("a service principal needs tenant_id, client_id and client_secret")
        if self.client_secret and self.method != "service_principal":
            raise ValueError("a client_secret needs the method service_principal")
        return self

    def get_credential(self) -> TokenCredential:
        """Give what signs requests; it renews its tokens by itself."""
        if self.method == "managed_identity":
            return ManagedIdentityCredential(client_id=self.client_id)
        # Only the public authority can be asked whether another one is genuine.
        options: dict[str, Any] = {
            "authority": self.authority,
            "disable_instance_discovery": self.authority != PUBLIC_AUTHORITY,
            "connection_verify": self.verify,
        }
        if self.method == "service_principal" and self.tenant_id and self.client_id and self.client_secret:
            return ClientSecretCredential(
                self.tenant_id, self.client_id, self.client_secret.get_secret_value(), **options
            )
        return DefaultAzureCredential(**options)

    def get_client(self, kind: type[C]) -> C:
        """Make a management client, such as `NetworkManagementClient`.

        It honours `Retry-After` for as long as Azure asks for patience and says so in the log, keeps the
        writes below Azure's refill rate, and polls considerately where Azure names no pace.
        """
        session = requests.Session()
        session.mount("https://", HTTPAdapter(pool_maxsize=CONNECTIONS))
        transport = RequestsTransport(
            session=session,
            connection_verify=self.verify,
            connection_timeout=CONNECT_TIMEOUT_S,
            read_timeout=READ_TIMEOUT_S,
        )
        options: dict[str, Any] = {
            "base_url": self.arm_endpoint,
            "credential_scopes": [TOKEN_SCOPE],
            "transport": transport,
            "per_retry_policies": [WriteBudget(self.subscription_id)],
            "retry_policy": SpokenRetries(retry_total=RETRIES, retry_status=RETRIES, timeout=PATIENCE_S),
            "polling_interval": 5,
        }
        return kind(self.get_credential(), self.subscription_id, **options)  # type: ignore[call-arg]

    @property
    def verify(self) -> str | bool:
        """What the SDK calls `connection_verify`: a file of certificates, or True for the public ones."""
        return str(_file_of(self.ca_pem)) if self.ca_pem else True


def _file_of(ca_pem: str) -> Path:
    """Keep public certificates in a file named by their content, since requests takes only a path."""
    directory = CA_DIR.expanduser()
    path = directory / f"{hashlib.sha256(ca_pem.encode()).hexdigest()}.pem"
    if not path.exists():
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=directory, delete=False) as file:
            file.write(ca_pem)
        Path(file.name).rename(path)
    return path
