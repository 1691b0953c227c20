import pytest

from blocks import AzureCredentials
from roachmesh.errors import AlreadyRunning, BlockMissing
from tasks import overlap
from tasks.deployment import Deployment, load_block
from tests.flows.conftest import Cloud


def test_a_second_run_of_the_same_topology_is_refused(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlap, "ASK_S", 0.5)
    monkeypatch.setattr(overlap, "PATIENCE_S", 0)
    deployment = cloud.deployment(name="overlap")

    with overlap.only_run(deployment), pytest.raises(AlreadyRunning, match="Wait for it, or cancel it"):  # noqa: SIM117
        with overlap.only_run(deployment):
            raise AssertionError("both run")


def test_another_topology_and_a_later_run_are_not(cloud: Cloud) -> None:
    one, other = cloud.deployment(name="one"), cloud.deployment(name="other")

    with overlap.only_run(one), overlap.only_run(other):
        pass
    with overlap.only_run(one):
        pass


def test_a_block_that_nobody_saved_is_named(cloud: Cloud) -> None:
    with pytest.raises(BlockMissing, match="no block azure-credentials/nowhere"):
        load_block(AzureCredentials, "nowhere")


def test_without_an_artifacts_block_the_official_hosts_are_asked(cloud: Cloud) -> None:
    deployment: Deployment = cloud.deployment(name="official")

    assert deployment.artifact_source().base_url is None
