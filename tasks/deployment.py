"""What every task is told: which deployment it works for, and how to reach Azure and the secrets."""

from functools import cache
from ipaddress import IPv4Network
from typing import TypeVar

from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.network import NetworkManagementClient
from azure.mgmt.resource.resources import ResourceManagementClient
from prefect.blocks.core import Block
from pydantic import ValidationError

from blocks import Artifacts, AzureCredentials, Certificates, DatabasePasswords, KubernetesSecrets, SshKey
from roachmesh import ssh_keys
from roachmesh.errors import BlockMissing, Permanent
from roachmesh.inventory import UNKNOWN_OPERATORS, Inventory
from roachmesh.plan import Plan
from roachmesh.topology import Model

B = TypeVar("B", bound=Block)
C = TypeVar("C")


class Deployment(Model):
    """One deployment of a plan: plain data and the names of blocks, never a secret.

    Attributes:
        key: Where results are kept and found; the run's id until it is known which ones it continues.
        credentials: Name of the `azure-credentials` block.
        artifacts: Name of the `artifacts` block.
        operators: Where SSH may come from, as soon as preflight has found that out.
    """

    key: str
    plan: Plan
    credentials: str = "default"
    artifacts: str = "default"
    operators: tuple[IPv4Network, ...] = UNKNOWN_OPERATORS

    def operated_from(self, operators: tuple[IPv4Network, ...]) -> "Deployment":
        """Give the same deployment with what preflight found out."""
        return self.model_copy(update={"operators": operators})

    def keeping(self, results_key: str) -> "Deployment":
        """Give the same deployment with where its results are kept and found."""
        return self.model_copy(update={"key": results_key})

    @property
    def inventory(self) -> Inventory:
        """Give everything that the plan makes in the subscription."""
        subscription = load_credentials(self.credentials).subscription_id
        return Inventory(
            plan=self.plan,
            subscription_id=subscription,
            operators=self.operators,
            ssh_key_fingerprint=self.ssh_key_fingerprint,
        )

    @property
    def resource_group(self) -> str:
        """The resource group's name."""
        return self.plan.resource_group

    def network(self) -> NetworkManagementClient:
        """Give the process's client for networks."""
        client: NetworkManagementClient = _client(self.credentials, NetworkManagementClient)
        return client

    def compute(self) -> ComputeManagementClient:
        """Give the process's client for machines and disks."""
        client: ComputeManagementClient = _client(self.credentials, ComputeManagementClient)
        return client

    def resources(self) -> ResourceManagementClient:
        """Give the process's client for resource groups."""
        client: ResourceManagementClient = _client(self.credentials, ResourceManagementClient)
        return client

    def ssh_key(self) -> SshKey:
        """Load the key of this topology's machines."""
        return _ssh_key(self.plan.topology, self.key)

    @property
    def ssh_key_fingerprint(self) -> str | None:
        """What names the key of this topology's machines; None while Prefect holds none.

        Raises:
            Permanent: the block holds something else.
        """
        try:
            return ssh_keys.fingerprint(self.ssh_key().public_key)
        except BlockMissing:
            return None
        except ValueError as exc:
            raise Permanent(
                f"the block ssh-key/{self.plan.topology} has no SSH key in `public_key`: {exc}.",
                advice="Write the line there that begins with ssh-ed25519.",
            ) from exc

    def certificates(self) -> Certificates:
        """Load the authority of this topology's database."""
        return _certificates(self.plan.topology, self.key)

    def passwords(self) -> dict[str, str]:
        """Give the password of every SQL user that has one, by name."""
        return {user: self.password_of(user) for user in self.plan.database.with_password}

    def password_of(self, user: str) -> str:
        """Give the password that a SQL user has, or would have."""
        return _passwords(self.plan.topology, self.key).of(user)

    def kubernetes_secrets(self) -> KubernetesSecrets:
        """Load what this topology's clusters share."""
        return _kubernetes_secrets(self.plan.topology, self.key)

    def artifact_source(self) -> Artifacts:
        """Load where binaries come from; the official hosts when nobody saved such a block."""
        return _artifacts(self.artifacts)


def load_block(kind: type[B], name: str) -> B:
    """Load a block that must exist.

    Raises:
        BlockMissing: nobody saved it.
        Permanent: what is in it cannot be.
    """
    slug = kind.get_block_type_slug()
    try:
        block = kind.load(name)
    except RuntimeError as exc:
        if not isinstance(exc.__cause__, ValidationError):
            raise
        mistakes = "; ".join(one["msg"] for one in exc.__cause__.errors())
        raise Permanent(
            f"the block {slug}/{name} cannot be: {mistakes}.", advice="Mend it: in the UI under Blocks."
        ) from None
    except ValueError as exc:
        raise BlockMissing(
            f"Prefect has no block {slug}/{name}.", advice="Save one: in the UI under Blocks."
        ) from exc
    if not isinstance(block, kind):
        raise TypeError(f"{kind.__name__}.load gave a {type(block).__name__}")
    return block


def has_block(kind: type[Block], name: str) -> bool:
    """Tell whether somebody saved such a block."""
    try:
        load_block(kind, name)
    except BlockMissing:
        return False
    return True


@cache
def load_credentials(name: str) -> AzureCredentials:
    """Load credentials, once per process."""
    return load_block(AzureCredentials, name)


@cache
def _client(credentials: str, kind: type[C]) -> C:
    return load_credentials(credentials).get_client(kind)


# The deployment's key is part of the caches' keys: a process that destroys and deploys again
# (a nightly) must not use the old deployment's secrets.
@cache
def _ssh_key(topology: str, deployment_key: str) -> SshKey:
    return load_block(SshKey, topology)


@cache
def _certificates(topology: str, deployment_key: str) -> Certificates:
    return load_block(Certificates, topology)


@cache
def _passwords(topology: str, deployment_key: str) -> DatabasePasswords:
    return load_block(DatabasePasswords, topology)


@cache
def _kubernetes_secrets(topology: str, deployment_key: str) -> KubernetesSecrets:
    return load_block(KubernetesSecrets, topology)


@cache
def _artifacts(name: str) -> Artifacts:
    try:
        return load_block(Artifacts, name)
    except BlockMissing:
        if name == "default":  # nobody asked for anything but the official hosts
            return Artifacts()
        raise
