"""The certificate authority of one database cluster."""

from prefect.blocks.core import Block
from pydantic import Field, SecretStr

from roachmesh.certificates import KeyPair


class Certificates(Block):
    """The authority that signs a cluster's node and client certificates.

    Its key is used in the memory of the process that loads it, and never written or sent.

    Example:
        ```python
        from blocks.certificates import Certificates

        certificates = Certificates.load("BLOCK_NAME")
        authority = certificates.authority()
        ```
    """

    _block_type_name = "Certificates"
    _block_type_slug = "certificates"
    _description = "The certificate authority of a cluster, made by its first deployment."
    _documentation_url = "https://www.cockroachlabs.com/docs/stable/authentication"  # type: ignore[assignment]

    ca_certificate: str = Field(description="The authority's certificate, PEM; ca.crt on the nodes.")
    ca_key: SecretStr = Field(description="The authority's private key, PEM.")

    def authority(self) -> KeyPair:
        """Give the authority with its key, to issue with."""
        return KeyPair(self.ca_certificate, self.ca_key.get_secret_value())
