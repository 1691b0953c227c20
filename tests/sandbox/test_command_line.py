"""The command line, as far as it goes without machines; the rest is in test_arm_real.py."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parents[2] / "sandbox" / "README.md"


def sandbox(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run it as a person does."""
    command = [sys.executable, "-m", "sandbox", *arguments]
    given = os.environ | {"COLUMNS": "200"} | environment
    return subprocess.run(command, capture_output=True, text=True, check=False, env=given, timeout=60)


@pytest.mark.parametrize("command", ["up", "down", "status", "fault add", "fault list", "fault clear"])
def test_help_says_what_a_command_does_with_an_example(command: str) -> None:
    said = sandbox(*command.split(), "--help")
    assert said.returncode == 0
    assert "--instance" in said.stdout
    assert f"Example: python -m sandbox {command}" in said.stdout


def test_the_demos_sandbox_is_meant_when_none_is_named() -> None:
    said = sandbox("status")
    assert "sandbox demo" in said.stdout
    assert "Traceback" not in said.stderr


def test_an_unknown_instance_is_refused_with_the_names_there_are() -> None:
    said = sandbox("up", "--instance", "production")
    assert said.returncode == 2
    assert "expected demo, test, or test2 to test9" in said.stderr
    assert "Traceback" not in said.stderr


def test_where_something_is_missing_up_says_so_in_one_line_and_does_nothing() -> None:
    said = sandbox("up", "--instance", "test9", PATH="/nonexistent")
    assert said.returncode == 2
    assert said.stderr.startswith("The sandbox cannot run here: ")
    assert len(said.stderr.splitlines()) == 1
    assert said.stdout == ""


def test_every_kind_of_fault_stands_in_the_readme() -> None:
    kinds = [
        line.partition(":")[0] for line in sandbox("fault", "kinds").stdout.splitlines() if line[0] != " "
    ]
    assert len(kinds) == 10
    assert [kind for kind in kinds if f"| `{kind}" not in README.read_text()] == []
