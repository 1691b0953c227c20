"""The key that encrypts what finished tasks gave."""

from prefect.blocks.core import Block
from pydantic import Field, SecretStr


class ResultsKey(Block):
    """The key of the results that a resumed run takes from where they are kept.

    Made by the first run that needs it. Without it, tasks are done again and nothing is lost.

    Example:
        ```python
        from blocks.results_key import ResultsKey

        key = ResultsKey.load("BLOCK_NAME")
        ```
    """

    _block_type_name = "Results Key"
    _block_type_slug = "results-key"
    _description = "The key that encrypts the results of finished tasks, made by the first run."
    _documentation_url = "https://cryptography.io/en/latest/fernet/"  # type: ignore[assignment]

    key: SecretStr = Field(description="A Fernet key: 32 bytes in URL-safe base64.")
