"""A topology's secrets, kept in blocks: made when absent, deleted last."""

from datetime import UTC, datetime

from prefect.blocks.core import Block

from blocks import Certificates, SshKey
from roachmesh import certificates, ssh_keys
from roachmesh.errors import Permanent
from roachmesh.inventory import VIRTUAL_MACHINE
from roachmesh.outcome import Outcome
from tasks.deployment import Deployment, has_block
from tasks.engine import converging
from tasks.resource_group import list_resources


@converging("SSH key {deployment.plan.topology}")
def ensure_ssh_key(deployment: Deployment) -> Outcome:
    """Have a key for the topology's machines.

    Raises:
        Permanent: the key is gone although machines exist that only it opens.
    """
    what = "SSH key"
    if has_block(SshKey, deployment.plan.topology):
        return Outcome(what=what, change="unchanged")
    _refuse_to_replace(SshKey, deployment)
    pair = ssh_keys.generate()
    SshKey(public_key=pair.public, private_key=pair.private).save(deployment.plan.topology)
    return Outcome(what=what, change="created")


@converging("certificate authority {deployment.plan.topology}")
def ensure_certificates(deployment: Deployment) -> Outcome:
    """Have an authority for the topology's database.

    Raises:
        Permanent: the authority is gone although machines exist that trust only it.
    """
    what = "certificate authority"
    if has_block(Certificates, deployment.plan.topology):
        return Outcome(what=what, change="unchanged")
    _refuse_to_replace(Certificates, deployment)
    authority = certificates.make_authority(deployment.plan.topology, datetime.now(UTC))
    block = Certificates(ca_certificate=authority.certificate, ca_key=authority.key)
    block.save(deployment.plan.topology)
    return Outcome(what=what, change="created")


@converging("forget the secrets of {deployment.plan.topology}")
def delete_keys(deployment: Deployment) -> None:
    """Delete a topology's SSH key and certificate authority."""
    for kind in (SshKey, Certificates):
        if has_block(kind, deployment.plan.topology):
            kind.delete(deployment.plan.topology)


def _refuse_to_replace(kind: type[Block], deployment: Deployment) -> None:
    machines = [resource for resource in list_resources(deployment) if resource["type"] == VIRTUAL_MACHINE]
    if machines:
        raise Permanent(
            f"Prefect has no block {kind.get_block_type_slug()}/{deployment.plan.topology}, "
            f"but {len(machines)} machines exist that were made with it.",
            advice="Restore the block from a backup of Prefect's database, or destroy and deploy anew.",
        )
