"""What a person gets who asks for help, or makes a mistake: quickly, and never a traceback."""

import subprocess
import sys
from pathlib import Path

import pytest

ROACHMESH = str(Path(sys.executable).with_name("roachmesh"))
GOOD = "topologies/seed.yaml"
COMMANDS = ("deploy", "resume", "verify", "status", "destroy", "ssh", "sql", "kubeconfig", "credentials")


def roachmesh(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line as a person would."""
    known = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}
    return subprocess.run(
        [ROACHMESH, *words],
        env={**known, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["deploy"], "Missing argument 'TOPOLOGY'"),
        (["deploy", "missing.yaml"], "missing.yaml: cannot read the topology"),
        (["deploy", "README.md"], "roachmesh: README.md:"),
        (["deploy", "/"], "roachmesh: /: "),
        (["deploy", GOOD, "--no-such-option"], "No such option: --no-such-option"),
        (["no-such-command"], "No such command 'no-such-command'"),
        (["ssh", GOOD, "eastus/99"], "there is no node 'eastus/99'. Write one of eastus/1,"),
        (["sql", GOOD, "--node", "nowhere"], "there is no node 'nowhere'."),
        (["sql", GOOD, "--node", "westus"], "no Prefect server is named."),
        (["destroy", GOOD], "nobody can be asked here. Write --yes"),
        (["verify", "missing.yaml"], "cannot read the topology"),
        (["status", "missing.yaml"], "cannot read the topology"),
    ],
)
def test_a_mistake_is_said_without_a_traceback_and_ends_with_2(words: list[str], said: str) -> None:
    done = roachmesh(*words)

    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_has_an_example_and_fits_80_columns(command: str) -> None:
    said = roachmesh(command, "--help", COLUMNS="80").stdout

    assert any(f"roachmesh {command} {what}" in said for what in ("topologies/", "'deploy "))
    assert max(map(len, said.splitlines())) <= 80


def test_help_names_every_command_and_the_exit_codes() -> None:
    said = roachmesh("--help", COLUMNS="80").stdout

    assert all(f"\n  {command}" in said for command in COMMANDS)
    assert "..." not in said.partition("Commands:")[2]
    assert "Exit codes:\n    0 well, 1 unforeseen, 2 wrong input" in said
    assert max(map(len, said.splitlines())) <= 80


def test_help_imports_neither_prefect_nor_azure() -> None:
    code = (
        "import sys, flows.cli; sys.exit(bool({'prefect', 'azure', 'rich', 'pydantic'} & set(sys.modules)))"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("roachmesh ", "deploy"),
        ("roachmesh deploy topologies/se", GOOD),
        ("roachmesh deploy topol", "topologies/"),
        (f"roachmesh ssh {GOOD} northeurope/", "northeurope/2"),
    ],
)
def test_the_shell_completes_commands_files_and_nodes(words: str, offered: str) -> None:
    done = roachmesh(
        _ROACHMESH_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=str(len(words.split(" ")) - 1)
    )

    assert offered in done.stdout.split()
