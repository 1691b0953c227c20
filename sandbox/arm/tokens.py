"""The token endpoint: client credentials in, a signed bearer token out, checked on every request."""

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from sandbox.arm.errors import ArmError
from sandbox.arm.resource_type import Answer
from sandbox.arm.store import Json
from sandbox.faults.faults import Faults
from sandbox.faults.kinds import Credential

LIFETIME_S = 3599


@dataclass(frozen=True)
class Credentials:
    """The one service principal there is."""

    tenant_id: str
    subscription_id: str
    client_id: str
    client_secret: str = field(repr=False)


class Tokens:
    """Issues and checks tokens; they die with the process, as its key does.

    Args:
        credentials: Who may have one.
        clock: Seconds since 1970; the tests have their own.
        faults: Among them, that the secret has expired.
    """

    def __init__(self, credentials: Credentials, clock: Callable[[], float], faults: Faults) -> None:
        self._credentials, self._clock, self._faults = credentials, clock, faults
        self._key = secrets.token_bytes(32)

    def handle(self, method: str, path: str, base_url: str, body: bytes) -> Answer | None:
        """Answer a request for the login endpoint; None if it is none of its paths.

        Source: facts/azure.md section 1, the ADFS paths among it.
        """
        tenant, _, rest = path.removeprefix("/").partition("/")
        documents = ("v2.0/.well-known/openid-configuration", ".well-known/openid-configuration")
        if method == "GET" and rest in documents:
            return Answer(200, _openid(base_url, tenant))
        if method == "POST" and rest in ("oauth2/v2.0/token", "oauth2/token"):
            form = {key: values[0] for key, values in parse_qs(body.decode(errors="replace")).items()}
            return self._token(tenant, form)
        return None

    def is_keeper(self, authorization: str | None) -> bool:
        """Tell whether the sandbox's own commands ask: they show the secret itself."""
        secret = self._credentials.client_secret
        return hmac.compare_digest((authorization or "").encode(), f"Bearer {secret}".encode())

    def check(self, authorization: str | None) -> None:
        """Let a request pass that carries a valid token; codes as ARM's, from memory."""
        if not authorization:
            raise self._unauthorized("AuthenticationFailed", "The 'Authorization' header is missing.")
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            message = "The 'Authorization' header is provided in an invalid format."
            raise self._unauthorized("AuthenticationFailedInvalidHeader", message)
        head, _, signature = token.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._sign(head).encode()):
            raise self._unauthorized("InvalidAuthenticationToken", "The access token is invalid.")
        expired = _decode(head.partition(".")[2])["exp"] <= self._clock()
        if expired or self._faults.active(Credential):
            raise self._unauthorized("ExpiredAuthenticationToken", "The access token has expired.")

    def _token(self, tenant: str, form: Mapping[str, str]) -> Answer:
        mine = self._credentials
        if tenant.lower() not in (mine.tenant_id, "adfs"):
            text = (
                f"AADSTS90002: Tenant '{tenant}' not found. Check to make sure you have the correct tenant "
                "ID."
            )
            return _refused(400, "invalid_request", 90002, text)
        if form.get("grant_type") != "client_credentials":
            text = f"AADSTS70003: The app requested an unsupported grant type '{form.get('grant_type')}'."
            return _refused(400, "unsupported_grant_type", 70003, text)
        if form.get("client_id", "").lower() != mine.client_id:
            text = f"AADSTS700016: Application with identifier '{form.get('client_id')}' was not found."
            return _refused(400, "unauthorized_client", 700016, text)
        if not hmac.compare_digest(form.get("client_secret", "").encode(), mine.client_secret.encode()):
            text = (
                "AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the "
                "request is the client secret value, not the client secret ID, for a secret added to app "
                f"'{mine.client_id}'."
            )
            return _refused(401, "invalid_client", 7000215, text)
        if self._faults.active(Credential):
            text = (
                f"AADSTS7000222: The provided client secret keys for app '{mine.client_id}' are expired. "
                "Visit the Azure portal to create new keys for your app: https://aka.ms/NewClientSecret"
            )
            return _refused(401, "invalid_client", 7000222, text)
        token = {"token_type": "Bearer", "expires_in": LIFETIME_S, "ext_expires_in": LIFETIME_S}
        return Answer(200, {**token, "access_token": self._issue()})

    def _issue(self) -> str:
        now, mine = int(self._clock()), self._credentials
        claims = {
            "aud": "https://management.azure.com/",
            "iss": f"https://sts.windows.net/{mine.tenant_id}/",
            "iat": now,
            "nbf": now,
            "exp": now + LIFETIME_S,
            "appid": mine.client_id,
            "oid": mine.client_id,
            "tid": mine.tenant_id,
        }
        head = f"{_encode({'typ': 'JWT', 'alg': 'HS256'})}.{_encode(claims)}"
        return f"{head}.{self._sign(head)}"

    def _sign(self, head: str) -> str:
        digest = hmac.new(self._key, head.encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

    def _unauthorized(self, code: str, message: str) -> ArmError:
        error = ArmError(401, code, f"Authentication failed. {message}")
        error.headers["WWW-Authenticate"] = (
            f'Bearer authorization_uri="https://login.microsoftonline.com/{self._credentials.tenant_id}", '
            f'error="invalid_token", error_description="{message}"'
        )
        return error


def _openid(base_url: str, tenant: str) -> Json:
    root = f"{base_url}/{tenant}"
    oauth = f"{root}/oauth2" if tenant == "adfs" else f"{root}/oauth2/v2.0"
    return {
        "issuer": f"{root}/v2.0",
        "token_endpoint": f"{oauth}/token",
        "authorization_endpoint": f"{oauth}/authorize",
        "device_authorization_endpoint": f"{oauth}/devicecode",
        "jwks_uri": f"{root}/discovery/v2.0/keys",
        "token_endpoint_auth_methods_supported": ["client_secret_post"],
        "response_types_supported": ["code", "id_token", "token"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "tenant_region_scope": None,
    }


def _refused(status: int, error: str, number: int, text: str) -> Answer:
    return Answer(status, {"error": error, "error_description": text, "error_codes": [number]})


def _encode(claims: Json) -> str:
    return base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()


def _decode(text: str) -> Json:
    try:
        claims: Json = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (binascii.Error, ValueError) as error:  # the signature was ours, so this cannot be
        raise ArmError(401, "InvalidAuthenticationToken", "The access token is invalid.") from error
    return claims
