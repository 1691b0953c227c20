"""The key that opens a topology's machines."""

from prefect.blocks.core import Block
from pydantic import Field, SecretStr


class SshKey(Block):
    """An SSH key pair in OpenSSH's formats.

    Example:
        ```python
        from blocks.ssh_key import SshKey

        key = SshKey.load("BLOCK_NAME")
        ```
    """

    _block_type_name = "SSH Key"
    _block_type_slug = "ssh-key"
    _description = "The SSH key of a topology's machines, made by its first deployment."
    _documentation_url = "https://www.openssh.com/manual.html"  # type: ignore[assignment]

    public_key: str = Field(description="One line, as in authorized_keys.")
    private_key: SecretStr = Field(description="The private half, an OpenSSH PEM.")
