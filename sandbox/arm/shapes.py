"""The shape of a body: what the sandbox reads of it must have the right type; the rest is not looked at.

A shape is written as it looks: `{"addressSpace": {"addressPrefixes": [str]}}`.
"""

from typing import Any

from sandbox.arm.errors import ArmError

Shape = dict[str, Any]

REFERENCE: Shape = {"id": str}
CHILDREN = [{"name": str, "properties": {}}]
ENVELOPE: Shape = {"location": str, "tags": {}, "properties": {}, "zones": [str], "sku": {"name": str}}
NAMES = {str: "a string", int: "an integer", bool: "true or false"}


def check_shape(value: Any, shape: Any, path: str) -> None:
    """Refuse a body that cannot be read. Source: the code is the network provider's, from memory."""
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            raise _refused(path, "an object")
        for name, inner in shape.items():
            if name in value:
                check_shape(value[name], inner, f"{path}.{name}" if path else name)
    elif isinstance(shape, list):
        if not isinstance(value, list):
            raise _refused(path, "a list")
        for position, item in enumerate(value):
            check_shape(item, shape[0], f"{path}[{position}]")
    elif type(value) is not shape:  # a bool is an int in Python, and none here
        raise _refused(path, NAMES[shape])


def without_nulls(value: Any) -> Any:
    """A copy in which fields that are null are absent, as Azure takes them."""
    if isinstance(value, dict):
        return {name: without_nulls(inner) for name, inner in value.items() if inner is not None}
    return [without_nulls(inner) for inner in value] if isinstance(value, list) else value


def _refused(path: str, expected: str) -> ArmError:
    message = f"Cannot parse the request: {path} must be {expected}."
    return ArmError(400, "InvalidRequestFormat", message, target=path)
