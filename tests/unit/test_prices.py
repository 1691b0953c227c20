import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from roachmesh import prices
from roachmesh.errors import AzureRefused, Permanent
from roachmesh.prices import Group, Snapshot, listing
from tasks.prices import API_VERSION, SNAPSHOT, main, refresh

SHIPPED = prices.shipped()
PRICED = ("machines", "disks", "addresses", "peering", "internet")
TODAY = datetime.now(UTC).date()
Row = dict[str, Any]


def small() -> Snapshot:
    """Give a snapshot of a few prices, so that a refresh takes few questions."""
    content = SHIPPED.model_dump()
    machines, disks = content["machines"]["usd_per_hour"], content["disks"]["usd_per_month"]
    sizes, tiers = ("Standard_D4s_v5", "Standard_E8as_v5"), ("P6", "P10")
    places = ("eastus", "northeurope")
    content["machines"]["usd_per_hour"] = {at: {size: machines[at][size] for size in sizes} for at in places}
    content["disks"]["usd_per_month"] = {at: {tier: disks[at][tier] for tier in tiers} for at in places}
    content["disks"]["size_gib"] = {"P6": 64, "P10": 128}
    content["addresses"]["usd_per_hour"] = dict.fromkeys(places, Decimal("0.005"))
    content["zones"]["locations"] = {"1": (*places, "uksouth"), "2": ("japaneast",)}
    del content["peering"]["by_zone"]["3"]
    del content["internet"]["outbound_usd_per_gb"]["3"]
    return Snapshot.model_validate(content)


SMALL = small()


def row(place: str, price: Decimal, unit: str, **more: Any) -> Row:
    """Give a row in the list's shape, with the fields that its documentation shows."""
    return {
        "currencyCode": "USD",
        "tierMinimumUnits": 0.0,
        "retailPrice": float(price),
        "unitPrice": float(price),
        "armRegionName": place,
        "location": place.upper(),
        "effectiveStartDate": "2024-01-01T00:00:00Z",
        "meterId": "000a794b-bdb0-58be-a0cd-0c3a0f222923",
        "meterName": "",
        "productId": "DZH318Z0BQPS",
        "skuId": "DZH318Z0BQPS/00TG",
        "productName": "",
        "skuName": "",
        "serviceName": "",
        "serviceId": "DZH313Z7MMC8",
        "serviceFamily": "Compute",
        "unitOfMeasure": unit,
        "type": "Consumption",
        "isPrimaryMeterRegion": True,
        "armSkuName": "",
    } | more


def machine(place: str, size: str, price: Decimal, **more: Any) -> Row:
    product = {"productName": "Virtual Machines Dsv5 Series", "skuName": size, "meterName": size}
    return row(place, price, "1 Hour", serviceName="Virtual Machines", armSkuName=size, **(product | more))


def peering(place: str, name: str, price: Decimal) -> Row:
    names = {"productName": "Virtual Network Peering", "meterName": name}
    return row(place, price, "1 GB", serviceName="Virtual Network", **names)


def internet(place: str, from_gb: int, price: Decimal) -> Row:
    names = {"productName": "Rtn Preference: MGN", "meterName": "Standard Data Transfer Out"}
    return row(place, price, "1 GB", serviceName="Bandwidth", tierMinimumUnits=float(from_gb), **names)


