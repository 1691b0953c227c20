from datetime import UTC, datetime
from typing import Any

import pytest
from prefect.blocks.core import Block
from prefect.testing.standard_test_suites import BlockStandardTestSuite
from pydantic import SecretStr, ValidationError

import blocks
from blocks import (
    Artifacts,
    AzureCredentials,
    Certificates,
    DatabasePasswords,
    Kubeconfig,
    KubernetesSecrets,
    SshKey,
)
from roachmesh.certificates import KeyPair, Purpose, Use, client_purpose, faults, make_authority

BLOCKS = [getattr(blocks, name) for name in blocks.__all__]


@pytest.mark.parametrize("block", BLOCKS)
class TestBlocks(BlockStandardTestSuite):
    @pytest.fixture
    def block(self, block: type[Block]) -> type[Block]:
        return block

    def test_has_a_valid_image(self, block: type[Block]) -> None:
        """A logo would be fetched from elsewhere by the browser of everybody who opens the UI."""
        assert block._logo_url is None


@pytest.mark.parametrize("block", BLOCKS)
def test_a_form_describes_every_field_and_has_no_union(block: type[Block]) -> None:
    fields = block.model_json_schema()["properties"]

    assert [name for name, field in fields.items() if not field.get("description")] == []
    assert [name for name, field in fields.items() if "anyOf" in field] == []


def test_a_secret_that_may_be_left_empty_is_still_masked_and_still_encrypted() -> None:
    schema = AzureCredentials.model_json_schema()

    assert schema["properties"]["client_secret"]["format"] == "password"
    assert "client_secret" in schema["secret_fields"]
    assert AzureCredentials(subscription_id="s").client_secret is None


def test_a_service_principal_without_a_secret_is_refused() -> None:
    with pytest.raises(ValidationError, match="needs tenant_id, client_id and client_secret"):
        AzureCredentials(subscription_id="s", method="service_principal", tenant_id="t", client_id="c")


@pytest.mark.parametrize("method", ["managed_identity", "default"])
def test_a_secret_that_the_method_would_not_use_is_refused(method: Any) -> None:
    with pytest.raises(ValidationError, match="a client_secret needs the method service_principal"):
        AzureCredentials(subscription_id="s", method=method, client_secret=SecretStr("hush"))


def test_a_mirror_keeps_the_official_host_as_its_first_folder() -> None:
    official = Artifacts().cockroachdb("v26.2.2")
    mirrored = Artifacts(base_url="https://mirror.example/").cockroachdb("v26.2.2")

    assert official.url == "https://binaries.cockroachdb.com/cockroach-v26.2.2.linux-amd64.tgz"
    assert mirrored.url == f"https://mirror.example/{official.url.removeprefix('https://')}"


def test_k3s_comes_from_its_release_with_the_plus_encoded() -> None:
    official = Artifacts().k3s("v1.36.4+k3s1")

    assert official.url == "https://github.com/k3s-io/k3s/releases/download/v1.36.4%2Bk3s1/k3s"
    assert official.checksums_url == official.url.replace("1/k3s", "1/sha256sum-amd64.txt")


def test_images_come_from_the_mirrors_root_and_without_a_mirror_from_their_own_registries() -> None:
    mirror = Artifacts(base_url="https://mirror.example:8443/artifacts/").images

    assert mirror is not None
    assert (mirror.url, mirror.host) == ("https://mirror.example:8443", "mirror.example:8443")
    assert Artifacts().images is None


def test_each_cluster_has_a_token_of_its_own_and_always_the_same() -> None:
    secrets = KubernetesSecrets(token="t", cilium_ca_certificate="c", cilium_ca_key="k")

    assert secrets.token_of("eastus") == secrets.token_of("eastus")
    assert secrets.token_of("eastus") != secrets.token_of("westus")


def test_a_pinned_checksum_goes_with_its_file() -> None:
    pinned = Artifacts(sha256={"cockroach-v26.2.2.linux-amd64.tgz": "abc"})

    assert pinned.cockroachdb("v26.2.2").sha256 == "abc"
    assert pinned.cockroachdb("v26.2.3").sha256 is None


@pytest.mark.parametrize(
    "block", [AzureCredentials, Certificates, DatabasePasswords, Kubeconfig, KubernetesSecrets, SshKey]
)
def test_no_secret_shows_in_a_repr(block: type[Block]) -> None:
    names = ("client_secret", "ca_key", "private_key", "text", "token", "cilium_ca_key", "key")
    secrets = dict.fromkeys(names, "hush")
    values = {name: secrets.get(name, "plain") for name in block.model_fields} | {
        "method": "service_principal"
    }

    assert "hush" not in repr(block(**values))


def test_a_split_authority_signs_servers_with_one_key_and_clients_with_the_other() -> None:
    servers, clients = (make_authority(name, datetime.now(UTC)) for name in ("servers", "clients"))
    whole = Certificates(ca_certificate=servers.certificate, ca_key=SecretStr(servers.key))
    split = whole.model_copy(
        update={"client_ca_certificate": clients.certificate, "client_ca_key": SecretStr(clients.key)}
    )
    node, root = Purpose("node", Use.SERVER, ("localhost",)), client_purpose("root")

    def signed_by(block: Certificates, purpose: Purpose, authority: KeyPair) -> bool:
        issued = block.issue(purpose).certificate
        return not faults(issued, authority.certificate, purpose, datetime.now(UTC))

    assert signed_by(whole, node, servers)
    assert signed_by(whole, root, servers)
    assert signed_by(split, node, servers)
    assert signed_by(split, root, clients)
    assert not signed_by(split, root, servers)
    assert [*whole.trusted] == ["ca.crt"]
    assert split.trusted["ca-client.crt"] == clients.certificate
