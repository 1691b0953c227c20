"""Where machines download binaries from, and what those must be."""

from prefect.blocks.core import Block
from pydantic import BaseModel, Field

from roachmesh.forms import may_be_empty

COCKROACHDB_HOST = "binaries.cockroachdb.com"


class Artifact(BaseModel, frozen=True):
    """A file to download; without `sha256` its checksum stands at `<url>.sha256sum`."""

    file: str
    url: str
    sha256: str | None
    ca_pem: str | None


class Artifacts(Block):
    """The official hosts of binaries, or a mirror of them.

    Example:
        ```python
        from blocks.artifacts import Artifacts

        artifacts = Artifacts.load("BLOCK_NAME")
        archive = artifacts.cockroachdb("v26.2.2")
        ```
    """

    _block_type_name = "Artifacts"
    _block_type_slug = "artifacts"
    _description = "Where machines download binaries from: the official hosts, or a mirror of them."
    _documentation_url = "https://www.cockroachlabs.com/docs/releases/"  # type: ignore[assignment]

    base_url: str | None = Field(
        title="Base URL",
        default=None,
        description="A mirror; it keeps the official host as the first folder, as in "
        "https://mirror.example/binaries.cockroachdb.com/cockroach-v26.2.2.linux-amd64.tgz.",
        json_schema_extra=may_be_empty,
    )
    ca_pem: str | None = Field(
        title="Certificates, PEM",
        default=None,
        description="Certificates to trust for the mirror instead of the public ones.",
        json_schema_extra=may_be_empty,
    )
    sha256: dict[str, str] = Field(
        title="SHA-256",
        default_factory=dict,
        description="Pinned checksums by file name. A file without one is checked against the "
        ".sha256sum that stands beside it.",
    )

    def cockroachdb(self, version: str) -> Artifact:
        """Find CockroachDB's archive for Linux on x86-64."""
        file = f"cockroach-{version}.linux-amd64.tgz"
        return Artifact(
            file=file,
            url=f"{self._root(COCKROACHDB_HOST)}/{file}",
            sha256=self.sha256.get(file),
            ca_pem=self.ca_pem,
        )

    def _root(self, host: str) -> str:
        return f"{self.base_url.rstrip('/')}/{host}" if self.base_url else f"https://{host}"