def rows_of(snapshot: Snapshot) -> Iterator[Row]:
    """Tell a snapshot's prices as the list would, each among offers that must not count."""
    for place, table in snapshot.machines.usd_per_hour.items():
        for size, price in table.items():
            yield machine(place, size, price)
            yield machine(place, size, price * 2, productName="Virtual Machines Dsv5 Series Windows")
            yield machine(place, size, price / 3, skuName=f"{size} Spot")
            yield machine(place, size, price / 4, meterName=f"{size} Low Priority")
            yield machine(place, size, price * 5, productName="Dsv5 Series Cloud Services")
            yield machine(place, size, price * 999, type="Reservation")
            yield machine(place, size, price * 7, effectiveStartDate="2021-01-01T00:00:00Z")
            yield machine(place, size, price * 8, effectiveStartDate="2999-01-01T00:00:00Z")
    for place, table in snapshot.disks.usd_per_month.items():
        for tier, price in table.items():
            names = {"productName": "Premium SSD Managed Disks", "skuName": f"{tier} LRS"}
            yield row(place, price, "1/Month", meterName=f"{tier} LRS Disk", **names)
            yield row(place, price / 20, "1/Month", meterName=f"{tier} LRS Disk Mount", **names)
            names |= {"productName": "Premium Page Blob", "meterName": f"{tier} LRS Disk"}
            yield row(place, price * 3, "1/Month", **names)
    for place, price in snapshot.addresses.usd_per_hour.items():
        names = {"productName": "IP Addresses", "meterName": "Standard IPv4 Static Public IP"}
        yield row(place, price, "1 Hour", **names)
    local = snapshot.peering.within_location
    yield peering("Global", "Intra-Region Egress", local.outbound_usd)
    yield peering("Global", "Intra-Region Ingress", local.inbound_usd)
    for zone, places in snapshot.zones.locations.items():
        for place in places:
            yield peering(place, "Inter-Region Egress", snapshot.peering.by_zone[zone].outbound_usd)
            yield peering(place, "Inter-Region Ingress", snapshot.peering.by_zone[zone].inbound_usd)
            yield internet(place, 0, Decimal(0))
            yield internet(place, 100, snapshot.internet.outbound_usd_per_gb.get(zone, Decimal("0.12")))
            yield internet(place, 10335, Decimal("0.01"))


class PriceList:
    """A server that answers as the list's documentation says, with pages that are far too small."""

    def __init__(self, rows: list[Row]) -> None:
        self.rows = rows
        self.page_size = 5
        self.asked: list[str] = []
        self.body: bytes | None = None
        self.statuses: list[int] = []
        self.past_the_end = 0
        price_list = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                price_list.answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/api/retail/prices"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        query = {name: values[0] for name, values in parse_qs(urlsplit(request.path).query).items()}
        self.asked.append(query["$filter"])
        status = self.statuses.pop(0) if self.statuses else 200
        found = [one for one in self.rows if matches(one, query["$filter"])]
        skip = int(query.get("$skip", "0"))
        body = self.body or self.page(found, skip, query["$filter"])
        if skip and skip >= len(found):
            self.past_the_end += 1
            status, body = 400, b'{"Error": {"Message": "Skip value is greater than the total count"}}'
        request.send_response(status)
        request.send_header("Content-Length", str(len(body)))
        if status in (429, 503):
            request.send_header("Retry-After", "0")
        request.end_headers()
        request.wfile.write(body)

    def page(self, found: list[Row], skip: int, asked: str) -> bytes:
        items = found[skip : skip + self.page_size]
        more = f"{self.url}?api-version={API_VERSION}&$filter={quote(asked)}&$skip={skip + self.page_size}"
        envelope = {"BillingCurrency": "USD", "CustomerEntityId": "Default", "CustomerEntityType": "Retail"}
        link = more if len(items) == self.page_size else None
        return json.dumps(envelope | {"Items": items, "NextPageLink": link, "Count": len(items)}).encode()


def matches(one: Row, asked: str) -> bool:
    """Judge a filter; `priceType` is the field that answers call `type`."""
    terms = re.findall(r"(\w+) eq '([^']*)'", asked)
    assert " and ".join(f"{name} eq '{value}'" for name, value in terms) == asked
    return all(one["type" if name == "priceType" else name] == value for name, value in terms)


