"""How the base image is kept: built once, whole or not at all, and no older ones beside it."""

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sandbox.commands import CommandFailed
from sandbox.machines import image

FAKE = ("sh", "-c", 'mkdir "$0" && echo "I: built" >&2 && echo whole >"$0/file"')


@pytest.fixture
def images(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A cache of our own, and a recipe that takes no time."""
    monkeypatch.setattr(image, "IMAGES", tmp_path)
    monkeypatch.setattr(image, "_COMMAND", FAKE)
    return tmp_path


def quietly(_line: str) -> None:
    """Say nothing."""


def test_the_name_changes_with_the_recipe(
    images: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert image.path().parent == images
    first = image.path()
    monkeypatch.setattr(image, "_COMMAND", (*FAKE, "more"))
    second = image.path()
    rootfs = tmp_path / "rootfs"
    rootfs.mkdir()
    (rootfs / "file").write_text("laid over Debian")
    monkeypatch.setattr(image, "ROOTFS", rootfs)
    assert len({first, second, image.path()}) == 3


def test_the_recipe_names_no_archive() -> None:
    assert not any("://" in part for part in image._COMMAND)


@pytest.mark.machines
def test_it_is_built_once_and_tells_of_it(images: Path) -> None:
    said: list[str] = []
    built = image.ensure(said.append)
    assert (built / "file").read_text() == "whole\n"
    assert [line.strip() for line in said][1:] == ["Debian 13: built"]
    assert image.ensure(said.append) == built
    assert len(said) == 2
    assert sorted(path.name for path in images.iterdir()) == sorted([built.name, "lock"])


@pytest.mark.machines
def test_two_who_need_it_at_once_build_it_once(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = images.parent / "count"
    monkeypatch.setattr(image, "_COMMAND", ("sh", "-c", f'echo x >>{count}; sleep 0.2; mkdir "$0"'))
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(image.ensure, [quietly, quietly]))
    assert count.read_text() == "x\n"
    count.unlink()


@pytest.mark.machines
def test_older_images_go_unless_something_runs_from_them(images: Path) -> None:
    for name in ("old", "used"):
        (images / name / "bin").mkdir(parents=True)
    for program in ("/bin/sleep",):
        subprocess.run(["cp", program, images / "used" / "bin"], check=True)
    for library in ("/lib", "/lib64"):
        subprocess.run(["mkdir", "-p", f"{images}/used{library}"], check=True)
    script = 'mount --bind /lib "$0/lib"; mount --bind /lib64 "$0/lib64"; exec chroot "$0" /bin/sleep 60'
    with subprocess.Popen(["unshare", "--mount", "sh", "-c", script, images / "used"]) as daemon:
        while Path(f"/proc/{daemon.pid}/root").readlink() != images / "used":
            threading.Event().wait(0.01)
        built = image.ensure(quietly)
        assert {path.name for path in images.iterdir()} == {"used", built.name, "lock"}
        daemon.kill()


@pytest.mark.machines
def test_a_build_that_fails_says_why_and_leaves_no_image(
    images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image, "_COMMAND", ("sh", "-c", "echo E: no such suite >&2; exit 25"))
    with pytest.raises(CommandFailed, match="no such suite"):
        image.ensure(quietly)
    assert not image.path().exists()


@pytest.mark.machines
def test_a_build_that_was_killed_ends_with_its_process_and_is_begun_again(images: Path) -> None:
    slow = ("sh", "-c", 'mkdir "$0" && touch "$0/half" && echo "I: half" >&2 && sleep 47.11')
    source = (
        "import sys; from pathlib import Path; from sandbox.machines import image;"
        f"image.IMAGES = Path(sys.argv[1]); image._COMMAND = {slow!r};"
        "image.ensure(lambda line: print(line, flush=True))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", source, images], stdout=subprocess.PIPE, text=True
    ) as builder:
        assert builder.stdout
        while "half" not in builder.stdout.readline():
            assert builder.poll() is None
        os.kill(builder.pid, signal.SIGKILL)
    assert (images / "draft" / "half").exists()
    built = image.ensure(quietly)
    assert not (built / "half").exists()
    assert b"47.11" not in b"".join(commands())


def commands() -> list[bytes]:
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(file.read_bytes())
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found
