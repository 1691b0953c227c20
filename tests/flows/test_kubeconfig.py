"""`roachmesh kubeconfig`: an own file, or somebody's, of which everything else stays."""

from pathlib import Path

import pytest
import yaml
from pydantic import SecretStr
from typer.testing import CliRunner

from blocks import Kubeconfig
from flows.cli import app
from roachmesh.errors import InvalidTopology, NotDeployed
from roachmesh.plan import make_plan
from roachmesh.topology import parse
from tasks.kubeconfig import merge_into, own_file, read_kubeconfig, write

OURS = {
    "clusters": [{"name": "t-eastus", "cluster": {"server": "https://203.0.113.7:6443"}}],
    "users": [{"name": "t-eastus", "user": {}}],
    "contexts": [{"name": "t-eastus", "context": {"cluster": "t-eastus", "user": "t-eastus"}}],
    "current-context": "t-eastus",
}
TEXT = yaml.safe_dump(OURS)
CLUSTER = {"platform": "k3s", "name": "eastus"}


def test_it_is_written_for_its_owner_alone_and_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("old")
    (tmp_path / "config").symlink_to(tmp_path / "elsewhere")

    write(tmp_path / "config", TEXT)

    assert (tmp_path / "config").is_symlink()
    assert (tmp_path / "elsewhere").read_text() == TEXT
    assert (tmp_path / "elsewhere").stat().st_mode & 0o777 == 0o600


def test_merging_leaves_a_file_that_is_none_alone(tmp_path: Path) -> None:
    for text in ("- a list", "{"):
        (tmp_path / "config").write_text(text)

        with pytest.raises(InvalidTopology, match="is no kubeconfig; it was not touched"):
            merge_into(tmp_path / "config", TEXT)
        assert (tmp_path / "config").read_text() == text


def test_merging_makes_the_file_when_there_is_none(tmp_path: Path) -> None:
    merge_into(tmp_path / ".kube" / "config", TEXT)

    assert yaml.safe_load((tmp_path / ".kube" / "config").read_text())["contexts"] == OURS["contexts"]


def test_ones_own_file_is_where_kubectl_writes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KUBECONFIG", "")
    assert own_file() == tmp_path / ".kube" / "config"
    monkeypatch.setenv("KUBECONFIG", "/one:/two")
    assert own_file() == Path("/one")


def test_a_topology_without_clusters_or_not_deployed_has_none(prefect: None) -> None:
    machines = parse({"name": "machines", "regions": [{"platform": "vm", "name": "eastus"}]})
    with pytest.raises(NotDeployed, match="it has no region on k3s"):
        read_kubeconfig(make_plan(machines))
    with pytest.raises(NotDeployed, match="no block kubeconfig/never"):
        read_kubeconfig(make_plan(parse({"name": "never", "regions": [CLUSTER]})))


def test_the_command_writes_prints_and_merges(
    prefect: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Kubeconfig(text=SecretStr(TEXT)).save("t", overwrite=True)
    topology = tmp_path / "t.yaml"
    topology.write_text(yaml.safe_dump({"name": "t", "regions": [CLUSTER]}))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    run = CliRunner().invoke

    written = run(app, ["kubeconfig", str(topology)])
    printed = run(app, ["kubeconfig", str(topology), "--output", "-"])
    merged = run(app, ["kubeconfig", str(topology), "--merge"])

    assert f"export KUBECONFIG={tmp_path}/.kube/t.yaml  # t-eastus" in written.output
    assert (tmp_path / ".kube" / "t.yaml").read_text() == TEXT
    assert printed.stdout == TEXT
    assert f"{tmp_path}/.kube/config has t-eastus now" in merged.output
    assert "current-context" not in yaml.safe_load((tmp_path / ".kube" / "config").read_text())
