"""What Prefect's forms have to be told of a model's schema."""

from typing import Any


def may_be_empty(field: dict[str, Any]) -> None:
    """Show a field that is text or None as text that may just be left empty.

    As a union it would be two tabs, one of them called None. Prefect takes nothing for whatever is not
    required and has no default.
    """
    match field:
        case {"anyOf": [kind, {"type": "null"}], "default": None}:
            del field["anyOf"], field["default"]
            field.update(kind)
