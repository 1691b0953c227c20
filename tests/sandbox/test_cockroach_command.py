"""The stand-in's archive and command line, without a running node."""

import hashlib
import tarfile
from pathlib import Path

import pytest

from sandbox.cockroach import archive
from tests.sandbox.cockroach_fixtures import CLIENT, VERSION, Authority, run

NAME = f"cockroach-{VERSION}.linux-amd64"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> str:
    directory = tmp_path_factory.mktemp("archive")
    with tarfile.open(archive.build(VERSION, directory)) as packed:
        packed.extractall(directory, filter="data")
    return str(directory / NAME / "cockroach")


def test_equal_sources_make_an_equal_archive_with_its_checksum(tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    first, second = archive.build(VERSION, tmp_path), archive.build(VERSION, tmp_path / "again")
    assert first.name == f"{NAME}.tgz"
    assert first.read_bytes() == second.read_bytes()
    checksum = (tmp_path / f"{NAME}.tgz.sha256sum").read_text()
    assert checksum == f"{hashlib.sha256(first.read_bytes()).hexdigest()}  {NAME}.tgz\n"
    with tarfile.open(first) as packed:
        assert [(member.name, oct(member.mode)) for member in packed] == [(f"{NAME}/cockroach", "0o755")]


def test_the_version_says_that_it_is_a_stand_in(program: str) -> None:
    told = run(program, "version").stdout
    assert told.startswith(f"Build Tag:        {VERSION}\n")
    assert "stand-in" in told
    assert run(program, "version", "--build-tag").stdout == f"{VERSION}\n"


@pytest.mark.parametrize(
    ("words", "message", "code"),
    [
        (["start", "--x=1"], "unknown flag: --x", 4),
        (["start", "-x"], "unknown shorthand flag: 'x' in -x", 4),
        (["init", "--host"], "flag needs an argument: --host", 4),
        (["start", "--cache", "lots"], 'invalid argument "lots" for "--cache" flag', 4),
        (["start", "--max-offset=250"], 'invalid argument "250" for "--max-offset" flag', 4),
        (["start", "--locality=eastus"], 'invalid argument "eastus" for "--locality" flag', 4),
        (["strat"], 'unknown command "strat" for "cockroach"', 1),
        (["node", "drain"], 'unknown sub-command: "drain"', 1),
        (["start", "--join=a", "--insecure"], "--insecure is not supported", 1),
        (["start", "--join=a", "--background"], "--background is not supported", 1),
        (["start"], "no --join flags provided to 'cockroach start'", 1),
        (["start", "--join=a:b"], 'invalid address "a:b"', 1),
        (["node", "status", "--format=yaml", "--certs-dir=/"], 'invalid argument "yaml" for "--format"', 4),
        (["init", "--certs-dir=/nonexistent"], "problem with CA certificate: not found", 1),
    ],
)
def test_a_mistake_is_answered_as_the_real_command_does(
    program: str, words: list[str], message: str, code: int
) -> None:
    done = run(program, *words)
    assert done.stderr.startswith("ERROR: ")
    assert message in done.stderr
    assert 'Failed running "' in done.stderr
    assert done.returncode == code


def test_help_lists_the_commands(program: str) -> None:
    assert "  node status  " in run(program, "--help").stdout


def test_a_server_that_is_not_there_is_named_so(program: str, tmp_path: Path) -> None:
    authority = Authority()
    authority.write(tmp_path)
    authority.issue(tmp_path, "client.root", "root", CLIENT)
    done = run(program, "node", "status", f"--certs-dir={tmp_path}", "--host=127.77.9.9:36257")
    assert done.returncode == 1
    assert done.stderr.startswith("ERROR: cannot dial server.\nIs the server running?")
