"""What Azure's SDK raises, said once in our words: can time heal it, and what to do now."""

from collections.abc import Iterator
from contextlib import contextmanager

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)

from roachmesh.errors import AzureBusy, AzureRefused, RoachmeshError

TRANSIENT_STATUSES = frozenset({408, 429, 500, 502, 503, 504})
TRANSIENT_CODES = frozenset(
    """TooManyRequests SubscriptionRequestsThrottled RetryableError ReferencedResourceNotProvisioned
    AnotherOperationInProgress OperationPreempted CanceledAndSupersededDueToAnotherOperation
    InternalServerError Conflict ResourceGroupBeingDeleted NicInUse PublicIPAddressCannotBeDeleted
    InUseSubnetCannotBeDeleted InUseNetworkSecurityGroupCannotBeDeleted InUseRouteTableCannotBeDeleted
    AllocationFailed ZonalAllocationFailed OverconstrainedAllocationRequest
    OverconstrainedZonalAllocationRequest""".split()
)
ADVICE = {
    "AuthorizationFailed": "Give the identity the role Contributor on the subscription.",
    "OperationNotAllowed": "Ask for more quota in this location, or choose another size or location.",
    "QuotaExceeded": "Ask for more quota in this location, or choose another size or location.",
    "SkuNotAvailable": "Choose another `size`, or other `zones`, for this region.",
    "OSProvisioningTimedOut": "See the machine's boot diagnostics; deploying again starts it once more.",
    "PropertyChangeNotAllowed": "Destroy and deploy this machine anew.",
    "RequestDisallowedByPolicy": "A policy of the subscription forbids it; ask its owner.",
    "ScopeLocked": "Somebody locked the resource group; remove the lock.",
    "ReadOnlyDisabledSubscription": "The subscription is disabled.",
    "InvalidTemplateDeployment": "Read the details above.",
}


@contextmanager
def azure_errors(where: str) -> Iterator[None]:
    """Turn what the SDK raises inside into `AzureBusy` or `AzureRefused`.

    Args:
        where: What was being read or written, such as "VNet vnet-eastus".
    """
    try:
        yield
    except AzureError as exc:
        raise translate(exc, where) from exc


def translate(error: AzureError, where: str) -> RoachmeshError:
    """Say what an SDK error means.

    A failed long-running operation comes with HTTP status 200: its code decides, not its status.
    """
    if isinstance(error, ClientAuthenticationError) and isinstance(error.__cause__, ServiceRequestError):
        return translate(error.__cause__, where)  # nobody was there to look at the credentials
    if isinstance(error, ClientAuthenticationError):
        return AzureRefused(
            f"Azure did not accept the credentials: {first_line(error)}",
            where=where,
            advice="Check the azure-credentials block: tenant, client id, secret and its expiry.",
            code="AuthenticationFailed",
        )
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return AzureRefused(
            f"what answers has a certificate that we do not trust: {first_line(error)}",
            where=where,
            advice="Check the endpoints in the azure-credentials block, and `ca_pem` if they are not public.",
        )
    if isinstance(error, (ServiceRequestError, ServiceResponseError)):
        return AzureBusy(f"Azure does not answer: {first_line(error)}", where=where)
    if isinstance(error, HttpResponseError):
        codes = _codes(error)
        if codes & TRANSIENT_CODES or error.status_code in TRANSIENT_STATUSES:
            return AzureBusy(f"Azure is busy: {first_line(error)}", where=where)
        code = error.error.code if error.error and error.error.code else str(error.status_code)
        return AzureRefused(first_line(error), where=where, advice=ADVICE.get(code, ""), code=code)
    return AzureRefused(first_line(error), where=where)


def first_line(error: Exception) -> str:
    """Give what an error says, without the paragraphs that follow."""
    return str(error).strip().split("\n")[0] or type(error).__name__


def _codes(error: HttpResponseError) -> set[str]:
    if error.error is None:
        return set()
    details = error.error.details or []
    return {code for code in (error.error.code, *(detail.code for detail in details)) if code}
