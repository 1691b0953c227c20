"""Each image of our own programs holds all that they import."""

import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.images import stand_ins

MODULES = {
    "docker.io/rancher/klipper-helm": ("sandbox.cluster.helm.program", "sandbox.cilium.chart.render"),
    "docker.io/rancher/mirrored-coredns-coredns": ("sandbox.cluster.coredns.program",),
    "docker.io/rancher/local-path-provisioner": ("sandbox.cluster.local_path",),
    "quay.io/cilium/cilium": ("sandbox.cilium.agent.program", "sandbox.cilium.agent.status"),
    "quay.io/cilium/clustermesh-apiserver": ("sandbox.cilium.mesh.program",),
    "docker.io/sosedoff/pgweb": ("sandbox.images.pgweb",),
}


def test_every_image_is_looked_at() -> None:
    assert MODULES.keys() == stand_ins.REPOSITORIES.keys()


@pytest.mark.parametrize("repository", MODULES)
def test_a_program_finds_its_modules_in_its_own_file(repository: str, tmp_path: Path) -> None:
    image = stand_ins.REPOSITORIES[repository]("any")
    assert image
    for path, content in image.programs.items():
        program = tmp_path / Path(path).name
        program.write_bytes(content)
        imports = "; ".join(f"import {module}" for module in MODULES[repository])
        command = f"import sys; sys.path.insert(0, {str(program)!r}); {imports}"
        done = subprocess.run(
            [sys.executable, "-I", "-c", command], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
