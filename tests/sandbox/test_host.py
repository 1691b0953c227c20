"""Probing this computer: what is missing is said in sentences, and nothing stays of the trial."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import host


@pytest.fixture(autouse=True)
def afresh() -> Iterator[None]:
    """Forget what was found out, before and after."""
    host._missing.cache_clear()
    yield
    host._missing.cache_clear()


def test_without_root_nothing_else_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert host.missing() == ["Root is needed for namespaces and mounts: use sudo."]


def test_a_missing_program_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "The program nft is missing: install the Debian package nftables." in host.missing()


def test_a_trial_that_fails_says_what_to_do_and_what_the_computer_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(host, "_PROGRAMS", {})
    failing = host._Trial(("sh", "-c", "echo no such thing >&2; exit 1"), "Loops are missing: load them.")
    monkeypatch.setattr(host, "_TRIALS", (failing,))
    assert "Loops are missing: load them. (no such thing)" in host.missing()


@pytest.mark.machines
def test_a_disk_that_is_nearly_full_is_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "_NEEDED_BYTES", 1 << 60)
    assert any("is free in /var/lib: make room there" in sentence for sentence in host.missing())


@pytest.mark.machines
def test_room_is_needed_in_the_cache_until_kubernetes_is_built(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(host, "_NEEDED_TO_BUILD_BYTES", 1 << 60)
    monkeypatch.setattr(host.binaries, "path", lambda: tmp_path)
    assert host.missing() == []
    monkeypatch.setattr(host.binaries, "path", lambda: tmp_path / "none")
    host._missing.cache_clear()
    assert any("make room to build in" in sentence for sentence in host.missing())


@pytest.mark.machines
def test_trials_leave_nothing_behind() -> None:
    assert host.missing() == []
    questions = (["ip", "-brief", "link"], ["nft", "list", "tables"], ["ip", "netns"], ["losetup", "--list"])
    answers = [
        subprocess.run(asked, capture_output=True, text=True, check=True).stdout for asked in questions
    ]
    left = [*answers, Path("/proc/mounts").read_text()]
    assert not [text for text in left if "trial" in text]
    assert not list(Path("/var/lib").glob(f"roachmesh-trial-{os.getpid()}-*")), "others may be trying now"


@pytest.mark.machines
def test_what_was_found_out_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    assert host.missing() == []
    monkeypatch.setenv("PATH", "/nowhere")
    assert host.missing() == []


def test_the_kernels_limit_of_watchers_is_raised_and_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watchers, former = tmp_path / "max_user_instances", tmp_path / "former"
    watchers.write_text("128\n")
    monkeypatch.setattr(host, "_WATCHERS", watchers)

    host.allow_many_machines(former)
    host.allow_many_machines(former)
    assert int(watchers.read_text()) == 8192
    host.restore_limits(former)
    host.restore_limits(former)

    assert int(watchers.read_text()) == 128
    assert not former.exists()
