"""Tokens: who gets one, and what ARM says to a request without a valid one."""

import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import ClientSecretCredential

from tests.sandbox.arm_fixtures import CREDENTIALS, SCOPE, Azure, control_plane

GROUPS = f"/subscriptions/{CREDENTIALS.subscription_id}/resourcegroups"
FORM = {
    "grant_type": "client_credentials",
    "client_id": CREDENTIALS.client_id,
    "client_secret": CREDENTIALS.client_secret,
    "scope": SCOPE,
}


@pytest.fixture
def azure(tmp_path: Path) -> Iterator[Azure]:
    with control_plane(tmp_path) as found:
        yield found


def ask(azure: Azure, tenant: str = CREDENTIALS.tenant_id, **changes: str) -> tuple[int, Any]:
    body = urllib.parse.urlencode(FORM | changes).encode()
    status, answer, _ = azure.raw("POST", f"/{tenant}/oauth2/v2.0/token", body, version=None, token=None)
    return status, answer


def test_the_right_secret_gets_a_bearer_token_for_an_hour(azure: Azure) -> None:
    status, answer = ask(azure)
    assert status == 200
    assert (answer["token_type"], answer["expires_in"]) == ("Bearer", 3599)
    assert azure.raw("GET", GROUPS, token=answer["access_token"])[0] == 200


def test_a_wrong_secret_is_refused_as_entra_does(azure: Azure) -> None:
    status, answer = ask(azure, client_secret="wrong")
    assert (status, answer["error"], answer["error_codes"]) == (401, "invalid_client", [7000215])
    assert "wrong" not in answer["error_description"]
    credential = ClientSecretCredential(
        CREDENTIALS.tenant_id,
        CREDENTIALS.client_id,
        "wrong",
        authority=azure.endpoint,
        disable_instance_discovery=True,
        connection_verify=str(azure.ca_file),
    )
    with credential, pytest.raises(ClientAuthenticationError, match="AADSTS7000215"):
        credential.get_token(SCOPE)


@pytest.mark.parametrize(
    ("changes", "number"),
    [
        ({"tenant": "99999999-9999-9999-9999-999999999999"}, 90002),
        ({"client_id": "99999999-9999-9999-9999-999999999999"}, 700016),
        ({"grant_type": "password"}, 70003),
    ],
)
def test_an_unknown_tenant_client_or_grant_is_refused(
    azure: Azure, changes: dict[str, str], number: int
) -> None:
    status, answer = ask(azure, **changes)
    assert (status, answer["error_codes"]) == (400, [number])


def test_the_openid_document_names_the_token_endpoint(azure: Azure) -> None:
    for tenant, end in ((CREDENTIALS.tenant_id, "/oauth2/v2.0/token"), ("adfs", "/oauth2/token")):
        path = f"/{tenant}/.well-known/openid-configuration"
        _, document, _ = azure.raw("GET", path, version=None, token=None)
        assert document["token_endpoint"] == f"{azure.endpoint}/{tenant}{end}"


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (None, "AuthenticationFailed"),
        ("Basic dXNlcjpwYXNz", "AuthenticationFailedInvalidHeader"),
        ("Bearer nonsense", "InvalidAuthenticationToken"),
        ("Bearer a.b.c", "InvalidAuthenticationToken"),
        ("Bearer \u00fc.\u00fc.\u00fc", "InvalidAuthenticationToken"),
    ],
)
def test_a_request_without_a_valid_token_is_refused(azure: Azure, header: str | None, code: str) -> None:
    headers = {"Authorization": header} if header else {}
    status, answer, received = azure.raw("GET", GROUPS, token=None, headers=headers)
    assert (status, answer["error"]["code"]) == (401, code)
    assert received["www-authenticate"].startswith("Bearer authorization_uri=")


def test_a_forged_token_is_refused(azure: Azure) -> None:
    _, answer = ask(azure)
    head, claims, signature = answer["access_token"].split(".")
    forged = f"{head}.{claims[:-2]}AA.{signature}"
    status, answer, _ = azure.raw("GET", GROUPS, token=forged)
    assert (status, answer["error"]["code"]) == (401, "InvalidAuthenticationToken")


def test_a_token_expires(azure: Azure) -> None:
    _, answer = ask(azure)
    azure.clock.now += 3598
    assert azure.raw("GET", GROUPS, token=answer["access_token"])[0] == 200
    azure.clock.now += 2
    status, refused, _ = azure.raw("GET", GROUPS, token=answer["access_token"])
    assert (status, refused["error"]["code"]) == (401, "ExpiredAuthenticationToken")
