"""The few requests that the command line makes of a running sandbox."""

import json
import urllib.error
import urllib.request
from typing import Any

from sandbox import tls
from sandbox.card import Card

VERSION = "2019-07-01"  # that all of Azure knows
TIMEOUT_S = 10.0
FAULTS = "/sandbox/faults"


class Refused(RuntimeError):
    """The sandbox refused; the message is a sentence."""


def answers(card: Card) -> bool:
    """Tell whether the sandbox of this card is up, whatever goes wrong in it on purpose.

    Its ARM and its mirror answer with its certificates.
    """
    try:
        faults(card)
        _fetch(card, card.public_address_url)
    except (Refused, urllib.error.URLError, OSError):  # another secret or certificate, no such network
        return False
    return True


def list_of(card: Card, path: str) -> list[dict[str, Any]]:
    """The items of a list in the subscription, for example `resources`."""
    return list(ask(card, "GET", f"/subscriptions/{card.subscription_id}/{path}")["value"])


def faults(card: Card) -> list[dict[str, Any]]:
    """What goes wrong on purpose."""
    return list(ask(card, "GET", FAULTS)["value"])


def ask(card: Card, method: str, path: str, document: dict[str, Any] | None = None) -> dict[str, Any]:
    """Ask as the keeper of the sandbox: with the secret itself, whatever is wrong with tokens.

    Raises:
        Refused: it refuses; the message is its own.
    """
    separator = "&" if "?" in path else "?"
    url = f"{card.arm_endpoint}{path}{separator}api-version={VERSION}"
    body = None if document is None else json.dumps(document).encode()
    headers = {"Authorization": f"Bearer {card.client_secret}"}
    try:
        answer = _fetch(card, url, method, body, headers)
    except urllib.error.HTTPError as error:
        with error:
            raise Refused(json.loads(error.read())["error"]["message"]) from error
    return dict(json.loads(answer))


def _fetch(
    card: Card,
    url: str,
    method: str = "GET",
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> bytes:
    request = urllib.request.Request(url, body, headers or {}, method=method)  # noqa: S310 - https, by the card
    context = tls.client_context(card.ca_pem)
    with urllib.request.urlopen(request, timeout=TIMEOUT_S, context=context) as answer:  # noqa: S310
        content: bytes = answer.read()
    return content
