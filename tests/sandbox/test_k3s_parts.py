"""The stand-in for k3s without a machine: certificates, what is shared, registries, the archive."""

import hashlib
import os
import ssl
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sandbox.k3s import archive, certificates, control_plane, kubeconfig, node, registries, sharing
from sandbox.k3s.bootstrap import Bootstrap
from sandbox.k3s.config import ServerConfig, server_config
from sandbox.k3s.errors import Fatal

VERSION = "v1.36.4+k3s1"
REGISTRIES = """\
mirrors:
  docker.io: {endpoint: ["https://artifacts.sandbox.test"]}
  "*": {endpoint: ["https://artifacts.sandbox.test", "https://second.test/v2/cache"]}
configs:
  artifacts.sandbox.test: {tls: {ca_file: /etc/ca.pem}}
  registry.example.com: {tls: {insecure_skip_verify: true}}
"""


@pytest.fixture(scope="module")
def config() -> ServerConfig:
    return server_config(
        {
            "token": ["secret"],
            "flannel-backend": ["none"],
            "disable-network-policy": ["true"],
            "disable": ["servicelb,traefik,metrics-server"],
            "node-ip": ["10.1.1.4"],
            "node-name": ["crdb-eastus-1"],
            "tls-san": ["198.18.16.40", "api.example.com"],
            "kubelet-arg": ["v=2"],
            "kube-apiserver-arg": ["audit-log-path=-"],
            "node-label": ["region=eastus"],
            "node-taint": ["a=b:NoSchedule"],
        }
    )


@pytest.fixture(scope="module")
def shared(config: ServerConfig) -> Bootstrap:
    return Bootstrap(certificates.make_authorities(), "", "", config.critical)


# Certificates


