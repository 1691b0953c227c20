"""The licence of a CockroachDB cluster; a topology without such a block has none."""

from prefect.blocks.core import Block
from pydantic import Field, SecretStr


class CockroachDBLicence(Block):
    """A licence key, and the organisation that it is for.

    Example:
        ```python
        from blocks.cockroachdb_licence import CockroachDBLicence

        licence = CockroachDBLicence.load("BLOCK_NAME")
        settings = licence.cluster_settings()
        ```
    """

    _block_type_name = "CockroachDB Licence"
    _block_type_slug = "cockroachdb-licence"
    _description = "The licence of the cluster of the topology that the block is named after."
    _documentation_url = "https://www.cockroachlabs.com/docs/stable/licensing-faqs"  # type: ignore[assignment]

    organization: str = Field(description="The organisation that the licence names.")
    key: SecretStr = Field(title="Licence key", description="The key, as it was sent to you: crl-...")

    def cluster_settings(self) -> dict[str, str]:
        """Give the cluster settings that make it valid, the secret key among them."""
        return {
            "cluster.organization": self.organization,
            "enterprise.license": self.key.get_secret_value(),
        }
