"""How the terminal shows a run: a live picture where there is one, a line for each ended task elsewhere."""

import logging
import sys
from contextlib import AbstractContextManager
from typing import Protocol
from uuid import UUID

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from flows.progress import News
from flows.tree import Line, Mark, Tree

SIGNS: dict[Mark, tuple[str, str]] = {
    "done": ("✓", "green"),
    "runs": ("●", "cyan"),
    "waits": ("·", "dim"),
    "failed": ("✗", "bold red"),
}
TITLE_WIDTH = 30
WIDEST = 120


class Display(Protocol):
    """Somewhere to show a run."""

    def show(self, news: News) -> None:
        """Show what was seen."""


def make_display(console: Console) -> AbstractContextManager[Display]:
    """Choose how to show a run: whoever reads a file or a log wants lines."""
    if sys.stdout.isatty() and not console.is_dumb_terminal:
        return LiveDisplay(console)
    return Lines(console)


class Lines(AbstractContextManager["Lines"]):
    """A line for each task that ends."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def __exit__(self, *raised: object) -> None:
        """Nothing is left to show."""

    def show(self, news: News) -> None:
        """Print the tasks that ended."""
        for step in news.ended:
            self._console.print(str(step), soft_wrap=True)


class LiveDisplay(AbstractContextManager["LiveDisplay"]):
    """A tree that is drawn anew in its place, as tall as the terminal allows; at the end all of it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.tree = Tree()
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._reasons = _Reasons(self.tree)

    def __enter__(self) -> "LiveDisplay":
        logging.getLogger("prefect.task_runs").addHandler(self._reasons)
        self._live.start()
        return self

    def __exit__(self, *raised: object) -> None:
        logging.getLogger("prefect.task_runs").removeHandler(self._reasons)
        self._live.stop()
        self._console.print(draw(self.tree.lines(), self._width, wrap=True))

    def show(self, news: News) -> None:
        """Draw the tree as it is now."""
        self.tree.learn(news)
        # The line below the last belongs to the picture: on the terminal's last line it would scroll.
        lines = self.tree.lines(height=self._console.height - 1)
        self._live.update(draw(lines, self._width), refresh=True)

    @property
    def _width(self) -> int:
        """What the terminal gives, without the place where it echoes `^C`, which must not make a new line."""
        return min(self._console.width - len("^C^C"), WIDEST)


class _Reasons(logging.Handler):
    """Hears from Prefect's log why a task is tried again, since its state does not tell."""

    def __init__(self, tree: Tree) -> None:
        super().__init__(logging.INFO)
        self._tree = tree

    def emit(self, record: logging.LogRecord) -> None:
        """Take the exception out of what the engine logs when it will try again."""
        errors = [part for part in record.args or () if isinstance(part, Exception)]
        if errors and record.levelno == logging.INFO:
            self._tree.blame(UUID(str(record.__dict__["task_run_id"])), str(errors[0]))


def draw(lines: list[Line], width: int, *, wrap: bool = False) -> Table:
    """Lay lines out: what, a note, the time."""
    table = Table.grid(padding=(0, 1), expand=True)
    table.width = width
    table.add_column(min_width=TITLE_WIDTH, no_wrap=True, overflow="ellipsis")
    table.add_column(ratio=1, no_wrap=not wrap, overflow="fold" if wrap else "ellipsis")
    table.add_column(justify="right", no_wrap=True)
    for line in lines:
        sign, style = SIGNS[line.mark]
        title = Text.assemble("  " * line.depth, (sign, style), " ", line.text)
        note = line.note if wrap else " ".join(line.note.split())
        note_style = "red" if line.mark == "failed" else "dim"
        took = "" if line.took_s is None else f"{line.took_s:.1f} s"
        table.add_row(title, Text(note, style=note_style), took)
    return table
