"""What opens the Kubernetes API of a topology's clusters."""

from prefect.blocks.core import Block
from pydantic import Field, SecretStr


class Kubeconfig(Block):
    """A kubeconfig with a context for each k3s cluster.

    Example:
        ```python
        from blocks.kubeconfig import Kubeconfig

        kubeconfig = Kubeconfig.load("BLOCK_NAME")
        text = kubeconfig.text.get_secret_value()
        ```
    """

    _block_type_name = "Kubeconfig"
    _block_type_slug = "kubeconfig"
    _description = "A kubeconfig with a topology's k3s clusters, renewed by its deployments."
    _documentation_url = (
        "https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/"  # type: ignore[assignment]
    )

    text: SecretStr = Field(description="The file, YAML; whoever has it may do everything in the clusters.")
