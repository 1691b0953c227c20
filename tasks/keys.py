"""A topology's secrets, kept in blocks: made when absent, deleted last."""

import secrets
from datetime import UTC, datetime

from pydantic import SecretStr

from blocks import Certificates, DatabasePasswords, Kubeconfig, KubernetesSecrets, SshKey
from roachmesh import certificates, ssh_keys
from roachmesh.errors import InvalidTopology, Permanent
from roachmesh.outcome import Outcome
from tasks.deployment import Deployment, has_block, load_block
from tasks.engine import always
from tasks.resource_group import find_group, read_machine_tags

SECRETS = (SshKey, Certificates, DatabasePasswords, KubernetesSecrets, Kubeconfig)


@always("SSH key {deployment.plan.topology}")
def ensure_ssh_key(deployment: Deployment) -> Outcome:
    """Have a key for the topology's machines, before the resource group is marked with it."""
    what = "SSH key"
    if has_block(SshKey, deployment.plan.topology):
        return Outcome(what=what, change="unchanged")
    pair = ssh_keys.generate()
    SshKey(public_key=pair.public, private_key=pair.private).save(deployment.plan.topology)
    return Outcome(what=what, change="created")


@always("certificate authority {deployment.plan.topology}")
def ensure_certificates(deployment: Deployment) -> Outcome:
    """Have an authority for the topology's database, or two.

    Raises:
        Permanent: the authority is gone although machines exist that trust only it.
        InvalidTopology: machines exist that trust one, and the topology wants two; or the other way round.
    """
    what = "certificate authority"
    topology, split = deployment.plan.topology, deployment.plan.cockroachdb.split_ca
    exists = has_block(Certificates, topology)
    if exists and load_block(Certificates, topology).is_split == split:
        return Outcome(what=what, change="unchanged")
    machines = len(read_machine_tags(deployment)) if find_group(deployment) else 0
    if machines and exists:
        raise InvalidTopology(
            f"cockroachdb.split_ca: {machines} machines trust what the first deployment made.",
            advice=f"Write `split_ca: {str(not split).lower()}`, or destroy and deploy anew.",
        )
    if machines:
        raise Permanent(
            f"Prefect has no block certificates/{deployment.plan.topology}, "
            f"but {machines} machines exist that trust only the authority in it.",
            advice="Restore the block from a backup of Prefect's database, or destroy and deploy anew.",
        )
    authority = certificates.make_authority(topology, datetime.now(UTC))
    block = Certificates(ca_certificate=authority.certificate, ca_key=authority.key)
    if split:
        clients = certificates.make_authority(f"{topology} client", datetime.now(UTC))
        block.client_ca_certificate, block.client_ca_key = clients.certificate, SecretStr(clients.key)
    block.save(topology, overwrite=exists)
    return Outcome(what=what, change="created")


@always("passwords {deployment.plan.topology}")
def ensure_passwords(deployment: Deployment) -> Outcome:
    """Have what the SQL users' passwords are derived from; if it is gone, they all get others."""
    what = "passwords"
    if has_block(DatabasePasswords, deployment.plan.topology):
        return Outcome(what=what, change="unchanged")
    DatabasePasswords(key=SecretStr(secrets.token_hex(32))).save(deployment.plan.topology)
    return Outcome(what=what, change="created")


@always("secrets of clusters {deployment.plan.topology}")
def ensure_kubernetes_secrets(deployment: Deployment) -> Outcome:
    """Have a token and an authority for the topology's clusters.

    Raises:
        Permanent: they are gone although machines of clusters exist, which know no others.
    """
    what = "secrets of clusters"
    if has_block(KubernetesSecrets, deployment.plan.topology):
        return Outcome(what=what, change="unchanged")
    planned = {node.name for region in deployment.plan.clusters for node in region.nodes}
    existing = read_machine_tags(deployment) if find_group(deployment) else ()
    machines = planned.intersection(existing)
    if machines:
        raise Permanent(
            f"Prefect has no block kubernetes-secrets/{deployment.plan.topology}, "
            f"but {len(machines)} machines of its clusters exist, which let in only who has what is in it.",
            advice="Restore the block from a backup of Prefect's database, or destroy and deploy anew.",
        )
    authority = certificates.make_authority(f"{deployment.plan.topology} Cilium", datetime.now(UTC))
    KubernetesSecrets(
        token=SecretStr(secrets.token_hex(32)),
        cilium_ca_certificate=authority.certificate,
        cilium_ca_key=SecretStr(authority.key),
    ).save(deployment.plan.topology)
    return Outcome(what=what, change="created")


@always("forget the secrets of {deployment.plan.topology}")
def delete_keys(deployment: Deployment) -> None:
    """Delete a topology's SSH key, its authorities, its passwords, and what opens its clusters."""
    forget(deployment.plan.topology)


def forget(topology: str) -> None:
    """Delete the blocks with a topology's secrets; the SSH key last: it tells a sweep whose they are."""
    for kind in reversed(SECRETS):
        if has_block(kind, topology):
            kind.delete(topology)
