"""What the sandbox's tests share: an instance of their own, and the machines' base image."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.instance import Instance
from sandbox.machines import image
from sandbox.machines.machines import prepare


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
