"""Certificates where they are used: one that still serves stays, any other is issued anew."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from blocks import Certificates
from blocks.logger import logger
from roachmesh.certificates import KeyPair, Purpose, client_purpose, public_half, reasons_to_issue
from tasks.sessions import File, Session

ROOTS_LIFETIME = timedelta(hours=1)

Halves = tuple[str | None, str | None]  # certificate, public half of the key, both PEM


def of_root(block: Certificates, lifetime: timedelta = ROOTS_LIFETIME) -> dict[str, str]:
    """Issue a certificate to SQL's root; gives authority, certificate and key, in this order.

    They stand under the names that `cockroach` looks for.
    """
    issued = block.issue(client_purpose("root"), lifetime)
    return {
        "ca.crt": block.ca_certificate,
        "client.root.crt": issued.certificate,
        "client.root.key": issued.key,
    }


def on_machine(host: Session, block: Certificates, wanted: Mapping[str, Purpose], owner: str) -> list[File]:
    """Give the files of a machine's pairs; what may stay keeps its content, and its mode.

    Args:
        host: The machine.
        block: Who signs.
        wanted: What each pair is for, by its path without `.crt` and `.key`.
        owner: Whose files they are.
    """
    files: list[File] = []
    found = read_halves(host, wanted)
    for (path, purpose), halves in zip(wanted.items(), found, strict=True):
        issued = _unless_it_serves(block, purpose, halves, f"{path}.crt")
        certificate, key = (issued.certificate, issued.key) if issued else (None, None)
        files += [(f"{path}.crt", certificate, "0644", owner), (f"{path}.key", key, "0600", owner)]
    return files


def read_halves(host: Session, paths: Iterable[str]) -> list[Halves]:
    """Read pairs on a machine, given their paths without `.crt` and `.key`; private keys stay there."""
    files = [(f"{path}.crt", f"{path}.key") for path in paths]
    return [(one, other) for one, other in host.program("read_certificates", {"pairs": files})["pairs"]]


def in_secret(
    found: Mapping[str, str], block: Certificates, wanted: Mapping[str, Purpose], where: str
) -> dict[str, str]:
    """Give the texts of a Secret's pairs, of those that may stay what was found.

    Args:
        found: The Secret's texts by their names.
        block: Who signs.
        wanted: What each pair is for, by its name without `.crt` and `.key`.
        where: Names the Secret in the log.
    """
    texts: dict[str, str] = {}
    for name, purpose in wanted.items():
        issued = _unless_it_serves(block, purpose, halves_in_secret(found, name), f"{name}.crt of {where}")
        pair = issued or KeyPair(found[f"{name}.crt"], found[f"{name}.key"])
        texts |= {f"{name}.crt": pair.certificate, f"{name}.key": pair.key}
    return texts


def halves_in_secret(found: Mapping[str, str], name: str) -> Halves:
    """Give what a Secret's texts hold of a pair, without its private key."""
    certificate, key = found.get(f"{name}.crt"), found.get(f"{name}.key")
    return certificate or None, public_half(key) if key else None


def reasons_against(block: Certificates, purpose: Purpose, found: Halves) -> list[str]:
    """Say why a pair does not serve its purpose, if it does not."""
    issuer = block.authority(purpose.use).certificate
    return reasons_to_issue(issuer, purpose, *found, now=datetime.now(UTC))


def _unless_it_serves(block: Certificates, purpose: Purpose, found: Halves, what: str) -> KeyPair | None:
    """Issue a certificate, unless what there is serves its purpose."""
    reasons = reasons_against(block, purpose, found)
    if not reasons:
        return None
    logger().info("issuing %s: %s", what, "; ".join(reasons))
    return block.issue(purpose)
