"""How Kubernetes' programs are kept, by a recipe that takes no time."""

from pathlib import Path

import pytest

from sandbox.commands import CommandFailed
from sandbox.kubernetes import binaries

FAKE = ("sh", "-c", f'cd "$0" && mkdir out && cd out && touch {" ".join(binaries.PROGRAMS)}')


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A cache of our own."""
    monkeypatch.setattr(binaries, "BUILDS", tmp_path)
    return tmp_path


def quietly(_line: str) -> None:
    """Say nothing."""


def test_the_recipe_names_no_archive() -> None:
    assert not any("://" in text for text in (*binaries._COMMAND, binaries._SCRIPT.read_text()))


def test_the_name_changes_with_the_recipe(
    kept: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = {binaries.path()}
    monkeypatch.setattr(binaries, "_COMMAND", FAKE)
    found.add(binaries.path())
    script = tmp_path / "build.sh"
    script.write_text("another")
    monkeypatch.setattr(binaries, "_SCRIPT", script)
    found.add(binaries.path())
    assert {path.parent for path in found} == {kept}
    assert len(found) == 3


@pytest.mark.machines
def test_nothing_but_the_programs_is_kept(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "_COMMAND", FAKE)
    (kept / "older").mkdir()
    built = binaries.ensure(quietly)
    assert sorted(path.name for path in built.iterdir()) == sorted(binaries.PROGRAMS)
    assert {path.name for path in kept.iterdir()} == {built.name, "lock"}


@pytest.mark.machines
def test_a_build_that_failed_says_why_and_is_begun_again(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "_COMMAND", ("sh", "-c", "echo E: no Go here >&2; exit 1"))
    with pytest.raises(CommandFailed, match="Building Kubernetes failed: E: no Go here"):
        binaries.ensure(quietly)
    assert not binaries.path().exists()
    monkeypatch.setattr(binaries, "_COMMAND", FAKE)
    assert binaries.ensure(quietly).exists()
