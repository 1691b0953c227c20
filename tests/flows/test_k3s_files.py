"""What k3s reads on a machine, with a mirror and without one."""

import yaml

from blocks import Artifacts
from roachmesh.render import k3s
from tasks.hosts import Host
from tasks.k3s import _files
from tasks.keys import ensure_kubernetes_secrets
from tasks.machines import Machine
from tests.flows.conftest import Cloud


def test_what_a_mirror_was_for_is_emptied_when_there_is_none_any_more(cloud: Cloud) -> None:
    region = {"platform": "k3s", "name": "eastus", "nodes": 1}
    official = cloud.deployment(name="mirrored", regions=[region])
    ensure_kubernetes_secrets.fn(official)
    Artifacts(base_url="https://mirror.example/artifacts", ca_pem="PEM").save("mirrored")
    mirrored = official.model_copy(update={"artifacts": "mirrored"})
    (node,) = official.plan.nodes
    host = Host(name=node.name, address="203.0.113.9", host_key="ssh-ed25519 AAAA")
    machine = Machine(what=node.name, change="unchanged", node=node, host=host)

    before, after = ({path: text for path, text, *_ in _files(one, machine)} for one in (mirrored, official))

    assert yaml.safe_load(before[k3s.REGISTRIES] or "")["mirrors"]["*"]["endpoint"] == [
        "https://mirror.example"
    ]
    assert before[k3s.MIRROR_CA] == "PEM"
    assert (after[k3s.REGISTRIES], after[k3s.MIRROR_CA]) == ("", "")
    assert before.keys() == after.keys()
