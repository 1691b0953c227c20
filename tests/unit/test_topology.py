from pathlib import Path

import pytest

from roachmesh import topology
from roachmesh.errors import InvalidTopology
from roachmesh.topology import Topology

SEED = Path("topologies/seed.yaml")


def test_the_default_is_the_seeds_three_regions_of_three_nodes() -> None:
    regions = Topology().regions

    assert [region.name for region in regions] == ["eastus", "westus", "northeurope"]
    assert {region.nodes for region in regions} == {3}


def test_the_seeds_topology_says_what_the_default_does() -> None:
    assert topology.load(SEED).regions == tuple(
        region.model_copy(update={"vnet": given.vnet})
        for region, given in zip(Topology().regions, topology.load(SEED).regions, strict=True)
    )


def test_a_file_that_does_not_exist_is_refused() -> None:
    with pytest.raises(InvalidTopology, match="cannot read the topology"):
        topology.load(Path("nowhere.yaml"))


@pytest.mark.parametrize("path", sorted(Path("topologies").glob("*.yaml")), ids=str)
def test_every_topology_that_we_show_is_accepted(path: Path) -> None:
    assert topology.load(path).regions


def test_a_topology_survives_being_written_and_read() -> None:
    shown = topology.load(SEED)

    assert topology.parse(shown.model_dump(mode="json")) == shown
    assert Topology.model_validate(shown) == shown


def test_text_that_yaml_would_make_a_date_or_fraction_of_stays_text(tmp_path: Path) -> None:
    path = tmp_path / "topology.yaml"
    path.write_text("image: {sku: 13.10, offer: 2026-01-01, version: 0.20260101.1}")

    image = topology.load(path).image

    assert (image.sku, image.offer, image.version) == ("13.10", "2026-01-01", "0.20260101.1")


def test_nothing_written_is_derived(tmp_path: Path) -> None:
    path = tmp_path / "topology.yaml"
    path.write_text("regions:\n  - {platform: vm, name: eastus, vnet: ~, zones: null}\n")

    assert (
        topology.load(path).regions
        == topology.parse({"regions": [{"platform": "vm", "name": "eastus"}]}).regions
    )


def test_every_field_of_the_form_is_described() -> None:
    schema = Topology.model_json_schema()
    models = [schema, *schema["$defs"].values()]

    undescribed = [
        name
        for model in models
        for name, field in model["properties"].items()
        if "description" not in field and "$ref" not in field
    ]
    assert undescribed == []
