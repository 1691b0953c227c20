"""What all commands of the command line share: options, exit codes, how they talk."""

import os
from typing import Annotated

import typer

from sandbox.instance import Instance

WRONG = 2  # the command is wrong, or this computer lacks something


def _instance(name: str | Instance) -> Instance:
    if isinstance(name, Instance):  # the default goes this way too
        return name
    try:
        return Instance(name)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


Name = Annotated[
    Instance,
    typer.Option(
        "--instance",
        "-i",
        parser=_instance,
        metavar="demo|test|test2..test9",
        help="Which sandbox.",
        show_default="demo",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
DEMO = Instance("demo")


def need_root() -> None:
    """Only root can see and end what a sandbox is made of."""
    if os.geteuid() != 0:
        say("Root is needed: use sudo.")
        raise typer.Exit(WRONG)


def say(line: str) -> None:
    """Progress goes to stderr: stdout is for the result."""
    typer.echo(line, err=True)
