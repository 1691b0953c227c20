"""What the sandbox's tests share: an instance of their own, and the machines' base image."""

import os
from pathlib import Path

import pytest

from sandbox.instance import Instance
from sandbox.machines import image


@pytest.fixture(scope="session")
def instance() -> Instance:
    """The instance that tests may make and remove; another name lets two runs stand side by side."""
    return Instance(os.environ.get("ROACHMESH_TEST_INSTANCE", "test"))


@pytest.fixture(scope="session")
def base_image() -> Path:
    """The base image, built if need be."""
    return image.ensure(lambda _line: None)
