"""The artifact mirror over TLS."""

import hashlib
import io
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.faults.faults import Faults
from sandbox.faults.kinds import Mirror
from tests.sandbox.mirror_fixtures import Fetch, mirror_client

NAME = "cockroach-v26.2.2.linux-amd64"


@pytest.fixture
def faults() -> Faults:
    return Faults(time.monotonic)


@pytest.fixture
def fetch(tmp_path: Path, faults: Faults) -> Iterator[Fetch]:
    with mirror_client(tmp_path, faults) as asked:
        yield asked


def test_an_archive_is_served_at_its_official_path_and_matches_its_checksum(fetch: Fetch) -> None:
    status, _, packed = fetch(f"/binaries.cockroachdb.com/{NAME}.tgz")
    assert status == 200
    status, _, checksum = fetch(f"/binaries.cockroachdb.com/{NAME}.tgz.sha256sum")
    assert (status, checksum.decode().split()) == (200, [hashlib.sha256(packed).hexdigest(), f"{NAME}.tgz"])
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        assert archive.getnames() == [f"{NAME}/cockroach"]


def test_k3s_is_served_beside_the_list_of_checksums_of_its_release(fetch: Fetch) -> None:
    release = "/github.com/k3s-io/k3s/releases/download/v1.36.4%2Bk3s1"
    status, _, program = fetch(f"{release}/k3s")
    assert status == 200
    assert program.startswith(b"#!/usr/bin/python3")
    status, _, checksums = fetch(f"{release}/sha256sum-amd64.txt")
    assert (status, checksums.decode()) == (200, f"{hashlib.sha256(program).hexdigest()}  k3s\n")


def test_what_it_lacks_is_answered_with_what_it_has(fetch: Fetch) -> None:
    for path in (
        "/",
        "/get.k3s.io/k3s",
        "/binaries.cockroachdb.com/cockroach-v1.2.linux-amd64.tgz",
        "/../etc",
    ):
        status, _, text = fetch(path)
        assert status == 404
        assert b"/binaries.cockroachdb.com/cockroach-v2X.Y.Z.linux-amd64.tgz" in text


def test_a_caller_is_told_its_own_address(fetch: Fetch) -> None:
    assert fetch("/ip")[::2] == (200, b"127.0.0.1")


def test_a_mirror_that_lies_or_rests_is_itself_again_when_that_is_cleared(
    fetch: Fetch, faults: Faults
) -> None:
    checksum = f"/binaries.cockroachdb.com/{NAME}.tgz.sha256sum"
    right = fetch(checksum)[::2]
    number = faults.add(Mirror(answer="checksum"))
    assert fetch(checksum)[::2] == (200, f"{'0' * 64}  {NAME}.tgz\n".encode())
    assert fetch(checksum.removesuffix(".sha256sum"))[0] == 200
    faults.clear(number)
    number = faults.add(Mirror(answer="unavailable"))
    assert [fetch(checksum)[0], fetch(checksum.removesuffix(".sha256sum"))[0]] == [503, 503]
    assert fetch("/ip")[0] == 200
    faults.clear(number)
    assert fetch(checksum)[::2] == right
