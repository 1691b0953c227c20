"""The database's objects in Kubernetes, against what was reviewed, and what they must never hold."""

import os
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
import yaml

from roachmesh import topology
from roachmesh.plan import make_plan
from roachmesh.render import kubernetes

GOLDEN = Path(__file__).parent / "golden" / "cockroachdb_pods.yaml"
PLAN = make_plan(topology.DEFAULT)
REGION = PLAN.regions[0]
FILES = ("ca.crt", "node.crt", "node.key", "client.node.crt", "client.node.key")
CERTIFICATES = {name: f"the text of {name}" for name in FILES}


def objects(**given: Any) -> list[dict[str, Any]]:
    options = {"disruption_budget_version": "policy/v1", "certificates": CERTIFICATES, **given}
    return kubernetes.objects(PLAN, options.pop("region", REGION), **options)


def stateful_set(**given: Any) -> dict[str, Any]:
    [found] = [one for one in objects(**given) if one["kind"] == "StatefulSet"]
    return found


def test_what_is_rendered_is_what_was_reviewed() -> None:
    class Plain(yaml.SafeDumper):
        """Writes out what is said twice."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    text = yaml.dump_all(objects(), Dumper=Plain, sort_keys=False, width=100)
    if os.environ.get("ROACHMESH_UPDATE_GOLDEN"):
        GOLDEN.write_text(text)

    assert text == GOLDEN.read_text()


def test_the_secret_holds_every_file_that_a_node_needs() -> None:
    [secret] = [one for one in objects() if "data" in one][:1]

    assert {name: b64decode(data).decode() for name, data in secret["data"].items()} == CERTIFICATES


def test_other_certificates_replace_the_pods_and_another_key_alone_does_not() -> None:
    def template(**changed: str) -> Any:
        return stateful_set(certificates={**CERTIFICATES, **changed})["spec"]["template"]

    assert template(**{"node.key": "another"}) == template()
    for name in ("ca.crt", "node.crt", "client.node.crt"):
        assert template(**{name: "another"}) != template()


@pytest.mark.parametrize(
    ("size", "cpu", "memory"),
    [
        ("Standard_D2s_v5", "500m", "4Gi"),
        ("Standard_D4s_v5", "1", "8Gi"),
        ("Standard_F4s_v2", "1", "4Gi"),
        ("Standard_D4ls_v5", "1", "4Gi"),
        ("Standard_E4-2s_v5", "500m", "4Gi"),
    ],
)
def test_a_pod_asks_for_a_quarter_of_the_processors_and_half_of_the_memory(
    size: str, cpu: str, memory: str
) -> None:
    found = stateful_set(region=REGION.model_copy(update={"size": size}))
    resources = found["spec"]["template"]["spec"]["containers"][0]["resources"]

    assert resources == {"requests": {"cpu": cpu, "memory": memory}, "limits": {"memory": memory}}


def test_volume_claims_that_exist_stay_as_they_are() -> None:
    made = stateful_set()["spec"]["volumeClaimTemplates"]
    larger = REGION.model_copy(update={"data_disk_gib": 512})

    assert stateful_set(region=larger)["spec"]["volumeClaimTemplates"] != made
    assert stateful_set(region=larger, volume_claims=made)["spec"]["volumeClaimTemplates"] == made


def test_every_node_of_the_region_has_its_locality() -> None:
    [localities] = [one for one in objects() if one["kind"] == "ConfigMap"]

    assert localities["data"] == {node.name: node.locality for node in REGION.nodes}