@pytest.fixture
def price_list() -> Iterator[PriceList]:
    fake = PriceList(list(rows_of(SMALL)))
    thread = Thread(target=fake.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield fake
    fake.server.shutdown()
    fake.server.server_close()
    thread.join()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "snapshot.json"
    path.write_text(prices.dump(SMALL))
    return path


def test_the_snapshot_is_dated_by_its_oldest_source() -> None:
    groups: list[Group] = [getattr(SHIPPED, name) for name in PRICED]
    days = [source.date for group in groups for source in group.sources if source.date]

    assert min(days) == SHIPPED.date
    assert max(days) <= TODAY


@pytest.mark.parametrize("group", [*PRICED, "zones"])
def test_every_group_of_prices_names_its_sources(group: str) -> None:
    for source in getattr(SHIPPED, group).sources:
        assert source.of
        assert len(source.origin) > 20


def test_the_snapshot_is_written_as_it_would_be_written_again() -> None:
    text = SNAPSHOT.read_text()

    assert prices.dump(prices.load(text)) == text


def test_every_location_with_a_price_has_a_zone_and_every_zone_a_price_for_peering() -> None:
    places = {*SHIPPED.machines.usd_per_hour, *SHIPPED.disks.usd_per_month, *SHIPPED.addresses.usd_per_hour}
    zoned = [place for zone in SHIPPED.zones.locations.values() for place in zone]

    assert [place for place in places if SHIPPED.zone(place) is None] == []
    assert len(zoned) == len(set(zoned))
    assert set(SHIPPED.peering.by_zone) == set(SHIPPED.zones.locations)


def test_disks_are_priced_in_every_tier_and_larger_ones_are_dearer() -> None:
    tiers = sorted(SHIPPED.disks.size_gib, key=lambda tier: SHIPPED.disks.size_gib[tier])

    for table in SHIPPED.disks.usd_per_month.values():
        assert [table[tier] for tier in tiers] == sorted(table.values())


def test_sizes_of_a_family_are_priced_by_their_vcpus() -> None:
    """What a price of Windows, or a slip of the pen, would break."""
    for place, table in SHIPPED.machines.usd_per_hour.items():
        families: dict[str, dict[int, Decimal]] = {}
        for size, price in table.items():
            series, vcpus, kind = re.fullmatch(r"Standard_([A-Z]+)(\d+)(\w+)", size).groups()
            families.setdefault(series + kind, {})[int(vcpus)] = price
        for family, by_vcpus in families.items():
            each = [price / vcpus for vcpus, price in by_vcpus.items()]
            assert max(each) - min(each) < Decimal("0.001"), (place, family)


def test_the_default_size_has_a_price_in_the_default_locations() -> None:
    for place in ("eastus", "westus", "northeurope"):
        assert "Standard_D4s_v5" in SHIPPED.machines.usd_per_hour[place]


def test_a_refresh_finds_the_same_prices_and_dates_them_today(price_list: PriceList, file: Path) -> None:
    snapshot = refresh(file, url=price_list.url)

    assert snapshot.date == TODAY
    assert prices.load(file.read_text()) == snapshot
    for group in PRICED:
        (source,) = getattr(snapshot, group).sources
        assert (source.date, source.origin) == (TODAY, price_list.url)
    assert snapshot.machines.usd_per_hour == SMALL.machines.usd_per_hour
    assert snapshot.disks.usd_per_month == SMALL.disks.usd_per_month
    assert snapshot.addresses.usd_per_hour == SMALL.addresses.usd_per_hour
    assert snapshot.peering.by_zone == SMALL.peering.by_zone
    assert snapshot.peering.within_location == SMALL.peering.within_location
    assert snapshot.zones == SMALL.zones
    assert all(asked.endswith(" and priceType eq 'Consumption'") for asked in price_list.asked)


def test_a_refresh_adds_what_the_list_has_in_further_locations(price_list: PriceList, file: Path) -> None:
    price_list.rows.append(machine("uksouth", "Standard_D4s_v5", Decimal("0.23")))
    snapshot = refresh(file, url=price_list.url)

    assert snapshot.machines.usd_per_hour["uksouth"] == {"Standard_D4s_v5": Decimal("0.23")}
    assert snapshot.internet.outbound_usd_per_gb["2"] == Decimal("0.12")


def test_a_location_without_a_zone_is_not_added(price_list: PriceList, file: Path) -> None:
    price_list.rows.append(machine("usgovvirginia", "Standard_D4s_v5", Decimal("0.3")))

    assert "usgovvirginia" not in refresh(file, url=price_list.url).machines.usd_per_hour


def test_a_changed_price_replaces_the_old_one_and_nothing_else(price_list: PriceList, file: Path) -> None:
    place, size = "eastus", "Standard_D4s_v5"
    price_list.rows.append(machine(place, size, Decimal("0.2"), effectiveStartDate="2024-06-01T00:00:00Z"))
    before = refresh(file, url=price_list.url).model_dump()["machines"]["usd_per_hour"]

    assert before[place].pop(size) == Decimal("0.2")
    shipped = SMALL.model_dump()["machines"]["usd_per_hour"]
    del shipped[place][size]
    assert before == shipped


def test_an_answer_that_fills_its_last_page_ends_there(price_list: PriceList, file: Path) -> None:
    """The list links past its end then, and refuses to go there."""
    price_list.page_size = 1
    snapshot = refresh(file, url=price_list.url)

    assert price_list.past_the_end == len(set(price_list.asked))
    assert snapshot.machines.usd_per_hour == SMALL.machines.usd_per_hour


def test_what_is_not_found_is_named_and_the_file_is_left_alone(price_list: PriceList, file: Path) -> None:
    price_list.rows = [
        one
        for one in price_list.rows
        if (one["armRegionName"], one["armSkuName"]) != ("eastus", "Standard_D4s_v5")
        and one["meterName"] not in ("P6 LRS Disk", "Intra-Region Ingress")
    ]
    with pytest.raises(Permanent) as failed:
        refresh(file, url=price_list.url)

    assert failed.value.message == (
        "Azure's price list does not have: "
        "disks.usd_per_month.eastus.P6, disks.usd_per_month.northeurope.P6, "
        "machines.usd_per_hour.eastus.Standard_D4s_v5, peering.within_location.inbound_usd."
    )
    assert "Take out of it what Azure has withdrawn" in str(failed.value)
    assert_untouched(file)


def test_a_zone_that_is_billed_in_two_ways_is_told(price_list: PriceList, file: Path) -> None:
    for one in price_list.rows:
        if (one["armRegionName"], one["meterName"]) == ("uksouth", "Inter-Region Egress"):
            one["retailPrice"] = 0.05
    with pytest.raises(Permanent, match=r"tells apart what stands in one zone, 1: .*uksouth 0\.05"):
        refresh(file, url=price_list.url)

    assert_untouched(file)


def test_two_prices_of_one_day_are_not_chosen_from(price_list: PriceList, file: Path) -> None:
    price_list.rows.append(machine("eastus", "Standard_D4s_v5", Decimal("0.5")))
    with pytest.raises(
        Permanent, match=r"contradicts itself: Standard_D4s_v5 in eastus costs 0\.192 and 0\.5"
    ):
        refresh(file, url=price_list.url)

    assert_untouched(file)


@pytest.mark.parametrize("body", [b"<html>Sign in to the guest network</html>", b'{"Items": [{}]}'])
def test_what_is_no_price_list_is_refused(price_list: PriceList, file: Path, body: bytes) -> None:
    price_list.body = body
    with pytest.raises(Permanent, match="is no price list"):
        refresh(file, url=price_list.url)

    assert_untouched(file)


def test_a_busy_list_is_asked_again(price_list: PriceList, file: Path) -> None:
    price_list.statuses = [429]

    assert refresh(file, url=price_list.url).date == TODAY


def test_a_refusal_is_told_and_the_file_is_left_alone(price_list: PriceList, file: Path) -> None:
    price_list.statuses = [403]
    with pytest.raises(AzureRefused, match="price list, Standard_"):
        refresh(file, url=price_list.url)

    assert_untouched(file)


def test_a_list_without_an_end_is_left(
    price_list: PriceList, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.prices.MAX_PAGES", 2)
    price_list.page_size = 1
    with pytest.raises(Permanent, match="no end after 2 pages"):
        refresh(file, url=price_list.url)


def test_a_price_from_tomorrow_does_not_count_yet() -> None:
    meter = listing.machine("Standard_D4s_v5")
    listed = [machine("eastus", meter.name, Decimal(1), effectiveStartDate="2026-02-01T00:00:00Z")]
    rows = listing.Page.model_validate({"Items": listed, "NextPageLink": None}).items

    assert meter.prices(rows, datetime(2026, 1, 31, tzinfo=UTC)) == {}
    assert meter.prices(rows, datetime(2026, 2, 1, tzinfo=UTC)) == {"eastus": Decimal(1)}


def assert_untouched(file: Path) -> None:
    assert file.read_text() == prices.dump(SMALL)
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_the_command_says_what_it_did_or_why_not(
    price_list: PriceList, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(file, price_list.url) == 0
    assert capsys.readouterr().out == f"{file}: prices of {TODAY}\n"

    price_list.rows.clear()
    assert main(file, price_list.url) == 1
    assert "Azure's price list does not have: addresses.usd_per_hour.eastus" in capsys.readouterr().err
