"""The few requests that `up` and `status` make of a running sandbox, as any client of Azure would."""

import json
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from sandbox import tls
from sandbox.card import Card

VERSION = "2026-03-01"
TIMEOUT_S = 10.0


def answers(card: Card) -> bool:
    """Tell whether the sandbox of this card is up: its ARM and its mirror answer with its certificates."""
    try:
        _fetch(card, f"{card.arm_endpoint}/metadata/endpoints?api-version={VERSION}")
        _fetch(card, card.public_address_url)
    except (urllib.error.URLError, OSError):  # refused, another authority's certificate, no such network
        return False
    return True


def list_of(card: Card, path: str) -> list[dict[str, Any]]:
    """The items of a list in the subscription, for example `resources`."""
    url = f"{card.arm_endpoint}/subscriptions/{card.subscription_id}/{path}"
    separator = "&" if "?" in url else "?"
    headers = {"Authorization": f"Bearer {_token(card)}"}
    answer = json.loads(_fetch(card, f"{url}{separator}api-version={VERSION}", headers=headers))
    return list(answer["value"])


def _token(card: Card) -> str:
    form = {
        "grant_type": "client_credentials",
        "client_id": card.client_id,
        "client_secret": card.client_secret,
        "scope": "https://management.azure.com/.default",
    }
    body = urllib.parse.urlencode(form).encode()
    url = f"{card.authority}/{card.tenant_id}/oauth2/v2.0/token"
    return str(json.loads(_fetch(card, url, body))["access_token"])


def _fetch(card: Card, url: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> bytes:
    request = urllib.request.Request(url, body, headers or {})  # noqa: S310 - https, by the card
    context = tls.client_context(card.ca_pem)
    with urllib.request.urlopen(request, timeout=TIMEOUT_S, context=context) as answer:  # noqa: S310
        content: bytes = answer.read()
    return content
