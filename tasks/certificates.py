"""Certificates where they are used: one that still serves stays, any other is issued anew."""

from collections.abc import Mapping
from datetime import UTC, datetime

from blocks import Certificates
from blocks.logger import logger
from roachmesh.certificates import KeyPair, Purpose, public_half, reasons_to_issue
from tasks.sessions import File, Session


def on_machine(host: Session, block: Certificates, wanted: Mapping[str, Purpose], owner: str) -> list[File]:
    """Give the files of a machine's pairs; what may stay keeps its content, and its mode.

    Args:
        host: The machine.
        block: Who signs.
        wanted: What each pair is for, by its path without `.crt` and `.key`.
        owner: Whose files they are.
    """
    paths = [(f"{path}.crt", f"{path}.key") for path in wanted]
    found = host.program("read_certificates", {"pairs": paths})["pairs"]
    files: list[File] = []
    for (certificate_path, key_path), purpose, pair in zip(paths, wanted.values(), found, strict=True):
        issued = _unless_it_serves(block, purpose, pair, certificate_path)
        certificate, key = (issued.certificate, issued.key) if issued else (None, None)
        files += [(certificate_path, certificate, "0644", owner), (key_path, key, "0600", owner)]
    return files


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
        certificate, key = found.get(f"{name}.crt", ""), found.get(f"{name}.key", "")
        halves = (certificate or None, public_half(key) if key else None)
        issued = _unless_it_serves(block, purpose, halves, f"{name}.crt of {where}")
        pair = issued or KeyPair(certificate, key)
        texts |= {f"{name}.crt": pair.certificate, f"{name}.key": pair.key}
    return texts


def _unless_it_serves(
    block: Certificates, purpose: Purpose, found: tuple[str | None, str | None], what: str
) -> KeyPair | None:
    """Issue a certificate, unless what there is serves its purpose."""
    issuer = block.authority(purpose.use).certificate
    reasons = reasons_to_issue(issuer, purpose, *found, now=datetime.now(UTC))
    if not reasons:
        return None
    logger().info("issuing %s: %s", what, "; ".join(reasons))
    return block.issue(purpose)
