"""Pack the chart, and write the index of its repository."""

import gzip
import hashlib
import io
import tarfile
from pathlib import Path

import yaml

from sandbox.cilium.chart import VERSION
from sandbox.cluster.helm.repository import RENDERER

NAME = f"cilium-{VERSION}.tgz"
METADATA = {
    "apiVersion": "v2",
    "name": "cilium",
    "version": VERSION,
    "appVersion": VERSION,
    "description": "A stand-in for Cilium's chart, made by Roachmesh's sandbox; not Cilium",
    "annotations": {RENDERER: "sandbox.cilium.chart.render"},
}


def build(directory: Path) -> None:
    """Write the chart's archive and `index.yaml`."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, content in (
            ("Chart.yaml", yaml.safe_dump(METADATA).encode()),
            ("values.yaml", (Path(__file__).parent / "values.yaml").read_bytes()),
        ):
            member = tarfile.TarInfo(f"cilium/{name}")
            member.size, member.mode = len(content), 0o644
            tar.addfile(member, io.BytesIO(content))
    archive = gzip.compress(packed.getvalue(), mtime=0)
    (directory / NAME).write_bytes(archive)
    entry = METADATA | {"urls": [NAME], "digest": hashlib.sha256(archive).hexdigest()}
    (directory / "index.yaml").write_text(
        yaml.safe_dump({"apiVersion": "v1", "entries": {"cilium": [entry]}})
    )
