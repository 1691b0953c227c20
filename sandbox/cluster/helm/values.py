"""Merge values as Helm does: maps key by key, anything else replaced, null removes."""

from collections.abc import Iterable

import yaml

from sandbox.cluster.kubernetes_api import Object


class ValuesError(Exception):
    """Values cannot be read."""


class Refused(Exception):
    """A chart refuses its values, as `fail` in a template would; a line for each reason."""


def merged(base: Object, over: Object) -> Object:
    """Return `base` with everything of `over` laid over it."""
    result = dict(base)
    for key, value in over.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        else:
            result[key] = value
    return result


def parsed(text: str, name: str) -> Object:
    """Read a file of values.

    Raises:
        ValuesError: it is no YAML, or no map.
    """
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValuesError(f"failed to parse {name}: error converting YAML to JSON: {error}") from error
    if values is not None and not isinstance(values, dict):
        raise ValuesError(f"failed to parse {name}: values must be a map")
    return values or {}


def from_flags(pairs: Iterable[tuple[str, bool]]) -> Object:
    """Read `a.b=c` of --set (typed) and --set-string.

    Raises:
        ValuesError: a list or an escape is used, which is not emulated.
    """
    values: Object = {}
    for pair, typed in pairs:
        path, _, text = pair.partition("=")
        if any(sign in path for sign in "[]{}\\,"):
            raise ValuesError(f"set {path}: lists and escapes are not emulated by the sandbox")
        *parents, last = path.split(".")
        value: Object = {last: yaml.safe_load(text) if typed else text}
        for key in reversed(parents):
            value = {key: value}
        values = merged(values, value)
    return values
