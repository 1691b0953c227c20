"""Markdown at a terminal: drawn for a person, as it is for a file or another program."""

import sys

from rich.console import Console
from rich.markdown import Markdown


def show(text: str) -> None:
    """Print Markdown."""
    if sys.stdout.isatty():
        Console().print(Markdown(text))
    else:
        sys.stdout.write(f"{text.rstrip()}\n\n")
