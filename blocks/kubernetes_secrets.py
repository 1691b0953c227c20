"""What the k3s clusters of a topology share in secret."""

import hashlib
import hmac

from prefect.blocks.core import Block
from pydantic import Field, SecretStr

from roachmesh.certificates import KeyPair


class KubernetesSecrets(Block):
    """The token that lets machines into the clusters, and the authority that the clusters' networks trust.

    The authority is for Cilium alone, since its key is kept in every cluster.

    Example:
        ```python
        from blocks.kubernetes_secrets import KubernetesSecrets

        secrets = KubernetesSecrets.load("BLOCK_NAME")
        token = secrets.token_of("eastus")
        ```
    """

    _block_type_name = "Kubernetes Secrets"
    _block_type_slug = "kubernetes-secrets"
    _description = "The secrets of a topology's k3s clusters, made by its first deployment."
    _documentation_url = "https://docs.k3s.io/cli/token"  # type: ignore[assignment]

    token: SecretStr = Field(description="What the token of each cluster is derived from.")
    cilium_ca_certificate: str = Field(
        title="Cilium CA certificate", description="The certificate of the clusters' common authority, PEM."
    )
    cilium_ca_key: SecretStr = Field(title="Cilium CA key", description="Its private key, PEM.")

    def token_of(self, region: str) -> str:
        """Give the token of one cluster, which opens no other."""
        key = self.token.get_secret_value().encode()
        return hmac.new(key, region.encode(), hashlib.sha256).hexdigest()

    def cilium_authority(self) -> KeyPair:
        """Give the authority of the clusters' networks with its key."""
        return KeyPair(self.cilium_ca_certificate, self.cilium_ca_key.get_secret_value())
