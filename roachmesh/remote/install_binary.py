"""Install one executable that is downloaded, by itself or in an archive, checked by its sha256.

Request: {"url", "sha256" or null, "checksums_url", "ca_pem" or null, "member" or null, "target"}; without
`sha256` the checksum is read from `checksums_url`. `member` is the executable's path in the archive, null
when the file is the executable itself; `target` is where it goes.
Answer: {"changed": bool}. A wrong checksum does not heal; a download that fails may.

What was installed is recorded beside the target, so that an unchanged one is not downloaded again.
"""

import hashlib
import io
import json
import ssl
import tarfile
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

TIMEOUT_S = 30
RECORDS = Path("/var/lib/roachmesh")


def fetch(url: str, ca_pem: str | None) -> bytes:
    """Download a file over TLS."""
    context = ssl.create_default_context(cadata=ca_pem)
    with urllib.request.urlopen(url, timeout=TIMEOUT_S, context=context) as response:  # noqa: S310 -- https
        content: bytes = response.read()
    return content


def record_path(target: Path) -> Path:
    """Name the file that remembers what was installed."""
    return RECORDS / f"{target.name}.json"


def is_installed(request: dict[str, Any], target: Path) -> bool:
    """Tell whether `target` is still what was installed from the file that is wanted."""
    try:
        record = json.loads(record_path(target).read_text())
        installed = hashlib.sha256(target.read_bytes()).hexdigest()
    except (OSError, ValueError):
        return False
    if record["url"] != request["url"] or record["target_sha256"] != installed:
        return False
    return request["sha256"] in (None, record["sha256"])


def published(text: str, file: str) -> str:
    """Read the checksum of a file from the list that is published with it."""
    lines = [line.split() for line in text.splitlines() if line.strip()]
    named = [words[0] for words in lines if words[-1].lstrip("*") == file]
    if named or len(lines) == 1:
        return (named or lines[0])[0]
    raise RuntimeError(f"the published checksums do not name {file}")


def unpack(content: bytes, member: str) -> bytes:
    """Give a member of an archive."""
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        extracted = archive.extractfile(member)
        if extracted is None:
            raise KeyError(member)
        return extracted.read()


def install(executable: bytes, target: Path) -> str:
    """Put an executable in its place, at once or not at all; gives its sha256."""
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False) as file:
        beside = Path(file.name)
        try:
            file.write(executable)
            file.flush()
            beside.chmod(0o755)
            beside.replace(target)
        finally:
            beside.unlink(missing_ok=True)  # a disk that is full would only be fuller
    return hashlib.sha256(executable).hexdigest()


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Install, unless it is there already."""
    target = Path(request["target"])
    if is_installed(request, target):
        return {"changed": False}
    url, ca_pem = request["url"], request["ca_pem"]
    try:
        expected = request["sha256"]
        if expected is None:
            checksums = fetch(request["checksums_url"], ca_pem).decode()
            expected = published(checksums, url.rpartition("/")[2])
        content = fetch(url, ca_pem)
    except (urllib.error.URLError, TimeoutError) as exc:
        raise ConnectionError(f"cannot download {url}: {exc}") from exc
    actual = hashlib.sha256(content).hexdigest()
    if actual != expected:
        raise RuntimeError(
            f"{url} has sha256 {actual}, expected {expected}: it was thrown away. "
            "Find out who changed it; a checksum pinned in the artifacts block may be an old one."
        )
    executable = unpack(content, request["member"]) if request["member"] else content
    target_sha256 = install(executable, target)
    record = record_path(target)
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(json.dumps({"url": url, "sha256": actual, "target_sha256": target_sha256}))
    return {"changed": True}
