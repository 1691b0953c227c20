"""The certificate authority of one database cluster."""

from datetime import UTC, datetime, timedelta

from prefect.blocks.core import Block
from pydantic import Field, SecretStr

from roachmesh.certificates import NODE_LIFETIME, KeyPair, Purpose, Use, issue


class Certificates(Block):
    """The authority that signs a cluster's certificates, or the two of a split CA: for nodes and for clients.

    Their keys are used in the memory of the process that loads them, and never written or sent.

    Example:
        ```python
        from blocks.certificates import Certificates

        certificates = Certificates.load("BLOCK_NAME")
        root = certificates.issue(client_purpose("root"), timedelta(hours=1))
        ```
    """

    _block_type_name = "Certificates"
    _block_type_slug = "certificates"
    _description = "The certificate authority of a cluster, made by its first deployment."
    _documentation_url = "https://www.cockroachlabs.com/docs/stable/authentication"  # type: ignore[assignment]

    ca_certificate: str = Field(description="The authority's certificate, PEM; ca.crt on the nodes.")
    ca_key: SecretStr = Field(description="The authority's private key, PEM.")

    client_ca_certificate: str = Field(
        title="Client CA certificate",
        default="",
        description="Of a split CA: the clients' authority's certificate, PEM; ca-client.crt on the nodes.",
    )
    client_ca_key: SecretStr = Field(
        title="Client CA key", default=SecretStr(""), description="Of a split CA: its private key, PEM."
    )

    @property
    def is_split(self) -> bool:
        """Whether clients have an authority of their own."""
        return bool(self.client_ca_certificate)

    @property
    def trusted(self) -> dict[str, str]:
        """What a node trusts: certificates by the names of their files."""
        split = {"ca-client.crt": self.client_ca_certificate} if self.is_split else {}
        return {"ca.crt": self.ca_certificate, **split}

    def authority(self, use: Use = Use.SERVER) -> KeyPair:
        """Give the authority for servers or clients with its key, to issue with."""
        if use is Use.CLIENT and self.is_split:
            return KeyPair(self.client_ca_certificate, self.client_ca_key.get_secret_value())
        return KeyPair(self.ca_certificate, self.ca_key.get_secret_value())

    def issue(self, purpose: Purpose, lifetime: timedelta = NODE_LIFETIME) -> KeyPair:
        """Issue a certificate with a new key."""
        return issue(self.authority(purpose.use), purpose, datetime.now(UTC), lifetime)
