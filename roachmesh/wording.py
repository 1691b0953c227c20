"""How a mistake in a topology is said: what is wrong, then what to write instead.

What a topology holds may be hostile, so a message repeats little of it, and in plain ASCII.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError, ValidationError

Location = tuple[int | str, ...]

SHOWN_LENGTH = 40
LONGEST_NUMBER = 10**18


def shown(value: object) -> str:
    """Repeat a value in a message: short, in ASCII, and never what is inside a list or mapping."""
    if isinstance(value, str):
        return ascii(value if len(value) <= SHOWN_LENGTH else f"{value[:SHOWN_LENGTH]}...")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and abs(value) < LONGEST_NUMBER:
        return str(value)
    names = {dict: "a mapping", list: "a list", tuple: "a list", float: "a fraction", int: "a huge number"}
    return "nothing" if value is None else names.get(type(value), f"a {type(value).__name__}")


def strange_character(text: str) -> str:
    """Name the first character that is not plain ASCII: it may be invisible, or look like another one."""
    strange = next((c for c in text if not " " <= c <= "~"), None)
    if strange is None:
        return ""
    return f" (it contains U+{ord(strange):04X}, {unicodedata.name(strange, 'a control character')})"


def closest(word: str, known: Iterable[str]) -> str | None:
    """Give the known word that a mistaken one was probably meant to be: few people miss the first letter."""
    close = get_close_matches(word[:SHOWN_LENGTH].lower(), known)
    return max(close, key=lambda other: other[:1] == word[:1].lower(), default=None)


def dotted(location: Location) -> str:
    """Write a location as a person would: `regions[1].vnet`."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{_key(part)}" for part in location)
    return "".join(parts).lstrip(".") or "topology"


def sentence(error: ErrorDetails, known_keys: Iterable[str]) -> str:
    """Say an error of pydantic's; `known_keys` are those of the mapping that it is about."""
    kind, value = error["type"], error["input"]
    if kind == "extra_forbidden":
        guess, keys = closest(str(error["loc"][-1]), known_keys), ", ".join(known_keys)
        return "there is no such key; " + (f"did you mean `{guess}`?" if guess else f"write one of {keys}.")
    if kind == "model_type":
        keys = ", ".join(known_keys)
        return f"{_is_no(value, 'mapping')}; write `key: value` on lines of their own, the keys being {keys}."
    if kind == "missing":
        key = str(error["loc"][-1])
        return f"is missing; write `{key}: {_EXAMPLES.get(key, '...')}`."
    say = _SENTENCES.get(kind)
    return say(value, error.get("ctx", {})) if say else error["msg"]


def mistake(location: Location, message: str, value: Any = None, kind: str = "refused") -> InitErrorDetails:
    """Make an error of pydantic's that says a sentence of ours."""
    # The message is an argument of the template, since it may repeat braces that a person wrote.
    error = PydanticCustomError(kind, "{message}", {"message": message})
    return InitErrorDetails(type=error, loc=location, input=value)


def raise_if_any(mistakes: list[InitErrorDetails]) -> None:
    """Raise all mistakes at once, so that nobody learns of them one run at a time."""
    if mistakes:
        raise ValidationError.from_exception_data("topology", mistakes)


def _key(part: str) -> str:
    return part if part.isascii() and part.isidentifier() and len(part) <= SHOWN_LENGTH else shown(part)


def _is_no(value: object, wanted: str) -> str:
    return "is empty" if value is None else f"{shown(value)} is no {wanted}"


def _no_text(value: object, _: Mapping[str, Any]) -> str:
    if isinstance(value, bool):
        return f"{shown(value)} is no text; write it in quotes, as YAML takes yes, no, on and off for that."
    if isinstance(value, int):
        return f'{shown(value)} is a number and text is needed; write it in quotes: "{shown(value)}".'
    return f"{_is_no(value, 'text')}; write a word, or leave the key out."


def _no_number(value: object, _: Mapping[str, Any]) -> str:
    if isinstance(value, str) and (number := re.fullmatch("([0-9]{1,9})( ?[A-Za-z]+)?", value)):
        return f"{shown(value)} is no plain number; write {int(number[1])}, without quotes or unit."
    strange = strange_character(value) if isinstance(value, str) else ""
    return f"{_is_no(value, 'whole number')}{strange}; write one in plain digits, such as 3."


def _no_list(value: object, _: Mapping[str, Any]) -> str:
    example = f"[{shown(value)}]" if isinstance(value, str) else "one, each item after `- `"
    return f"{_is_no(value, 'list')}; write {example}."


def _none_of(value: object, context: Mapping[str, Any]) -> str:
    if isinstance(value, int):
        return f"{shown(value)} is a number and text is needed; write {context['expected']}, with quotes."
    return f"{shown(value)} is not known; write {context['expected']}."


_EXAMPLES = {"platform": "vm", "name": "eastus"}
_SENTENCES: dict[str, Callable[[Any, Mapping[str, Any]], str]] = {
    "string_type": _no_text,
    "int_type": _no_number,
    "bool_type": lambda value, _: f"{shown(value)} is neither true nor false; write one of them.",
    "literal_error": _none_of,
    "tuple_type": _no_list,
    "greater_than_equal": lambda value, limit: f"{shown(value)} is too small; write {limit['ge']} or more.",
    "less_than_equal": lambda value, limit: f"{shown(value)} is too large; write {limit['le']} or less.",
    "too_short": lambda _, limit: f"is empty; write {limit['min_length']} or more.",
    "too_long": lambda value, limit: f"has {len(value)} items; write {limit['max_length']} or fewer.",
    "value_error": lambda _, context: str(context["error"]),
}
