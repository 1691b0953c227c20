"""The passwords of a database's SQL users."""

import hashlib
import hmac

from prefect.blocks.core import Block
from pydantic import Field, SecretStr


class DatabasePasswords(Block):
    """What the password of every SQL user is derived from.

    Example:
        ```python
        from blocks.database_passwords import DatabasePasswords

        passwords = DatabasePasswords.load("BLOCK_NAME")
        password = passwords.of("app")
        ```
    """

    _block_type_name = "Database Passwords"
    _block_type_slug = "database-passwords"
    _description = "The passwords of a topology's SQL users, made by its first deployment."
    _documentation_url = "https://www.cockroachlabs.com/docs/stable/authentication"  # type: ignore[assignment]

    key: SecretStr = Field(
        description="Another one gives every user another password, at the next deployment."
    )

    def of(self, user: str) -> str:
        """Give a user's password, which tells nothing of another's."""
        return hmac.new(self.key.get_secret_value().encode(), user.encode(), hashlib.sha256).hexdigest()
