import subprocess
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from roachmesh import certificates, names, topology
from roachmesh.certificates import KeyPair, Purpose, Use, client_purpose, node_purpose, pods_purpose
from roachmesh.plan import make_plan

NOW = datetime.now(UTC)
NODE = node_purpose(IPv4Address("10.1.1.4"), "crdb-eastus-1")


@pytest.fixture(scope="module")
def authority() -> KeyPair:
    return certificates.make_authority("test", NOW)


def openssl(*arguments: str) -> str:
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def verify(tmp_path: Path, authority: KeyPair, leaf: KeyPair, *options: str) -> str:
    (tmp_path / "ca.crt").write_text(authority.certificate)
    (tmp_path / "leaf.crt").write_text(leaf.certificate)
    return openssl("verify", "-CAfile", str(tmp_path / "ca.crt"), *options, str(tmp_path / "leaf.crt"))


def test_openssl_accepts_a_node_certificate_as_a_server_by_address_and_name(
    tmp_path: Path, authority: KeyPair
) -> None:
    leaf = certificates.issue(authority, NODE, NOW)

    assert "OK" in verify(tmp_path, authority, leaf, "-purpose", "sslserver", "-verify_ip", "10.1.1.4")
    assert "OK" in verify(tmp_path, authority, leaf, "-verify_hostname", "crdb-eastus-1")
    assert "OK" in verify(tmp_path, authority, leaf, "-verify_hostname", "localhost")


def test_openssl_refuses_a_node_certificate_for_another_use_or_address(
    tmp_path: Path, authority: KeyPair
) -> None:
    leaf = certificates.issue(authority, NODE, NOW)

    assert "unsuitable certificate purpose" in verify(tmp_path, authority, leaf, "-purpose", "sslclient")
    assert "IP address mismatch" in verify(tmp_path, authority, leaf, "-verify_ip", "10.1.1.5")


def test_openssl_refuses_a_client_certificate_as_a_server(tmp_path: Path, authority: KeyPair) -> None:
    leaf = certificates.issue(authority, client_purpose("node"), NOW)

    assert "OK" in verify(tmp_path, authority, leaf, "-purpose", "sslclient")
    assert "unsuitable certificate purpose" in verify(tmp_path, authority, leaf, "-purpose", "sslserver")


def test_a_certificate_that_serves_has_no_faults(authority: KeyPair) -> None:
    leaf = certificates.issue(authority, NODE, NOW)

    assert certificates.faults(leaf.certificate, authority.certificate, NODE, NOW) == []


@pytest.mark.parametrize(
    ("purpose", "at", "fault"),
    [
        (client_purpose("node"), NOW, "its use is not client alone"),
        (node_purpose(IPv4Address("10.1.1.5"), "crdb-eastus-1"), NOW, "its names are not 10.1.1.5"),
        (Purpose("root", Use.SERVER, NODE.names), NOW, "its common name is not 'root'"),
        (NODE, NOW + certificates.NODE_LIFETIME - timedelta(days=29), "it expires on"),
        (NODE, NOW - timedelta(days=2), "it is not valid yet"),
    ],
)
def test_a_fault_is_named(authority: KeyPair, purpose: Purpose, at: datetime, fault: str) -> None:
    leaf = certificates.issue(authority, NODE, NOW)

    found = certificates.faults(leaf.certificate, authority.certificate, purpose, at)

    assert any(fault in line for line in found)


def test_a_certificate_of_another_authority_of_the_same_name_is_at_fault(authority: KeyPair) -> None:
    leaf = certificates.issue(certificates.make_authority("test", NOW), NODE, NOW)

    found = certificates.faults(leaf.certificate, authority.certificate, NODE, NOW)

    assert found == ["another authority issued it"]


def test_what_is_no_certificate_is_at_fault(authority: KeyPair) -> None:
    assert certificates.faults("nonsense", authority.certificate, NODE, NOW) == ["it is no certificate"]


def test_a_certificate_is_told_from_one_for_another_key(tmp_path: Path, authority: KeyPair) -> None:
    one, other = (certificates.issue(authority, NODE, NOW) for _ in range(2))
    (tmp_path / "key").write_text(one.key)
    public_key = openssl("pkey", "-in", str(tmp_path / "key"), "-pubout")

    assert certificates.is_for(one.certificate, public_key)
    assert not certificates.is_for(other.certificate, public_key)
    assert not certificates.is_for("nonsense", public_key)


def test_no_private_key_shows_in_a_repr(authority: KeyPair) -> None:
    assert "PRIVATE" not in repr(authority)


def test_openssl_accepts_the_certificate_of_pods_at_every_name_they_are_dialled_by(
    tmp_path: Path, authority: KeyPair
) -> None:
    region = make_plan(topology.DEFAULT).clusters[0]
    leaf = certificates.issue(authority, pods_purpose(region.name), NOW)
    dialled = [member.host for member in region.members]
    dialled += [names.public_host(region.name), names.PUBLIC_SERVICE, "localhost"]
    dialled += [f"{names.pod(0)}.{names.STATEFUL_SET}.{names.namespace(region.name)}"]

    for host in dialled:
        assert "OK" in verify(tmp_path, authority, leaf, "-purpose", "sslserver", "-verify_hostname", host)
    other = make_plan(topology.DEFAULT).clusters[1].members[0].host
    assert "hostname mismatch" in verify(tmp_path, authority, leaf, "-verify_hostname", other)


def test_a_certificate_is_issued_anew_when_it_is_missing_or_another_keys(authority: KeyPair) -> None:
    purpose = pods_purpose("eastus")
    leaf, other = (certificates.issue(authority, purpose, NOW) for _ in range(2))

    def reasons(certificate: str | None, key: str | None) -> list[str]:
        public = certificates.public_half(key) if key else None
        return certificates.reasons_to_issue(authority.certificate, purpose, certificate, public, now=NOW)

    assert reasons(leaf.certificate, leaf.key) == []
    assert reasons(None, leaf.key) == ["it is missing"]
    assert reasons(leaf.certificate, "no key") == ["it is missing"]
    assert reasons(leaf.certificate, other.key) == ["its key is another one's"]
