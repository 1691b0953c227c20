"""What Azure says when it refuses what is right: quotas, capacity, rights, policies, locks."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Refusal:
    """An answer of Azure's.

    Attributes:
        text: With `{subscription}`, `{client}`, `{location}`, `{action}` and `{scope}` to be filled in.
        at_boot: It comes when a machine gets its place, as the failure of an operation.
    """

    status: int
    text: str
    at_boot: bool = False


# Source: the texts are those of public issues and of the page "Common Azure deployment errors" of the Azure
# documentation, numbers and links shortened.
REFUSALS = {
    "OperationNotAllowed": Refusal(
        409,
        "Operation could not be completed as it results in exceeding approved Total Regional Cores quota. "
        "Additional details - Deployment Model: Resource Manager, Location: {location}, Current Limit: 10, "
        "Current Usage: 8, Additional Required: 4, (Minimum) New Limit Required: 12. Submit a request for "
        "Quota increase at https://aka.ms/ProdportalCRP by specifying parameters listed in the 'Details' "
        "section for deployment to succeed. Please read more about quota limits at "
        "https://docs.microsoft.com/en-us/azure/azure-supportability/regional-quota-requests",
    ),
    "AllocationFailed": Refusal(
        409,
        "Allocation failed. We do not have sufficient capacity for the requested VM size in this region. "
        "Read more about improving likelihood of allocation success at https://aka.ms/allocation-guidance",
        at_boot=True,
    ),
    "ZonalAllocationFailed": Refusal(
        409,
        "Allocation failed. We do not have sufficient capacity for the requested VM size in this zone. Read "
        "more about improving likelihood of allocation success at https://aka.ms/allocation-guidance",
        at_boot=True,
    ),
    "SkuNotAvailable": Refusal(
        409,
        "The requested VM size for resource 'Following SKUs have failed for Capacity Restrictions: "
        "Standard_D4s_v5' is currently not available in location '{location}'. Please try another size or "
        "deploy to a different location or different zone. See https://aka.ms/azureskunotavailable for "
        "details.",
    ),
    "PublicIPCountLimitReached": Refusal(
        400, "Cannot create more than 10 public IP addresses for this subscription in this region."
    ),
    "AuthorizationFailed": Refusal(
        403,
        "The client '{client}' with object id '{client}' does not have authorization to perform action "
        "'{action}' over scope '{scope}' or the scope is invalid. If access was recently granted, please "
        "refresh your credentials.",
    ),
    "RequestDisallowedByPolicy": Refusal(403, "Resource '{scope}' was disallowed by policy."),
    "ScopeLocked": Refusal(
        409,
        "The scope '{scope}' cannot perform write operation because following scope(s) are locked: "
        "'/subscriptions/{subscription}'. Please remove the lock and try again.",
    ),
    "ReadOnlyDisabledSubscription": Refusal(
        409,
        "The subscription '{subscription}' is disabled and therefore marked as read only. You cannot perform "
        "any write actions on this subscription until it is re-enabled.",
    ),
    "AnotherOperationInProgress": Refusal(
        409, "Another operation on this or dependent resource is in progress."
    ),
    "InternalServerError": Refusal(500, "An error occurred."),
}
