import json

import pytest
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
)

from roachmesh.errors import AzureBusy, AzureRefused
from tasks.azure_errors import translate


class Answer:
    """As much of an HTTP response as the SDK's errors look at."""

    def __init__(self, status: int, code: str, details: list[str]) -> None:
        self.status_code, self.reason = status, code
        self._error = {"code": code, "message": "as said", "details": [{"code": one} for one in details]}

    def text(self, encoding: str | None = None) -> str:
        return json.dumps({"error": self._error})


def refusal(status: int, code: str, *details: str) -> HttpResponseError:
    return HttpResponseError(response=Answer(status, code, list(details)))


def caused(error: AzureError, cause: Exception) -> AzureError:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error",
    [
        refusal(429, "TooManyRequests"),
        refusal(503, "ServiceUnavailable"),
        refusal(409, "AnotherOperationInProgress"),
        refusal(200, "ReferencedResourceNotProvisioned"),
        refusal(429, "RetryableError", "ReferencedResourceNotProvisioned"),
        refusal(400, "SomethingElse", "ReferencedResourceNotProvisioned"),
        ServiceRequestError("connection refused"),
        caused(ClientAuthenticationError("no token"), ServiceRequestError("connection refused")),
    ],
    ids=lambda error: str(error)[:40],
)
def test_what_time_can_heal_is_transient(error: AzureError) -> None:
    assert isinstance(translate(error, "vnet-eastus"), AzureBusy)


@pytest.mark.parametrize(
    ("error", "code", "advice"),
    [
        (refusal(403, "AuthorizationFailed"), "AuthorizationFailed", "role Contributor"),
        (refusal(409, "OperationNotAllowed"), "OperationNotAllowed", "more quota"),
        (refusal(409, "SkuNotAvailable"), "SkuNotAvailable", "another `size`"),
        (refusal(200, "VnetAddressSpacesOverlap"), "VnetAddressSpacesOverlap", ""),
        (ClientAuthenticationError("AADSTS7000215"), "AuthenticationFailed", "its expiry"),
        (ServiceRequestError("[SSL: CERTIFICATE_VERIFY_FAILED] no issuer"), "", "`ca_pem`"),
    ],
)
def test_what_time_cannot_heal_is_permanent_and_comes_with_advice(
    error: AzureError, code: str, advice: str
) -> None:
    translated = translate(error, "vnet-eastus")

    assert isinstance(translated, AzureRefused)
    assert translated.code == code
    assert advice in translated.advice
    assert str(translated).startswith("vnet-eastus: ")
