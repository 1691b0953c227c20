"""What holds for the tree as a whole."""

import ast
import importlib
import importlib.metadata
import sys
from pathlib import Path

import pytest
import yaml

PRODUCT = ("roachmesh", "blocks", "tasks", "flows")


def sources(*folders: str) -> list[Path]:
    return [path for folder in folders for path in Path(folder).rglob("*.py")]


@pytest.mark.parametrize("path", sources(*PRODUCT), ids=str)
def test_the_product_does_not_know_the_sandbox(path: Path) -> None:
    assert "sandbox" not in path.read_text().lower()


def test_no_flow_is_named_like_an_installed_module() -> None:
    """A file entrypoint puts `flows/` first on the path, where its namesake would replace the library."""
    installed = set(importlib.metadata.packages_distributions()) | set(sys.stdlib_module_names)

    assert {path.stem for path in sources("flows")} & installed == {"__init__"} & installed


@pytest.mark.parametrize("path", sources("roachmesh/remote"), ids=str)
def test_a_program_for_machines_needs_the_standard_library_and_what_is_installed_for_it(path: Path) -> None:
    imported = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imported |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            imported.add(node.module.split(".")[0])

    assert imported <= {*sys.stdlib_module_names, "psycopg"}  # for those that use poolers


def test_every_deployment_names_a_flow_that_is_there() -> None:
    for deployment in yaml.safe_load(Path("prefect.yaml").read_text())["deployments"]:
        module, _, name = deployment["entrypoint"].rpartition(".")

        assert getattr(importlib.import_module(module), name).name == deployment["name"]


def test_no_index_address_stands_in_the_lock_file() -> None:
    assert "://" not in Path("requirements.lock").read_text()


def test_every_package_has_an_init() -> None:
    folders = {path.parent for path in sources(*PRODUCT, "sandbox", "demo", "bench", "tests")}

    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []
