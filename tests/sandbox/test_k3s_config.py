"""k3s's flags, configuration file and token, without a machine."""

import logging
from pathlib import Path

import pytest

from sandbox.k3s import paths
from sandbox.k3s.config import ServerConfig, agent_config, server_config
from sandbox.k3s.errors import Fatal
from sandbox.k3s.flags import Flags, Options
from sandbox.k3s.token import Token, full, hash_of

FILE = """\
cluster-init: true
token: secret
flannel-backend: none
disable-network-policy: true
disable-kube-proxy: true
disable: [servicelb, traefik, metrics-server]
cluster-cidr: 10.10.0.0/16
service-cidr: 10.20.0.0/16
node-ip: 10.1.1.4
node-name: crdb-eastus-1
tls-san: [198.18.16.40, 10.1.1.4]
"""
CA = "-----BEGIN CERTIFICATE-----\nZW1wdHk=\n-----END CERTIFICATE-----\n"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(paths, "TOKEN", tmp_path / "none")
    path = tmp_path / "config.yaml"
    path.write_text(FILE)
    return path


def server(file: Path, *words: str, **environment: str) -> ServerConfig:
    return server_config(Flags("server").read(list(words), environment, file))


def test_a_server_is_what_its_file_says(file: Path) -> None:
    found = server(file)
    assert found.cluster_init
    assert not found.kube_proxy
    assert found.node.token == "secret"
    assert found.tls_san == ("198.18.16.40", "10.1.1.4")
    assert str(found.cluster_dns) == "10.20.0.10"  # the tenth address of service-cidr
    assert str(found.advertise_address) == "10.1.1.4"
    assert found.kubeconfig_mode == 0o600
    assert "servicelb" in found.disabled


def test_the_command_line_goes_before_the_file_and_the_file_before_the_environment(file: Path) -> None:
    found = server(
        file, "--node-name=other", "--tls-san", "one", K3S_TOKEN="environment", K3S_URL="https://a"
    )
    assert found.node.node_name == "other"
    assert found.tls_san == ("one",)
    assert found.node.token == "secret"
    assert found.node.server_url == "https://a"


def test_drop_ins_replace_or_with_a_plus_add(file: Path) -> None:
    folder = file.with_name("config.yaml.d")
    folder.mkdir()
    (folder / "1.yaml").write_text("node-name: second\ntls-san+: [another]\n")
    (folder / "2.yaml").write_text("node-name: third\nnode-label: [a=b]\n")
    found = server(file)
    assert found.node.node_name == "third"
    assert found.tls_san == ("198.18.16.40", "10.1.1.4", "another")
    assert found.node.labels == ("a=b",)


def test_a_key_that_a_server_does_not_know_is_skipped_with_a_warning(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file.write_text(FILE + "cluster-cird: 10.0.0.0/8\n")
    with caplog.at_level(logging.WARNING, "sandbox.k3s"):
        assert str(server(file).cluster_cidr) == "10.10.0.0/16"
    assert "Unknown flag --cluster-cird found in config.yaml, skipping" in caplog.text


@pytest.mark.parametrize(
    ("more", "words", "message"),
    [
        ("", ["--bogus"], "flag provided but not defined: -bogus"),
        ("", ["--token"], "flag needs an argument: -token"),
        ("", ["extra"], "extra arguments: extra"),
        ("cluster-init: maybe", [], 'invalid boolean value "maybe" for -cluster-init'),
        ("flannel-backend: vxlan", [], "flannel-backend must be none"),
        ("disable: [traefik]", [], "disable all three"),
        ("disable-network-policy: false", [], "set disable-network-policy: true"),
        ("datastore-certfile: /a", [], "--datastore-certfile is a flag of k3s that the sandbox's"),
        ("snapshotter: native", [], "--snapshotter is a flag of k3s that the sandbox's"),
        ("cluster-cidr: 10.10.0.1/16", [], "invalid cluster-cidr 10.10.0.1/16"),
        ("cluster-dns: 10.9.0.10", [], "cluster-dns: 10.9.0.10 is not in service-cidr 10.20.0.0/16"),
        ("node-ip: here", [], "invalid node-ip here"),
        ("node-name: A_B", [], 'invalid node name "a_b"'),
        ("server: http://10.1.1.4:6443", [], "only https:// URLs are supported"),
        ("write-kubeconfig-mode: rw", [], "invalid write-kubeconfig-mode rw"),
        ("token: [", [], "yaml: "),
        ("", ["--config=/nowhere"], "open /nowhere: no such file"),
        ("token: ''\ntoken-file: /nowhere", [], "open /nowhere: No such file"),
    ],
)
def test_a_mistake_is_named(file: Path, more: str, words: list[str], message: str) -> None:
    key = more.partition(":")[0]
    kept = [line for line in FILE.splitlines() if not key or not line.startswith(f"{key}:")]
    file.write_text("\n".join([*kept, more]))
    with pytest.raises(Fatal) as caught:
        server(file, *words)
    assert message in str(caught.value)


def test_an_agent_refuses_what_is_only_for_servers(file: Path) -> None:
    with pytest.raises(Fatal, match="flag provided but not defined: -cluster-init"):
        Flags("agent").read([], {}, file)


def test_an_agent_needs_a_server_and_a_token() -> None:
    options: Options = {"token": ["secret"], "node-ip": ["10.1.1.5"]}
    with pytest.raises(Fatal, match="--server is required"):
        agent_config(options)
    with pytest.raises(Fatal, match="--token is required"):
        agent_config({"server": ["https://10.1.1.4:6443"]})
    found = agent_config(options | {"server": ["https://10.1.1.4:6443/"]})
    assert found.server_url == "https://10.1.1.4:6443"


def test_a_server_that_joins_makes_no_token_of_its_own(file: Path) -> None:
    file.write_text(
        FILE.replace("token: secret\n", "").replace("cluster-init: true", "server: https://a:6443")
    )
    with pytest.raises(Fatal, match="--token is required"):
        server(file)


def test_what_all_servers_must_say_alike_is_compared(file: Path) -> None:
    from sandbox.k3s.bootstrap import differences

    ours, theirs = server(file, "--cluster-domain=other").critical, server(file).critical
    assert differences(theirs, theirs) == []
    assert differences(ours, theirs) == ["cluster-domain: other != cluster.local"]


def test_tokens_come_in_two_forms() -> None:
    assert Token.parse("secret") == Token("secret")
    long = full(CA, "server", "sec:ret")
    assert long.startswith("K10")
    assert Token.parse(long) == Token("sec:ret", hash_of(CA))
    Token.parse(long).check(CA)
    Token.parse("secret").check("any other")
    with pytest.raises(Fatal, match="token CA hash does not match the Cluster CA certificate hash"):
        Token.parse(long).check("another")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must not be empty"),
        ("K10abc::server:secret", "invalid token CA hash length"),
        (f"K10{'0' * 64}::server", "invalid token format"),
        ("two words", "printable characters"),
    ],
)
def test_a_malformed_token_is_refused(text: str, message: str) -> None:
    with pytest.raises(Fatal, match=message):
        Token.parse(text)
