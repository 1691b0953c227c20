"""What differs between a plan and what Azure has."""

from itertools import zip_longest
from typing import Any, Literal

from roachmesh.inventory import VIRTUAL_MACHINE
from roachmesh.topology import Model


class Finding(Model):
    """One thing of the plan, and how what there is differs from it.

    Attributes:
        label: What people call it.
        type: Azure's name of its type, the kind of a Kubernetes object, or "file".
        state: "foreign" carries no tag of ours; "not planned" does, and no topology asks for it any more.
        differences: What differs, by path; empty when nothing does.
    """

    label: str
    type: str
    state: Literal[
        "as planned", "missing", "different", "not running", "unreachable", "foreign", "not planned"
    ]
    differences: tuple[str, ...] = ()

    @property
    def deploying_means(self) -> str:
        """Say what a deployment would do about it."""
        only_tags = all(line.startswith("tags.") for line in self.differences)
        if self.state == "different" and self.type == VIRTUAL_MACHINE and not only_tags:
            return "nothing: replace this machine"
        return {
            "as planned": "nothing",
            "missing": "create it",
            "different": "change it",
            "not running": "start it",
            "unreachable": "try to reach it",
            "foreign": "refuse to run",
            "not planned": "leave it",
        }[self.state]

    def __str__(self) -> str:
        return " ".join((self.label, self.state, *(f"({line})" for line in self.differences)))


def differences(wanted: Any, found: Any, path: str = "") -> list[str]:
    """List the paths at which `found` does not say what `wanted` says.

    A field that is not wanted may hold anything, since Azure adds its own. A list must have exactly
    the wanted items; those with a `name` are matched by it, in any order. Resource ids are compared
    without case, as Azure does.
    """
    if isinstance(wanted, dict):
        if not isinstance(found, dict):
            return [f"{path}: {found!r}, wanted an object"]
        return [
            line
            for key, value in wanted.items()
            for line in differences(value, found.get(key), f"{path}.{key}".lstrip("."))
        ]
    if isinstance(wanted, list):
        return _list_differences(wanted, found or [], path)
    if isinstance(wanted, str) and "\n" in wanted:
        return _text_differences(wanted, found, path)
    if _same(wanted, found):
        return []
    return [f"{path}: {found!r}, wanted {wanted!r}"]


def _list_differences(wanted: list[Any], found: list[Any], path: str) -> list[str]:
    if wanted and all(isinstance(item, dict) and "name" in item for item in wanted):
        by_name = {item["name"]: item for item in found}
        unwanted = by_name.keys() - {item["name"] for item in wanted}
        extra = [f"{path}[{name}]: not wanted" for name in sorted(unwanted)]
        return extra + [
            line
            for item in wanted
            for line in (
                differences(item, by_name[item["name"]], f"{path}[{item['name']}]")
                if item["name"] in by_name
                else [f"{path}[{item['name']}]: missing"]
            )
        ]
    if len(wanted) != len(found):
        return [f"{path}: {len(found)} items, wanted {len(wanted)}"]
    return [
        line
        for i, (want, have) in enumerate(zip(wanted, found, strict=True))
        for line in differences(want, have, f"{path}[{i}]")
    ]


def _text_differences(wanted: str, found: Any, path: str) -> list[str]:
    """Name the first line that differs; whole texts would be longer than anybody reads."""
    if not isinstance(found, str):
        return [f"{path}: missing"]
    pairs = zip_longest(wanted.split("\n"), found.split("\n"))
    differing = [(number, *pair) for number, pair in enumerate(pairs, 1) if len(set(pair)) > 1]
    return [f"{path}: line {number}: {have!r}, wanted {want!r}" for number, want, have in differing[:1]]


def _same(wanted: Any, found: Any) -> bool:
    if isinstance(wanted, str) and isinstance(found, str):
        return wanted == found or (wanted.startswith("/subscriptions/") and wanted.lower() == found.lower())
    return bool(wanted == found)
