"""Where machines download binaries from, and what those must be."""

from urllib.parse import quote, urlsplit

from prefect.blocks.core import Block
from pydantic import BaseModel, Field

from roachmesh.forms import may_be_empty

COCKROACHDB_HOST = "binaries.cockroachdb.com"
K3S_RELEASES = "github.com/k3s-io/k3s/releases/download"
CILIUM_CHARTS = "helm.cilium.io"


class Artifact(BaseModel, frozen=True):
    """An executable to download.

    Attributes:
        url: Where the file is that is downloaded.
        checksums_url: Where its checksum is, in a line that names it, or in the only line.
        sha256: Its checksum, if that is pinned.
        member: The executable's path in the file, if that is an archive.
        ca_pem: Certificates to trust instead of the public ones.
    """

    url: str
    checksums_url: str
    sha256: str | None
    member: str | None
    ca_pem: str | None


class Mirror(BaseModel, frozen=True):
    """A server that has the images of all registries, and whom to trust for it."""

    url: str
    ca_pem: str | None

    @property
    def host(self) -> str:
        """Its host, with its port if that is not the usual one."""
        return urlsplit(self.url).netloc


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
        "https://mirror.example/binaries.cockroachdb.com/cockroach-v26.2.2.linux-amd64.tgz. For k3s its host "
        "must also be a registry that has the images of all others, at /v2/.",
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
        description="Pinned checksums by file name; that of k3s has the version behind it, as in "
        "k3s-v1.36.4+k3s1. A file without one is checked against the published one beside it.",
    )

    def cockroachdb(self, version: str) -> Artifact:
        """Find CockroachDB's archive for Linux on x86-64."""
        name = f"cockroach-{version}.linux-amd64"
        url = f"{self._root(COCKROACHDB_HOST)}/{name}.tgz"
        return Artifact(
            url=url,
            checksums_url=f"{url}.sha256sum",
            sha256=self.sha256.get(f"{name}.tgz"),
            member=f"{name}/cockroach",
            ca_pem=self.ca_pem,
        )

    def k3s(self, version: str) -> Artifact:
        """Find k3s for Linux on x86-64."""
        release = f"{self._root(K3S_RELEASES)}/{quote(version)}"
        return Artifact(
            url=f"{release}/k3s",
            checksums_url=f"{release}/sha256sum-amd64.txt",
            sha256=self.sha256.get(f"k3s-{version}"),
            member=None,
            ca_pem=self.ca_pem,
        )

    @property
    def cilium_charts(self) -> str:
        """The Helm repository of Cilium's charts."""
        return self._root(CILIUM_CHARTS)

    @property
    def images(self) -> Mirror | None:
        """Where machines pull all images from; None for the registries that the images are named after."""
        if not self.base_url:
            return None
        parts = urlsplit(self.base_url)
        return Mirror(url=f"{parts.scheme}://{parts.netloc}", ca_pem=self.ca_pem)

    def _root(self, host: str) -> str:
        return f"{self.base_url.rstrip('/')}/{host}" if self.base_url else f"https://{host}"
