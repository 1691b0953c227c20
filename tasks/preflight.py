"""What is looked at before anything is changed."""

from datetime import UTC, datetime
from ipaddress import AddressValueError, IPv4Address, IPv4Network

import requests

from roachmesh import fixed_fields, names
from roachmesh.errors import InvalidTopology, NotOurs, Permanent, Transient
from tasks.azure_resource import tags_of
from tasks.deployment import Deployment, load_credentials
from tasks.engine import always
from tasks.removal import is_ours, list_resources
from tasks.resource_group import ResourceGroup, find_group, read_machine_tags

ASK_TIMEOUT_S = 10


@always("operator's address")
def read_operators(deployment: Deployment, existing: ResourceGroup | None) -> tuple[IPv4Network, ...]:
    """Decide where SSH may come from.

    What the topology says holds; else what the first deployment recorded; else the public address
    that we come from now.

    Raises:
        Permanent: the page that tells our address answers something else.
    """
    configured = deployment.plan.access.operator_cidrs
    if configured:
        return configured
    if existing and existing.operators:
        return existing.operators
    return (IPv4Network(_own_public_address(deployment)),)


def refuse_expired(deployment: Deployment) -> None:
    """Let nothing be made that `sweep` would delete at once.

    Raises:
        InvalidTopology: its time is over.
    """
    expires = deployment.plan.expires
    if expires and datetime.fromisoformat(expires) < datetime.now(UTC):
        raise InvalidTopology(
            f"expires: {expires} is over.", advice="Write a later time, or leave the field out."
        )


@always("whose it is")
def refuse_what_is_no_nights(deployment: Deployment) -> None:
    """Let no night touch what a person deployed under the name of a night.

    A night's group has the expiry that the night gave it in a second tag. Who deploys into it with another
    one, or with none, has made it his.

    Raises:
        NotOurs: something is there, and no night's.
    """
    found = find_group(deployment)
    tags = tags_of(found) if found else {}
    if found is None or (names.TAG_NIGHT in tags and tags[names.TAG_NIGHT] == tags.get(names.TAG_EXPIRES)):
        return
    resources = list_resources(deployment, deployment.resource_group)
    topology = deployment.plan.topology
    if names.TAG_SSH_KEY in tags or any(is_ours(topology, one, resources) for one in resources):
        raise NotOurs(
            f"it was made by no night, or deployed since: its tags {names.TAG_NIGHT} and {names.TAG_EXPIRES} "
            "are not the same.",
            where=deployment.resource_group,
            advice="Destroy it, or give the topology of the nights another name.",
        )


@always("fields that are fixed")
def judge_fixed_fields(deployment: Deployment, existing: ResourceGroup | None) -> None:
    """Let no topology pass that would turn machines or clusters that stand into what they cannot become.

    Raises:
        InvalidTopology: naming the fields, and what to write.
    """
    lines = fixed_fields.changes(deployment.plan.regions, read_machine_tags(deployment)) if existing else ()
    if lines:
        raise InvalidTopology(
            "\n".join(lines),
            advice="That is fixed once a region stands, and nothing was changed. "
            "For something else make another region, or destroy the topology.",
        )


def _own_public_address(deployment: Deployment) -> IPv4Address:
    credentials = load_credentials(deployment.credentials)
    url = credentials.public_address_url
    advice = "Write `access.operator_cidrs` in the topology, or another `public_address_url` in the block."
    try:
        answer = requests.get(url, timeout=ASK_TIMEOUT_S, verify=credentials.verify)
        answer.raise_for_status()
        return IPv4Address(answer.text.strip())
    except requests.RequestException as exc:
        raise Transient(f"cannot ask {url} for our public address: {exc}", advice=advice) from exc
    except AddressValueError as exc:
        raise Permanent(f"{url} does not tell our public IPv4 address: {exc}", advice=advice) from exc
