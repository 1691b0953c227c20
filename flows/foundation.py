"""What all regions stand on: the topology's secrets, and its resource group."""

from roachmesh.outcome import Outcome
from tasks.deployment import Deployment
from tasks.keys import ensure_certificates, ensure_kubernetes_secrets, ensure_passwords, ensure_ssh_key
from tasks.resource_group import ensure_resource_group


def lay_foundation(deployment: Deployment) -> list[Outcome]:
    """Have the secrets in Prefect's blocks, then the resource group, whose tag names the SSH key."""
    secrets = [ensure_ssh_key(deployment), ensure_certificates(deployment), ensure_passwords(deployment)]
    if deployment.plan.clusters:
        secrets.append(ensure_kubernetes_secrets(deployment))
    return [*secrets, ensure_resource_group(deployment)]
