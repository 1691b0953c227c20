"""Azure Resource Manager and its token endpoint, as the unmodified SDK sees them.

`urls` is the one routing table, `resources/` has one file per type, `store` the state,
`operations` the long-running ones, `responses` and `errors` the envelopes,
`fabric` turns the store into the network that packets see.
"""

from sandbox.arm.app import App
from sandbox.arm.tokens import Credentials

__all__ = ["App", "Credentials"]
