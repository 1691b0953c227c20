"""The forms that Prefect's UI shows for the deployments: to be filled in without reading any code."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.utilities.callables import parameter_schema
from prefect.utilities.schema_tools.validation import validate

from roachmesh import topology

DEPLOYMENTS = {
    found["name"]: found
    for found in yaml.safe_load(Path("prefect.yaml").read_text())["deployments"]
    if found["name"] != "region"  # nobody fills that one in
}
SEED = topology.load(Path("topologies/seed.yaml")).model_dump(mode="json")

Schema = dict[str, Any]


def form(name: str) -> Schema:
    """The schema of a deployment's parameters, as Prefect's server gets it."""
    module, _, flow = DEPLOYMENTS[name]["entrypoint"].rpartition(".")
    schema: Schema = parameter_schema(getattr(importlib.import_module(module), flow)).model_dump()
    return schema


def fields(schema: Schema) -> Iterator[tuple[str, Schema]]:
    """Every field of a form, the nested ones included, each with what its model says of it."""
    for owner, model in {"": schema, **schema["definitions"]}.items():
        for name, field in model["properties"].items():
            described = schema["definitions"].get(field.get("$ref", "").rpartition("/")[2], {})
            yield f"{owner}.{name}", {**described, **field}


def is_bounded(field: Schema, definitions: Schema) -> bool:
    """Whether a form lets through only some of what its type allows."""
    if "$ref" in field or "enum" in field:
        return True
    if "anyOf" in field:
        return all(is_bounded(kind, definitions) for kind in field["anyOf"])
    wanted = {
        "string": {"pattern"} if "format" not in field else set(),
        "integer": {"minimum", "maximum"},
        "array": {"items"},
        "null": set(),
        "boolean": set(),
    }
    if not wanted[field["type"]] <= field.keys():
        return False
    return field["type"] != "array" or is_bounded(field["items"], definitions)


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_every_field_is_described_and_bounded(name: str) -> None:
    schema = form(name)
    found = dict(fields(schema))

    assert "Region.vnet" in found or name == "sweep"
    assert [path for path, field in found.items() if not field.get("description")] == []
    assert [path for path, field in found.items() if not is_bounded(field, schema["definitions"])] == []


@pytest.mark.parametrize("name", DEPLOYMENTS.keys() - {"sweep"})
def test_fields_of_the_topology_stand_in_the_order_of_the_model(name: str) -> None:
    definitions = form(name)["definitions"]

    for model in (topology.Topology, topology.Region, topology.Image):
        shown = definitions[model.__name__]["properties"]
        assert sorted(shown, key=lambda field: shown[field]["position"]) == list(model.model_fields)


def test_no_field_of_the_topology_is_a_union_with_none() -> None:
    topologies = [(path, field) for path, field in fields(form("deploy")) if not path.startswith(".")]

    assert [path for path, field in topologies if "anyOf" in field] == []


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_topology_whose_optional_fields_are_null_is_taken(name: str) -> None:
    filled = {"topology": SEED, "confirm": SEED["name"]}
    schema = form(name)

    assert validate({key: filled[key] for key in filled.keys() & schema["properties"].keys()}, schema) == []


@pytest.mark.parametrize(
    ("field", "value"), [("nodes", 0), ("vnet", "10.1.0.0"), ("name", "East US"), ("zones", ["4"])]
)
def test_a_value_out_of_bounds_is_refused_before_a_run_is_made(field: str, value: object) -> None:
    region = {**SEED["regions"][0], field: value}

    errors = validate({"topology": {**SEED, "regions": [region]}}, form("deploy"))

    assert [list(error.absolute_path)[:4] for error in errors] == [["topology", "regions", 0, field]]


def test_nobody_destroys_without_a_confirmation() -> None:
    (error,) = validate({"topology": SEED}, form("destroy"))

    assert "'confirm' is a required property" in error.message


@pytest.mark.parametrize("deployment", DEPLOYMENTS.values(), ids=DEPLOYMENTS)
def test_a_deployment_says_what_it_changes_how_long_it_takes_and_what_to_do(deployment: Schema) -> None:
    for said in ("**Takes**", "**If it fails**"):
        assert said in deployment["description"]
    strategy = "CANCEL_NEW" if deployment["name"] == "nightly" else "ENQUEUE"
    assert deployment["concurrency_limit"]["collision_strategy"] == strategy
    assert deployment["tags"] == ["roachmesh"]
