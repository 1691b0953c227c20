"""What Azure charges for what a deployment is made of: a snapshot with its date and its sources.

`snapshot.json` beside this file is data, not code: `python -m tasks.prices` writes it anew from Azure's
public list. A price that no source gave is not in it, and whoever needs it says so instead of guessing.
"""

import json
from datetime import date
from decimal import Decimal
from functools import cache
from importlib import resources
from typing import Annotated, Literal

from pydantic import Field, PlainSerializer

from roachmesh.topology import Model

FILE_NAME = "snapshot.json"

Price = Annotated[Decimal, Field(gt=0), PlainSerializer(float, return_type=float, when_used="json")]
# By location, by size or tier.
PriceTable = dict[str, dict[str, Price]]


class Source(Model):
    """Where a group's numbers come from, and of which day they are; None where it gives no day."""

    date: date | None
    of: str
    origin: str


class Group(Model):
    """Prices of one kind."""

    sources: tuple[Source, ...] = Field(min_length=1)


class Machines(Group):
    """Machines with Linux, pay as you go."""

    usd_per_hour: PriceTable


class Disks(Group):
    """Premium SSDs, locally redundant; a disk is billed as the smallest tier that holds it."""

    size_gib: dict[str, int]
    usd_per_month: PriceTable

    def tier(self, size_gib: int) -> str:
        """Name the tier that a disk of this size is billed as.

        Raises:
            ValueError: Azure has no disk that large.
        """
        fitting = [(size, tier) for tier, size in self.size_gib.items() if size >= size_gib]
        if not fitting:
            raise ValueError(f"no tier holds {size_gib} GiB")
        return min(fitting)[1]


class Addresses(Group):
    """Static public IPv4 addresses of the Standard kind, by location."""

    usd_per_hour: dict[str, Price]


class PerGb(Model):
    """What a gigabyte costs on its way out of a network, and on its way into one."""

    outbound_usd: Price
    inbound_usd: Price


class Peering(Group):
    """Traffic between peered networks: within one location, and between locations by their zones."""

    within_location: PerGb
    by_zone: dict[str, PerGb]


class Internet(Group):
    """Traffic out to the internet by zone, past what is free, in the first band that is paid."""

    free_gb_per_month: int
    outbound_usd_per_gb: dict[str, Price]


class Zones(Group):
    """The zones by which Azure bills traffic; they have nothing to do with availability zones."""

    locations: dict[str, tuple[str, ...]]


class Snapshot(Model):
    """All prices; `date` is the oldest day that any of them is from."""

    date: date
    source: str
    currency: Literal["USD"]
    machines: Machines
    disks: Disks
    addresses: Addresses
    peering: Peering
    internet: Internet
    zones: Zones

    def zone(self, location: str) -> str | None:
        """Name the zone by which a location's traffic is billed; None where that is not known."""
        return next((zone for zone, places in self.zones.locations.items() if location in places), None)


@cache
def shipped() -> Snapshot:
    """Give the snapshot that is kept in the repository."""
    return load(resources.files(__name__).joinpath(FILE_NAME).read_text(encoding="utf-8"))


def load(text: str) -> Snapshot:
    """Read a snapshot from JSON."""
    return Snapshot.model_validate_json(text)


def dump(snapshot: Snapshot) -> str:
    """Write a snapshot as JSON, a line for each price and in a fixed order, so that a diff reads well."""
    return json.dumps(snapshot.model_dump(mode="json"), indent=1, sort_keys=True) + "\n"
