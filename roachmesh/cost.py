"""What a plan costs, from a snapshot of Azure's list prices; data only, shown elsewhere.

Networks, security groups, route tables, interfaces and availability sets cost nothing. Traffic depends on
use, so its prices per GB stand beside the total and not in it. Discounts, taxes and reservations are unknown.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from typing import Literal

from roachmesh.plan import Plan, RegionPlan
from roachmesh.prices import PerGb, Snapshot
from roachmesh.topology import Model

# Azure's own month: 8,760 hours over 12.
HOURS_PER_MONTH = 730


class Line(Model):
    """So many of one thing; `price_usd` is that of one, per hour or per month as Azure lists it."""

    what: Literal["machines", "system disks", "data disks", "public addresses"]
    item: str
    count: int
    per: Literal["hour", "month"]
    price_usd: Decimal | None

    @property
    def usd_per_month(self) -> Decimal | None:
        """What all of them cost in a month of 730 hours; None where no price is known."""
        if self.price_usd is None:
            return None
        return self.price_usd * self.count * (HOURS_PER_MONTH if self.per == "hour" else 1)

    @property
    def usd_per_hour(self) -> Decimal | None:
        """What all of them cost in an hour; None where no price is known."""
        return None if self.usd_per_month is None else self.usd_per_month / HOURS_PER_MONTH


class RegionCost(Model):
    """What stands in one region; sums leave out what has no known price."""

    name: str
    location: str
    lines: tuple[Line, ...]

    @property
    def usd_per_month(self) -> Decimal:
        """The sum of the lines whose price is known."""
        return sum((line.usd_per_month or Decimal(0) for line in self.lines), Decimal(0))

    @property
    def usd_per_hour(self) -> Decimal:
        """The same for an hour."""
        return self.usd_per_month / HOURS_PER_MONTH

    @property
    def unknown(self) -> tuple[str, ...]:
        """A sentence for each thing without a known price."""
        items = dict.fromkeys(line.item for line in self.lines if line.price_usd is None)
        return tuple(f"no price known for {item} in {self.location}" for item in items)


class TrafficPrice(Model):
    """The price of a GB of one kind of traffic, for the regions that Azure bills alike."""

    what: str
    zone: str | None
    regions: tuple[str, ...]
    usd_per_gb: Decimal | None


class Cost(Model):
    """What a plan costs by the list prices of `date`, region by region."""

    date: date
    source: str
    currency: Literal["USD"]
    regions: tuple[RegionCost, ...]
    traffic: tuple[TrafficPrice, ...]

    @property
    def usd_per_month(self) -> Decimal:
        """The sum over the regions, without traffic and without what has no known price."""
        return sum((region.usd_per_month for region in self.regions), Decimal(0))

    @property
    def usd_per_hour(self) -> Decimal:
        """The same for an hour."""
        return self.usd_per_month / HOURS_PER_MONTH

    @property
    def complete(self) -> bool:
        """Whether everything that stands still has a known price; otherwise the total is too low."""
        return not any(region.unknown for region in self.regions)

    @property
    def unknown(self) -> tuple[str, ...]:
        """A sentence for each thing without a known price, traffic included."""
        standing = [sentence for region in self.regions for sentence in region.unknown]
        flowing = [
            f"no price known for {price.what} ({', '.join(price.regions)})"
            for price in self.traffic
            if price.usd_per_gb is None
        ]
        return tuple(dict.fromkeys(standing + flowing))


def estimate(plan: Plan, snapshot: Snapshot) -> Cost:
    """Price everything that a plan lists."""
    return Cost(
        date=snapshot.date,
        source=snapshot.source,
        currency=snapshot.currency,
        regions=tuple(_region(region, snapshot) for region in plan.regions),
        traffic=(*_peering(plan.regions, snapshot), *_internet(plan.regions, snapshot)),
    )


def _region(region: RegionPlan, snapshot: Snapshot) -> RegionCost:
    count, location = len(region.nodes), region.location
    machine = snapshot.machines.usd_per_hour.get(location, {}).get(region.size)
    address = snapshot.addresses.usd_per_hour.get(location)
    disks = snapshot.disks.usd_per_month.get(location, {})
    system, data = (snapshot.disks.tier(size) for size in (region.os_disk_gib, region.data_disk_gib))
    lines = (
        Line(what="machines", item=region.size, count=count, per="hour", price_usd=machine),
        Line(what="system disks", item=_disk(system), count=count, per="month", price_usd=disks.get(system)),
        Line(what="data disks", item=_disk(data), count=count, per="month", price_usd=disks.get(data)),
        Line(
            what="public addresses", item="Standard static IPv4", count=count, per="hour", price_usd=address
        ),
    )
    return RegionCost(name=region.name, location=location, lines=lines)


def _disk(tier: str) -> str:
    return f"Premium SSD {tier} LRS"


def _peering(regions: Sequence[RegionPlan], snapshot: Snapshot) -> Iterator[TrafficPrice]:
    """Price what leaves and what enters a peered network: Azure bills both ends."""
    neighbours = Counter(region.location for region in regions)
    names = tuple(region.name for region in regions if neighbours[region.location] > 1)
    if names:
        yield from _both_ways("peering within a location", None, names, snapshot.peering.within_location)
    if len(neighbours) > 1:
        for zone, names in _by_zone(regions, snapshot).items():
            price = snapshot.peering.by_zone.get(zone) if zone else None
            yield from _both_ways("peering between locations", zone, names, price)


def _both_ways(
    what: str, zone: str | None, regions: tuple[str, ...], price: PerGb | None
) -> Iterator[TrafficPrice]:
    ways = {"outbound": price and price.outbound_usd, "inbound": price and price.inbound_usd}
    for way, usd_per_gb in ways.items():
        yield TrafficPrice(what=f"{what}, {way}", zone=zone, regions=regions, usd_per_gb=usd_per_gb)


def _internet(regions: Sequence[RegionPlan], snapshot: Snapshot) -> Iterator[TrafficPrice]:
    what = f"internet, outbound, after {snapshot.internet.free_gb_per_month} GB a month"
    for zone, names in _by_zone(regions, snapshot).items():
        usd_per_gb = snapshot.internet.outbound_usd_per_gb.get(zone) if zone else None
        yield TrafficPrice(what=what, zone=zone, regions=names, usd_per_gb=usd_per_gb)


def _by_zone(regions: Sequence[RegionPlan], snapshot: Snapshot) -> dict[str | None, tuple[str, ...]]:
    """Group regions by the zone that bills their traffic, in the plan's order."""
    zones: dict[str | None, tuple[str, ...]] = {}
    for region in regions:
        zone = snapshot.zone(region.location)
        zones[zone] = (*zones.get(zone, ()), region.name)
    return zones
