"""What the documents say, held true by the code."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main
import yaml
from typer.exceptions import TyperException

from flows.cli import app
from roachmesh import cost, errors, prices
from roachmesh.inventory import UNKNOWN_OPERATORS, Inventory
from roachmesh.plan import make_plan
from roachmesh.render.picture import mermaid
from roachmesh.topology import load

README = Path("README.md")
DOCUMENTS = [README, *sorted(Path("docs").rglob("*.md"))]
EVERY_DOCUMENT = [*DOCUMENTS, *sorted(Path("sandbox").rglob("*.md"))]
TROUBLESHOOTING = Path("docs/troubleshooting.md")
SEED = Path("topologies/seed.yaml")

COMMANDS = typer.main.get_command(app).commands
WIDTH = 110
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"(`+) ?(.+?) ?\1", re.DOTALL)
# A command line of ours: first on its line, or behind what a shell or cron allows before it.
COMMAND = re.compile(r"^(?:\./run |[\d*/, ]+ )?roachmesh (?!\.\.\.)(.+)$", re.MULTILINE)
LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")


def blocks(path: Path, language: str | None = None) -> list[str]:
    """Give the code blocks of a document, of one language or of all."""
    return [text for kind, text in BLOCK.findall(path.read_text()) if language in (None, kind)]


def prose(path: Path) -> str:
    """Give a document without its code blocks."""
    return BLOCK.sub("", path.read_text())


def commands(path: Path) -> Iterator[str]:
    """Give every command line of ours in a document's code, without the program's name."""
    spans = [" ".join(text.split()) for _, text in SPAN.findall(prose(path))]
    for code in [*blocks(path), *spans]:
        yield from COMMAND.findall(code)


def accept(line: str) -> None:
    """Let the command line's own parser read a command; a mere mention has the command's name alone."""
    name, *arguments = shlex.split(line.split(" <")[0])
    if name.startswith("--"):
        assert name in {"--help", "--install-completion", "--show-completion"}
        return
    assert name in COMMANDS
    if arguments:
        COMMANDS[name].make_context(name, arguments)


def anchor(heading: str) -> str:
    """Name a heading as code hosts do."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("path", DOCUMENTS, ids=str)
def test_every_command_in_a_document_exists_with_its_options(path: Path) -> None:
    for line in commands(path):
        accept(line)


@pytest.mark.parametrize("line", ["upgrade TOPOLOGY", "plan TOPOLOGY --price", "ssh TOPOLOGY", "--version"])
def test_a_command_that_does_not_exist_would_be_noticed(line: str) -> None:
    with pytest.raises((AssertionError, TyperException)):
        accept(line)


def test_the_documents_show_every_command() -> None:
    shown = {line.split()[0] for path in DOCUMENTS for line in commands(path) if " " in line}

    assert set(COMMANDS) <= shown


@pytest.mark.parametrize("path", EVERY_DOCUMENT, ids=str)
def test_every_link_leads_somewhere(path: Path) -> None:
    for link in LINK.findall(prose(path)):
        if "://" in link:
            continue
        file, _, place = link.partition("#")
        target = path.parent / file if file else path

        assert target.exists(), link
        if place:
            headings = re.findall(r"^#+ (.+)$", prose(target), re.MULTILINE)
            assert place in map(anchor, headings), link


@pytest.mark.parametrize("path", DOCUMENTS[1:], ids=str)
def test_lines_are_no_wider_than_a_screen(path: Path) -> None:
    lines = [line for line in prose(path).splitlines() if not line.startswith("|")]

    assert [line for line in lines if len(line) > WIDTH] == []


def test_every_error_class_has_one_entry_in_the_order_of_the_tree() -> None:
    assert errors.__doc__ is not None
    tree = re.findall(r"^(?:\W*─ )?([A-Z][A-Za-z]+) ", errors.__doc__.partition("\n\n")[2], re.MULTILINE)

    assert [name for name, _ in entries()] == tree


def test_every_entry_says_the_exit_code_of_its_class() -> None:
    for name, text in entries():
        assert text.startswith(f"Exit code {getattr(errors, name).exit_code}. "), name


def entries() -> list[tuple[str, str]]:
    """Give the entries on error classes, each with its heading."""
    _, _, section = TROUBLESHOOTING.read_text().partition("\n## By error class\n")
    _, *parts = re.split(r"^### (.+)\n", section, flags=re.MULTILINE)
    return list(zip(parts[::2], parts[1::2], strict=True))


def test_the_picture_in_the_readme_is_drawn_from_the_seed() -> None:
    assert blocks(README, "mermaid") == [mermaid(make_plan(load(SEED))) + "\n"]


def test_the_topology_in_the_readme_is_the_seed() -> None:
    (shown,) = blocks(README, "yaml")

    assert yaml.safe_load(shown) == yaml.safe_load(SEED.read_text())


def test_the_readme_says_what_the_plan_says_of_size_and_cost() -> None:
    plan = make_plan(load(SEED))
    resources = Inventory(plan=plan, subscription_id="s", operators=UNKNOWN_OPERATORS).everything()
    estimate = cost.estimate(plan, prices.shipped())
    said = " ".join(prose(README).split())

    assert f"{len(list(resources))} resources, more than {estimate.usd_per_month:,.0f} USD a month" in said
    assert f"list prices of {estimate.date}" in said
