"""What came of making something what the plan says."""

from typing import Literal, Self

from roachmesh.topology import Model


class Outcome(Model):
    """A thing, named as people call it ("NSG nsg-eastus"), that now is as planned, and what it took."""

    what: str
    change: Literal["created", "updated", "unchanged"]

    @classmethod
    def of(cls, what: str, *, new: bool, changed: bool) -> Self:
        """Say what came of it: what is new was created, whatever else changed was updated."""
        return cls(what=what, change="created" if new else "updated" if changed else "unchanged")
