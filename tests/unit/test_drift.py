from typing import Any

import pytest

from roachmesh.drift import differences

ID = "/subscriptions/S/resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/v"


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"a": 1}, {"a": 1, "etag": "x"}),
        ({"a": {"b": [1, 2]}}, {"a": {"b": [1, 2], "c": 3}}),
        (
            {"rules": [{"name": "x", "p": 1}, {"name": "y"}]},
            {"rules": [{"name": "y"}, {"name": "x", "p": 1}]},
        ),
        ({"id": ID}, {"id": ID.replace("resourceGroups", "resourcegroups")}),
        ({"routes": []}, {"routes": None}),
    ],
)
def test_what_azure_adds_or_spells_otherwise_is_no_difference(wanted: Any, found: Any) -> None:
    assert differences(wanted, found) == []


@pytest.mark.parametrize(
    ("wanted", "found", "line"),
    [
        ({"a": {"b": 1}}, {"a": {"b": 2}}, "a.b: 2, wanted 1"),
        ({"a": {"b": 1}}, {}, "a: None, wanted an object"),
        ({"a": "X"}, {"a": "x"}, "a: 'x', wanted 'X'"),
        ({"rules": [{"name": "x"}]}, {"rules": []}, "rules[x]: missing"),
        ({"rules": [{"name": "x"}]}, {"rules": [{"name": "x"}, {"name": "evil"}]}, "rules[evil]: not wanted"),
        ({"rules": [{"name": "x", "p": 1}]}, {"rules": [{"name": "x", "p": 2}]}, "rules[x].p: 2, wanted 1"),
        ({"routes": []}, {"routes": [{"name": "r"}]}, "routes: 1 items, wanted 0"),
        ({"f": "a\nb\n"}, {}, "f: missing"),
        ({"f": "a\nb\n"}, {"f": "a\nc\n"}, "f: line 2: 'c', wanted 'b'"),
        ({"f": "a\nb\n"}, {"f": "a\nb"}, "f: line 3: None, wanted ''"),
        ({"f": "a\n"}, {"f": "a\nb\n"}, "f: line 2: 'b', wanted ''"),
        ({"zones": ["1"]}, {"zones": ["2"]}, "zones[0]: '2', wanted '1'"),
    ],
)
def test_a_difference_is_named_by_its_path(wanted: Any, found: Any, line: str) -> None:
    assert differences(wanted, found) == [line]
