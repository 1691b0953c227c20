"""What the sandbox's tests share: an instance of their own, and the machines' base image."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.fabric import removal
from sandbox.instance import Instance
from sandbox.machines import image
from sandbox.machines.machines import prepare
from tests.sandbox.fabric_lab import Lab


@pytest.fixture(scope="session")
def instance() -> Iterator[Instance]:
    """The instance that tests may make and remove; another name lets two runs stand side by side."""
    chosen = Instance(os.environ.get("ROACHMESH_TEST_INSTANCE", "test"))
    yield chosen
    for folder in (chosen.directory, chosen.directory.parent):
        if folder.exists() and not any(folder.iterdir()):
            folder.rmdir()


@pytest.fixture(scope="session")
def base_image() -> Path:
    """The base image, built if need be, and Kubernetes with it, which every machine sees."""
    prepare(lambda _line: None)
    return image.path()


@pytest.fixture(scope="module")
def lab(instance: Instance, base_image: Path) -> Iterator[Lab]:
    """Networks in an instance where nothing else is; a file with machines has a `lab` of its own."""
    del base_image  # the resolver and the time server run from it
    removal.remove_everything(instance)
    yield Lab(instance)
    removal.remove_everything(instance)
