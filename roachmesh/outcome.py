"""What came of making something what the plan says."""

from typing import Literal

from roachmesh.topology import Model


class Outcome(Model):
    """A thing, named as people call it ("NSG nsg-eastus"), that now is as planned, and what it took."""

    what: str
    change: Literal["created", "updated", "unchanged"]