def test_the_api_server_is_known_by_all_its_names(config: ServerConfig, shared: Bootstrap) -> None:
    issued = certificates.issue(config, shared.files)
    certificate = x509.load_pem_x509_certificate(issued["serving-kube-apiserver.crt"].encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    addresses = {str(address) for address in names.get_values_for_type(x509.IPAddress)}
    assert addresses == {"127.0.0.1", "10.1.1.4", "10.43.0.1", "198.18.16.40"}
    assert {"kubernetes.default.svc", "crdb-eastus-1", "localhost", "api.example.com"} <= set(
        names.get_values_for_type(x509.DNSName)
    )


def test_every_certificate_comes_from_its_authority_with_its_use(
    config: ServerConfig, shared: Bootstrap
) -> None:
    issued = certificates.issue(config, shared.files)
    for leaf in certificates.leaves(config):
        certificate = x509.load_pem_x509_certificate(issued[f"{leaf.file}.crt"].encode())
        authority = x509.load_pem_x509_certificate(shared.files[f"{leaf.authority}.crt"].encode())
        certificate.verify_directly_issued_by(authority)
        uses = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        assert set(uses) == set(leaf.uses)
    admin = x509.load_pem_x509_certificate(issued["client-admin.crt"].encode())
    (organization,) = admin.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    assert organization.value == "system:masters"
    kubelet = [leaf for leaf in certificates.leaves(config) if leaf.file == "client-kubelet"]
    assert kubelet[0].name == "system:node:crdb-eastus-1"
    assert kubelet[0].uses == (ExtendedKeyUsageOID.CLIENT_AUTH,)


def test_what_a_server_shows_ends_with_the_authority_that_tokens_name(
    config: ServerConfig, shared: Bootstrap
) -> None:
    issued = certificates.issue(config, shared.files)
    ca = shared.files["server-ca.crt"]
    assert issued["serving-kube-apiserver.crt"].endswith(ca)
    assert ssl.DER_cert_to_PEM_cert(ssl.PEM_cert_to_DER_cert(ca)) == ca  # as a joining server computes it


# What servers share


def test_bootstrap_data_is_read_with_its_token_only(shared: Bootstrap) -> None:
    secret = shared.secret("secret")
    assert "BEGIN" not in str(secret)
    assert Bootstrap.of(secret, "secret") == shared
    with pytest.raises(Fatal, match="encrypted with different token"):
        Bootstrap.of(secret, "another")


def test_tokens_belong_to_servers_or_agents() -> None:
    assert (
        sharing.tokens("one", "")
        == sharing.tokens("one", "one")
        == 'one,server,server,"k3s:server,k3s:agent"\n'
    )
    assert sharing.tokens("one", "two").splitlines()[1] == 'two,node,node,"k3s:agent"'


def test_only_servers_may_read_the_bootstrap_data() -> None:
    readers = [
        role["metadata"]["name"]
        for role in sharing.rights()
        for rule in role.get("rules", ())
        if "secrets" in rule["resources"]
    ]
    assert readers == ["k3s:server"]


# Children


def test_arguments_of_the_user_come_last(config: ServerConfig) -> None:
    assert control_plane.kube_apiserver(config)[-1] == "--audit-log-path=-"
    kubelet = node.kubelet(config.node)
    assert kubelet[-1] == "--v=2"
    assert "--node-labels=node.kubernetes.io/instance-type=k3s,region=eastus" in kubelet
    assert "--register-with-taints=a=b:NoSchedule" in kubelet
    assert not any(argument.startswith("--bootstrap-kubeconfig") for argument in kubelet)


def test_etcd_waits_as_long_as_k3s_lets_it(config: ServerConfig) -> None:
    command = control_plane.etcd(config, "me", {"me": "https://10.1.1.4:2380"}, joins=True)
    assert {"--heartbeat-interval=500", "--election-timeout=5000"} <= set(command)
    assert "--initial-cluster-state=existing" in command


def test_kubeconfigs_and_kubelet_configuration_are_yaml(config: ServerConfig) -> None:
    found = yaml.safe_load(kubeconfig.for_token("https://127.0.0.1:6444", "CA", 'to"ken'))
    assert found["users"][0]["user"]["token"] == 'to"ken'
    assert found["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:6444"
    kubelet = yaml.safe_load(node.kubelet_config(config.node, "10.43.0.10", "cluster.local"))
    assert kubelet["clusterDNS"] == ["10.43.0.10"]
    assert kubelet["evictionHard"] == {}


# Registries


def test_registries_become_containerds_hosts() -> None:
    found = {folder: tomllib.loads(text) for folder, text in registries.hosts(REGISTRIES).items()}
    mirror = "https://artifacts.sandbox.test/v2"
    assert set(found) == {"docker.io", "_default", "registry.example.com"}
    assert found["docker.io"]["server"] == "https://registry-1.docker.io/v2"
    assert found["docker.io"]["host"][mirror] == {
        "capabilities": ["pull", "resolve"],
        "ca": ["/etc/ca.pem"],
    }
    assert list(found["_default"]["host"]) == [mirror, "https://second.test/v2/cache"]
    assert found["_default"]["host"]["https://second.test/v2/cache"]["override_path"] is True
    own = found["registry.example.com"]["host"]["https://registry.example.com/v2"]
    assert own["skip_verify"] is True


def test_containerds_configuration_is_toml(config: ServerConfig) -> None:
    found = tomllib.loads(node.containerd_config(config.node))
    cri = found["plugins"]["io.containerd.grpc.v1.cri"]
    assert cri["sandbox_image"] == "rancher/mirrored-pause:3.6"
    assert cri["restrict_oom_score_adj"] is True


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mirror: {}", "unknown key mirror; known are configs, mirrors"),
        ("configs: {a: {tls: {ca: x}}}", "configs.a.tls: unknown key ca"),
        ("configs: {a: {auth: {username: x}}}", "configs.a.auth is not emulated"),
        ("mirrors: {a: {endpoint: ['https://b'], rewrite: {a: b}}}", "mirrors.a.rewrite is not emulated"),
        ("[]\nx", "failed to read private registries: yaml"),
    ],
)
def test_a_mistake_in_registries_is_named(text: str, message: str) -> None:
    with pytest.raises(Fatal) as caught:
        registries.hosts(text)
    assert message in str(caught.value)


# The command


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("release")
    archive.build(VERSION, directory)
    return directory / "k3s"


def run(program: Path, *words: str) -> subprocess.CompletedProcess[str]:
    # -I: of this repository nothing is seen but what is packed
    return subprocess.run(
        [sys.executable, "-I", program, *words],
        capture_output=True,
        text=True,
        check=False,
        env=dict(os.environ),
    )


def test_the_program_matches_the_checksum_beside_it(program: Path) -> None:
    digest, name = (program.parent / "sha256sum-amd64.txt").read_text().split()
    assert (digest, name) == (hashlib.sha256(program.read_bytes()).hexdigest(), "k3s")


def test_the_version_says_that_it_is_a_stand_in(program: Path) -> None:
    told = run(program, "--version").stdout
    assert told.startswith(f"k3s version {VERSION} (stand-in)\n")
    assert "Kubernetes v1.20.2" in told


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["etcd-snapshot"], "no command of k3s, or one that the sandbox's stand-in lacks"),
        (["server", "--bogus"], "flag provided but not defined: -bogus"),
        (["agent", "--server=https://10.1.1.4:6443"], "--token is required"),
    ],
)
def test_a_command_that_cannot_be_ends_with_a_fatal_line(
    program: Path, words: list[str], message: str
) -> None:
    done = run(program, *words)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("time=")
    assert "level=fatal" in last
    assert message in last.replace('\\"', '"')


def test_the_first_line_of_the_log_says_what_runs(program: Path) -> None:
    first = run(program, "server", "--bogus").stderr.splitlines()[0]
    assert f"Starting k3s {VERSION} (stand-in): this is a stand-in for k3s" in first
