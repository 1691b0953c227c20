"""Container images, and the registry that serves them."""

import gzip
import hashlib
import io
import json
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.faults.faults import Faults
from sandbox.faults.kinds import Mirror
from sandbox.images import catalogue
from sandbox.images.image import CONFIG, LAYER, MANIFEST, Image
from tests.sandbox.mirror_fixtures import Fetch, mirror_client

COCKROACH = "/v2/cockroachdb/cockroach/manifests/v26.2.2?ns=docker.io"


@pytest.fixture
def faults() -> Faults:
    return Faults(time.monotonic)


@pytest.fixture
def fetch(tmp_path: Path, faults: Faults) -> Iterator[Fetch]:
    with mirror_client(tmp_path, faults) as asked:
        yield asked


def pulled(fetch: Fetch, path: str) -> tuple[dict[str, Any], dict[str, Any], tarfile.TarFile]:
    """Pull an image as a client does, every digest and size compared; gives all three."""
    name = path.partition("/manifests/")[0]
    status, headers, _ = fetch(path, "HEAD")
    assert (status, headers["content-type"]) == (200, MANIFEST)
    status, _, content = fetch(f"{name}/manifests/{headers['docker-content-digest']}")
    assert (status, len(content)) == (200, int(headers["content-length"]))
    manifest = json.loads(content)
    blobs = []
    for descriptor, kind in ((manifest["config"], CONFIG), (manifest["layers"][0], LAYER)):
        status, headers, content = fetch(f"{name}/blobs/{descriptor['digest']}")
        assert (status, headers["content-type"], descriptor["mediaType"]) == (200, kind, kind)
        assert descriptor["digest"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
        assert descriptor["size"] == len(content)
        blobs.append(content)
    config, layer = json.loads(blobs[0]), gzip.decompress(blobs[1])
    assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(layer).hexdigest()}"]
    return manifest, config, tarfile.open(fileobj=io.BytesIO(layer))


def test_an_image_is_pulled_by_its_tag_as_from_the_registry_that_is_mirrored(fetch: Fetch) -> None:
    _, config, layer = pulled(fetch, COCKROACH)
    assert config["config"]["Entrypoint"] == ["/cockroach/cockroach.sh"]
    assert config["config"]["Labels"] == {"org.opencontainers.image.description": "stands in for CockroachDB"}
    assert layer.getmember("cockroach/cockroach").mode == 0o755
    assert layer.getmember("tmp").mode == 0o1777
    assert layer.getmember("bin").linkname == "usr/bin"
    assert ".sandbox-usr" in layer.getnames()


def test_without_a_namespace_the_name_holds_the_registry(fetch: Fetch) -> None:
    whole = COCKROACH.removesuffix("?ns=docker.io").replace("/v2/", "/v2/docker.io/")
    assert fetch(whole)[2] == fetch(COCKROACH)[2]


def test_a_client_sees_by_one_request_that_this_is_a_registry(fetch: Fetch) -> None:
    status, headers, _ = fetch("/v2/")
    assert (status, headers["docker-distribution-api-version"]) == (200, "registry/2.0")


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/v2/library/nginx/manifests/latest?ns=docker.io", "MANIFEST_UNKNOWN"),
        ("/v2/cockroachdb/cockroach/manifests/v1.0.0?ns=docker.io", "MANIFEST_UNKNOWN"),
        ("/v2/cockroachdb/cockroach/manifests/v26.2.2?ns=quay.io", "MANIFEST_UNKNOWN"),
        (f"/v2/library/alpine/manifests/sha256:{'0' * 64}?ns=docker.io", "MANIFEST_UNKNOWN"),
        (f"/v2/library/alpine/blobs/sha256:{'0' * 64}?ns=docker.io", "BLOB_UNKNOWN"),
        ("/v2/library/alpine/tags/list?ns=docker.io", "UNSUPPORTED"),
    ],
)
def test_what_it_lacks_is_answered_as_registries_do(fetch: Fetch, path: str, code: str) -> None:
    status, _, content = fetch(path)
    assert (status, json.loads(content)["errors"][0]["code"]) == (404, code)


def test_a_mirror_that_rests_serves_no_image_either(fetch: Fetch, faults: Faults) -> None:
    number = faults.add(Mirror(answer="unavailable"))
    assert fetch(COCKROACH)[0] == 503
    faults.clear(number)
    assert fetch(COCKROACH)[0] == 200


def test_equal_images_are_equal_bytes() -> None:
    first, second = (catalogue.find("docker.io/cockroachdb/cockroach", "v26.2.2") for _ in range(2))
    assert first
    assert second
    assert first.pack() == second.pack()


def test_what_the_machines_usr_would_hide_is_refused() -> None:
    with pytest.raises(ValueError, match="/usr/bin/tool: the machine's /usr would hide it"):
        Image("a tool", programs={"/usr/bin/tool": b""})
    assert Image("a tool", programs={"/usr/bin/tool": b""}, machines_usr=False).pack()
