"""Azure's public retail price list: what to ask it, and which rows of its answers count.

Source: "Azure Retail Prices overview" of the Azure documentation (filters, paging, fields); for the names of
    meters, rows of the list kept in the public repositories azure-price-mirror and azure-pricing-radar, and
    what bicep-cost, az-scout-plugin-network-cost and infracost ask for.
"""

import re
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

# What is listed under the same size but is not a machine with Linux, pay as you go.
OTHER_OFFERS = re.compile("Windows|Cloud Services|Spot|Low Priority", re.IGNORECASE)

# What one meter costs, by location.
Listed = dict[str, Decimal]


class Row(BaseModel):
    """As much of a price as is needed; the list says more."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel)

    arm_region_name: str
    currency_code: str
    effective_start_date: AwareDatetime
    meter_name: str
    product_name: str
    retail_price: Decimal
    sku_name: str
    tier_minimum_units: Decimal
    unit_of_measure: str
    offer: str = Field(alias="type")


class Page(BaseModel):
    """One answer of the list; the last one links nowhere."""

    items: tuple[Row, ...] = Field(alias="Items")
    next_link: str | None = Field(alias="NextPageLink")


class Meter(BaseModel):
    """A question to the list, and what of the answer counts."""

    name: str
    query: str
    unit: str
    from_units: Decimal = Decimal(0)

    def counts(self, row: Row, now: datetime) -> bool:
        """Whether a row is this meter's price, in force and not free."""
        return (
            (row.offer, row.currency_code) == ("Consumption", "USD")
            and (row.unit_of_measure, row.tier_minimum_units) == (self.unit, self.from_units)
            and row.retail_price > 0
            and row.effective_start_date <= now
            and not OTHER_OFFERS.search(f"{row.product_name} {row.sku_name} {row.meter_name}")
        )

    def prices(self, rows: Iterable[Row], now: datetime) -> Listed:
        """Give the price in every location; the newest that is in force counts.

        Raises:
            ValueError: a location has two prices of the same day.
        """
        newest: dict[str, Row] = {}
        for row in sorted(rows, key=lambda row: row.effective_start_date):
            if not self.counts(row, now):
                continue
            known = newest.get(row.arm_region_name, row)
            same_day = known.effective_start_date == row.effective_start_date
            if same_day and known.retail_price != row.retail_price:
                raise ValueError(
                    f"{self.name} in {row.arm_region_name} costs {known.retail_price} and {row.retail_price}"
                )
            newest[row.arm_region_name] = row
        return {place: row.retail_price for place, row in newest.items()}


def machine(size: str) -> Meter:
    """Ask for an hour of a machine."""
    query = f"serviceName eq 'Virtual Machines' and armSkuName eq '{size}'"
    return Meter(name=size, query=query, unit="1 Hour")


def disk(tier: str) -> Meter:
    """Ask for a month of a disk."""
    name = f"{tier} LRS Disk"
    query = f"productName eq 'Premium SSD Managed Disks' and meterName eq '{name}'"
    return Meter(name=name, query=query, unit="1/Month")


def address() -> Meter:
    """Ask for an hour of a public address."""
    name = "Standard IPv4 Static Public IP"
    return Meter(name=name, query=f"productName eq 'IP Addresses' and meterName eq '{name}'", unit="1 Hour")


def peering(name: str) -> Meter:
    """Ask for a GB between peered networks: `Inter-Region` or `Intra-Region`, `Egress` or `Ingress`."""
    return Meter(name=name, query=f"serviceName eq 'Virtual Network' and meterName eq '{name}'", unit="1 GB")


def internet(free_gb: int) -> Meter:
    """Ask for a GB out to the internet, in the first band that is paid."""
    name = "Standard Data Transfer Out"
    query = f"productName eq 'Rtn Preference: MGN' and meterName eq '{name}'"
    return Meter(name=name, query=query, unit="1 GB", from_units=Decimal(free_gb))
