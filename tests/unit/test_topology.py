from pathlib import Path

import pytest

from roachmesh import topology
from roachmesh.errors import InvalidTopology
from roachmesh.topology import Topology

DEMO = Path("topologies/three-vm-regions.yaml")


def test_the_default_is_the_seeds_three_regions_of_three_nodes() -> None:
    regions = Topology().regions

    assert [region.name for region in regions] == ["eastus", "westus", "northeurope"]
    assert {region.nodes for region in regions} == {3}


def test_the_demos_topology_says_what_the_default_does() -> None:
    assert topology.load(DEMO).regions == tuple(
        region.model_copy(update={"vnet": given.vnet})
        for region, given in zip(Topology().regions, topology.load(DEMO).regions, strict=True)
    )


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"regoins": []}, "regoins: Extra inputs are not permitted"),
        ({"regions": []}, "regions: Tuple should have at least 1 item"),
        ({"regions": [{"name": "eastus"}]}, "regions[0].platform: Field required"),
        ({"regions": [{"platform": "vm", "name": "East US"}]}, "regions[0].name: String should match"),
        (
            {"regions": [{"platform": "vm", "name": "eastus", "nodes": 0}]},
            "regions[0].nodes: Input should be",
        ),
        ({"regions": [{"platform": "vm", "name": "eastus", "vnet": "10.1.0.1/16"}]}, "regions[0].vnet:"),
        ({"cockroachdb": {"version": "latest"}}, "cockroachdb.version: String should match"),
        ("three regions, please", "topology: Input should be"),
    ],
)
def test_a_malformed_document_is_refused_with_the_fields_path(document: object, message: str) -> None:
    with pytest.raises(InvalidTopology) as refused:
        topology.parse(document)

    assert message in str(refused.value)


def test_a_file_that_is_no_yaml_is_refused_with_line_and_column(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text("name: [unclosed\nregions: ]]")

    with pytest.raises(InvalidTopology, match=r"(?s)broken\.yaml: this is not YAML: .*line 2, column"):
        topology.load(path)


def test_a_file_that_does_not_exist_is_refused() -> None:
    with pytest.raises(InvalidTopology, match="cannot read the topology"):
        topology.load(Path("nowhere.yaml"))
