"""The programs for machines, run here: through the agent, as over SSH, and by themselves."""

import hashlib
import io
import json
import os
import pwd
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from roachmesh.remote import agent, install_binary, place_files, prepare_disk, read_certificates
from tasks.sessions import program_text

OWNER = pwd.getpwuid(os.getuid()).pw_name


def through_agent(*requests: tuple[str, Any]) -> list[dict[str, Any]]:
    lines = [json.dumps({"source": source, "request": request}) for source, request in requests]
    done = subprocess.run(
        [sys.executable, "-u", "-c", program_text("agent")],
        input="\n".join(lines) + "\n",
        capture_output=True,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_agent_answers_each_request_in_order() -> None:
    echo = "def main(request): return request"

    assert through_agent((echo, 1), (echo, {"a": None})) == [{"answer": 1}, {"answer": {"a": None}}]


def test_what_a_program_prints_does_not_get_between_the_answers() -> None:
    assert through_agent(("def main(request): print('noise')", None)) == [{"answer": None}]


@pytest.mark.parametrize(
    ("source", "answer"),
    [
        ("def main(_): raise RuntimeError('no disk')", {"error": "no disk", "transient": False}),
        ("def main(_): raise ConnectionError('gone')", {"error": "gone", "transient": True}),
        ("def main(_): return {}['x']", {"error": "KeyError: 'x'", "transient": False}),
        ("def main(_)", {"error": "SyntaxError: expected ':' (program, line 1)", "transient": False}),
    ],
)
def test_what_goes_wrong_is_an_answer_and_the_agent_goes_on(source: str, answer: dict[str, Any]) -> None:
    assert through_agent((source, None), ("def main(_): return 'alive'", None)) == [
        answer,
        {"answer": "alive"},
    ]


def test_a_command_that_fails_is_told_with_all_it_said() -> None:
    request = {"command": ["sh", "-c", "echo out; echo err >&2; exit 3"], "files": {}, "timeout_s": 5}

    answer = agent.serve(json.dumps({"source": program_text("run_command"), "request": request}))

    assert answer == {"answer": {"exit_code": 3, "output": "out\n", "errors": "err\n"}}


def request(path: Path, content: str, mode: str = "0600") -> dict[str, Any]:
    file = {"path": str(path), "content": content, "mode": mode, "owner": OWNER}
    return {"files": [file], "directories": [{"path": str(path.parent), "mode": "0700", "owner": OWNER}]}


def test_a_file_is_placed_once_with_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "certs" / "node.key"

    assert place_files.main(request(path, "secret"))["changed"] == [str(path.parent), str(path)]
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("secret", 0o600)
    assert place_files.main(request(path, "secret"))["changed"] == []


@pytest.mark.parametrize("damage", ["content", "mode", "link"])
def test_a_file_that_differs_is_made_right(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "certs" / "node.key"
    place_files.main(request(path, "secret"))
    if damage == "content":
        path.write_text("other")
    elif damage == "mode":
        path.chmod(0o644)
    else:
        path.rename(tmp_path / "elsewhere")
        path.symlink_to(tmp_path / "elsewhere")

    assert place_files.main(request(path, "secret"))["changed"] == [str(path)]
    assert not path.is_symlink()
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("secret", 0o600)


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A web server without TLS; gives its address and its folder."""
    directory = tmp_path / "mirror"
    directory.mkdir()

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(directory))

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", directory
        server.shutdown()
        thread.join()


def archive(directory: Path, content: bytes) -> str:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        member = tarfile.TarInfo("cockroach-v1/cockroach")
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    (directory / "cockroach-v1.tgz").write_bytes(packed.getvalue())
    sha256 = hashlib.sha256(packed.getvalue()).hexdigest()
    (directory / "cockroach-v1.tgz.sha256sum").write_text(f"{sha256}  cockroach-v1.tgz\n")
    return sha256


@pytest.fixture
def wanted(mirror: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(install_binary, "RECORDS", tmp_path / "records")
    address, directory = mirror
    archive(directory, b"#!/bin/sh\n")
    return {
        "url": f"{address}/cockroach-v1.tgz",
        "checksums_url": f"{address}/cockroach-v1.tgz.sha256sum",
        "sha256": None,
        "ca_pem": None,
        "member": "cockroach-v1/cockroach",
        "target": str(tmp_path / "cockroach"),
    }


def test_an_archive_is_installed_once(wanted: dict[str, Any], mirror: tuple[str, Path]) -> None:
    assert install_binary.main(wanted)["changed"]
    assert os.access(wanted["target"], os.X_OK)
    (mirror[1] / "cockroach-v1.tgz").unlink()
    assert not install_binary.main(wanted)["changed"]


def test_a_file_that_is_the_executable_itself_is_checked_by_its_own_line(
    wanted: dict[str, Any], mirror: tuple[str, Path], tmp_path: Path
) -> None:
    (mirror[1] / "k3s").write_bytes(b"#!/bin/sh\n")
    sha256 = hashlib.sha256(b"#!/bin/sh\n").hexdigest()
    (mirror[1] / "sums.txt").write_text(f"{'0' * 64}  k3s-airgap-images.tar\n{sha256}  k3s\n")
    alone = {"url": f"{mirror[0]}/k3s", "checksums_url": f"{mirror[0]}/sums.txt", "member": None}

    assert install_binary.main({**wanted, **alone})["changed"]
    assert Path(wanted["target"]).read_bytes() == b"#!/bin/sh\n"


def test_checksums_that_do_not_name_the_file_are_of_no_use() -> None:
    with pytest.raises(RuntimeError, match="do not name k3s"):
        install_binary.published(f"{'0' * 64}  k3s-arm64\n{'1' * 64}  k3s-armhf\n", "k3s")


def test_a_binary_that_was_tampered_with_is_installed_anew(wanted: dict[str, Any]) -> None:
    install_binary.main(wanted)
    Path(wanted["target"]).write_bytes(b"evil")

    assert install_binary.main(wanted)["changed"]
    assert Path(wanted["target"]).read_bytes() == b"#!/bin/sh\n"


@pytest.mark.parametrize("pinned", [True, False])
def test_a_wrong_checksum_is_refused_and_nothing_installed(
    wanted: dict[str, Any], mirror: tuple[str, Path], pinned: bool
) -> None:
    if pinned:
        wanted["sha256"] = "0" * 64
    else:
        (mirror[1] / "cockroach-v1.tgz.sha256sum").write_text(f"{'0' * 64}  cockroach-v1.tgz\n")

    with pytest.raises(RuntimeError, match=r"has sha256 .* expected 0000"):
        install_binary.main(wanted)
    assert not Path(wanted["target"]).exists()


def test_a_failed_download_may_heal(wanted: dict[str, Any]) -> None:
    with pytest.raises(ConnectionError, match="cannot download"):
        install_binary.main({**wanted, "url": wanted["url"].replace("v1", "v2")})


def test_certificates_that_are_not_there_are_none(tmp_path: Path) -> None:
    pair = [str(tmp_path / "node.crt"), str(tmp_path / "node.key")]

    assert read_certificates.main({"pairs": [pair]}) == {"pairs": [[None, None]]}


def test_a_disk_that_holds_anything_else_is_refused_and_not_formatted(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(1 << 20))
    subprocess.run(["mkswap", disk], check=True, capture_output=True)
    before = disk.read_bytes()

    with pytest.raises(RuntimeError, match="disk holds swap, expected nothing"):
        prepare_disk.main({"candidates": ["/dev/disk/none", str(disk)]})

    assert disk.read_bytes() == before
