"""What ARM refuses, and in which words.

Codes and statuses that concern one resource type alone stand in that type's file.
COVERAGE.md says which of them were seen in public recordings and which are only believed.
"""

from typing import Any


class ArmError(Exception):
    """An answer other than success: `{"error": {"code", "message"}}` with a status."""

    def __init__(self, status: int, code: str, message: str, *, target: str | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.status, self.code, self.message, self.target = status, code, message, target
        self.headers: dict[str, str] = {}
        self.details: list[dict[str, Any]] = []

    def body(self) -> dict[str, Any]:
        """Render the error object, without its envelope."""
        target = {"target": self.target} if self.target else {}
        details = {"details": self.details} if self.details else {}
        return {"code": self.code, "message": self.message, **target, **details}


def not_emulated(what: str) -> ArmError:
    """Refuse aloud what Azure has and the sandbox has not: a code of our own, which Azure never sends."""
    return ArmError(400, "NotEmulatedBySandbox", f"The sandbox does not emulate {what}.")


def invalid_parameter(message: str, target: str) -> ArmError:
    """Refuse a value that no state of the cloud could make right."""
    return ArmError(400, "InvalidParameter", message, target=target)


def group_not_found(name: str) -> ArmError:
    """Say that there is no such resource group."""
    return ArmError(404, "ResourceGroupNotFound", f"Resource group '{name}' could not be found.")


def group_being_deleted(name: str) -> ArmError:
    """Refuse a write to a group that is on its way out."""
    message = f"The resource group '{name}' is in deprovisioning state and cannot perform this operation."
    return ArmError(409, "ResourceGroupBeingDeleted", message)


def resource_not_found(type_and_name: str, group: str) -> ArmError:
    """Say that a top-level resource does not exist: ARM itself answers, not the provider."""
    message = (
        f"The Resource '{type_and_name}' under resource group '{group}' was not found. "
        "For more details please go to https://aka.ms/ARMResourceNotFoundFix"
    )
    return ArmError(404, "ResourceNotFound", message)


def child_not_found(resource_id: str) -> ArmError:
    """Say that a child of an existing resource does not exist: the provider answers."""
    return ArmError(404, "NotFound", f"Resource {resource_id} not found.")


def parent_not_found(name: str) -> ArmError:
    """Refuse to touch a child whose parent does not exist."""
    message = f"Can not perform requested operation on nested resource. Parent resource '{name}' not found."
    return ArmError(404, "ParentResourceNotFound", message)


def invalid_reference(target: str, referrer: str) -> ArmError:
    """Refuse a reference to what does not exist, or exists in another region."""
    message = (
        f"Resource {target} referenced by resource {referrer} was not found. Please make sure that the "
        "referenced resource exists, and that both resources are in the same region."
    )
    return ArmError(400, "InvalidResourceReference", message)


def not_provisioned(target: str, referrer: str, state: str, *, retryable: bool) -> ArmError:
    """Refuse a reference to what is still being written.

    Source: hashicorp/terraform#7986 and #7153 for most types (429), terraform-provider-azurerm#3392 for
    peerings (400).
    """
    message = (
        f"Cannot proceed with operation because resource {target} used by resource {referrer} is not in "
        f"Succeeded state. Resource is in {state} state."
    )
    error = ArmError(400, "ReferencedResourceNotProvisioned", message)
    if not retryable:
        return error
    wrapped = ArmError(429, "RetryableError", "A retryable error occurred.")
    wrapped.details.append(error.body())
    return wrapped


def property_change_not_allowed(what: str) -> ArmError:
    """Refuse to change what is fixed when a machine is made."""
    message = f"Changing property '{what}' is not allowed."
    return ArmError(409, "PropertyChangeNotAllowed", message, target=what)
