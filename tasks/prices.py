"""Write the snapshot of prices anew from Azure's public retail price list: `python -m tasks.prices`.

The list needs no account. It could not be reached from where this was written: the shape of its answers is
that of its documentation, the meters are those of `roachmesh/prices/listing.py`, and both were tried against
a small server that answers alike. The first run against the real list is the test of that.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from azure.core import PipelineClient
from azure.core.pipeline.policies import RetryPolicy, UserAgentPolicy
from azure.core.rest import HttpRequest, HttpResponse
from pydantic import ValidationError

from roachmesh import prices
from roachmesh.errors import Permanent, RoachmeshError
from roachmesh.prices import Snapshot, listing
from roachmesh.prices.listing import Listed, Meter, Page, Row
from tasks.azure_errors import azure_errors

PRICE_LIST = "https://prices.azure.com/api/retail/prices"
API_VERSION = "2023-01-01-preview"
SNAPSHOT = Path(prices.__file__).with_name(prices.FILE_NAME)
MAX_PAGES = 200
TIMEOUT_S = 60
WAYS = {"outbound_usd": "Egress", "inbound_usd": "Ingress"}
UNCHANGED = "The file is unchanged."

Client = PipelineClient[HttpRequest, HttpResponse]


def refresh(path: Path, *, url: str = PRICE_LIST) -> Snapshot:
    """Ask the list for what the snapshot prices, in every location that it knows, and replace the file.

    A size that the list has in a further location is added there. The file is replaced whole or not at all.

    Args:
        path: The snapshot to renew.
        url: Where the list answers.

    Raises:
        Permanent: a price of the file is not in the list any more, or the list contradicts itself or the
            file's zones.
        AzureBusy, AzureRefused: the list does not answer.
    """
    old = prices.load(path.read_text(encoding="utf-8"))
    with Client(url, policies=[UserAgentPolicy("roachmesh"), RetryPolicy()]) as client:
        document = _renew(old, lambda meter: _ask(client, url, meter), url)
    lost = sorted(_priced(old.model_dump()) - _priced(document))
    if lost:
        raise Permanent(
            f"Azure's price list does not have: {', '.join(lost)}.",
            where=str(path),
            advice=f"{UNCHANGED} Take out of it what Azure has withdrawn, and refresh again.",
        )
    snapshot = Snapshot.model_validate(document)
    _replace(path, prices.dump(snapshot))
    return snapshot


def _renew(old: Snapshot, ask: Callable[[Meter], Listed], url: str) -> dict[str, Any]:
    """Give the snapshot's content with what the list says now; what the list lacks is absent."""
    zones = old.zones.locations
    places = sorted(place for zone in zones.values() for place in zone)
    sizes = sorted({size for table in old.machines.usd_per_hour.values() for size in table})
    machines = {size: ask(listing.machine(size)) for size in sizes}
    disks = {tier: ask(listing.disk(tier)) for tier in old.disks.size_gib}
    addresses = ask(listing.address())
    within = {way: ask(listing.peering(f"Intra-Region {name}")) for way, name in WAYS.items()}
    between = {way: ask(listing.peering(f"Inter-Region {name}")) for way, name in WAYS.items()}
    internet = ask(listing.internet(old.internet.free_gb_per_month))
    news: dict[str, dict[str, Any]] = {
        "machines": {"usd_per_hour": _turned(machines, places)},
        "disks": {"usd_per_month": _turned(disks, places)},
        "addresses": {"usd_per_hour": {place: addresses[place] for place in places if place in addresses}},
        "peering": {
            "within_location": _turned(within, ["Global"]).get("Global", {}),
            "by_zone": _turned({way: _by_zone(found, zones) for way, found in between.items()}, zones),
        },
        "internet": {"outbound_usd_per_gb": _by_zone(internet, zones)},
    }
    today = datetime.now(UTC).date()
    document = old.model_dump() | {"date": today}
    for group, content in news.items():
        document[group] |= content | {"sources": [{"date": today, "of": "everything", "origin": url}]}
    return document


def _turned(found: Mapping[str, Listed], places: Iterable[str]) -> dict[str, Listed]:
    """Turn prices by item into prices by place, of the places that are asked for."""
    table = {place: {item: at[place] for item, at in found.items() if place in at} for place in places}
    return {place: row for place, row in table.items() if row}


def _by_zone(found: Listed, zones: Mapping[str, tuple[str, ...]]) -> Listed:
    """Give each zone the price that its locations share; a location that is not listed says nothing.

    Raises:
        Permanent: locations of one zone have different prices.
    """
    table: Listed = {}
    for zone, places in zones.items():
        listed = {place: found[place] for place in places if place in found}
        if len(set(listed.values())) > 1:
            different = ", ".join(f"{place} {price}" for place, price in listed.items())
            raise Permanent(
                f"Azure's price list tells apart what stands in one zone, {zone}: {different}.",
                advice=f"{UNCHANGED} Correct its zones and refresh again.",
            )
        if listed:
            table[zone] = next(iter(listed.values()))
    return table


def _ask(client: Client, url: str, meter: Meter) -> Listed:
    """Ask for one meter's price in every location."""
    try:
        with azure_errors(f"price list, {meter.name}"):
            return meter.prices(_rows(client, url, meter.query), datetime.now(UTC))
    except ValidationError as exc:
        raise Permanent(f"What answers at {url} is no price list.", advice=UNCHANGED) from exc
    except ValueError as exc:
        raise Permanent(f"Azure's price list contradicts itself: {exc}.", advice=UNCHANGED) from exc


def _rows(client: Client, url: str, query: str) -> Iterator[Row]:
    """Read an answer page by page."""
    parameters = {"api-version": API_VERSION, "$filter": f"{query} and priceType eq 'Consumption'"}
    link: str | None = f"{url}?{urlencode(parameters, quote_via=quote)}"
    for _ in range(MAX_PAGES):
        if not link:
            return
        response = client.send_request(
            HttpRequest("GET", link), connection_timeout=TIMEOUT_S, read_timeout=TIMEOUT_S
        )
        # After a page that the answer's end filled exactly, the list links past its end and then says so.
        if response.status_code == 400 and "Skip value" in response.text():
            return
        response.raise_for_status()
        page = Page.model_validate_json(response.text())
        yield from page.items
        link = page.next_link
    raise ValueError(f"no end after {MAX_PAGES} pages for {query}")


def _priced(node: object, path: str = "") -> set[str]:
    """Name every price in a snapshot's content by its place in the file."""
    if isinstance(node, Decimal):
        return {path}
    if not isinstance(node, Mapping):
        return set()
    return {name for key, value in node.items() for name in _priced(value, f"{path}.{key}".lstrip("."))}


def _replace(path: Path, text: str) -> None:
    """Put a text into a file, whole or not at all."""
    new = path.with_name(f"{path.name}.new")
    try:
        new.write_text(text, encoding="utf-8")
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def main(path: Path = SNAPSHOT, url: str = PRICE_LIST) -> int:
    """Renew the snapshot in the repository; gives the exit code."""
    try:
        snapshot = refresh(path, url=url)
    except RoachmeshError as exc:
        sys.stderr.write(f"{exc}\n")
        return exc.exit_code
    sys.stdout.write(f"{path}: prices of {snapshot.date}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
