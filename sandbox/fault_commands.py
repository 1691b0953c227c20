"""The command line of faults: python -m sandbox fault add | list | clear | kinds."""

import json
from typing import Annotated, Any

import typer

from sandbox import client, lifecycle
from sandbox.faults.kinds import described
from sandbox.instance import Instance
from sandbox.options import DEMO, WRONG, AsJson, Name, need_root, say
from sandbox.status import fault_lines

app = typer.Typer(
    help="Let things go wrong on purpose, for real; `fault kinds` says what.", no_args_is_help=True
)


@app.command(epilog="Example: python -m sandbox fault add refuse type=virtualMachines code=AllocationFailed")
def add(
    kind: Annotated[str, typer.Argument(help="Which; `fault kinds` lists them.")],
    settings: Annotated[list[str] | None, typer.Argument(metavar="[NAME=VALUE]...")] = None,
    instance: Name = DEMO,
) -> None:
    """Let something go wrong, until it is cleared or over."""
    pairs = [setting.partition("=")[::2] for setting in settings or []]
    made = _ask(instance, "POST", client.FAULTS, {"kind": kind, **dict(pairs)})
    say(f"fault {made['number']}: {kind}" if made["number"] else f"done: {kind}")


@app.command("list", epilog="Example: python -m sandbox fault list --json")
def list_all(instance: Name = DEMO, as_json: AsJson = False) -> None:
    """List what goes wrong now."""
    found = _ask(instance, "GET", client.FAULTS)["value"]
    lines = fault_lines(found) or ["nothing goes wrong on purpose"]
    typer.echo(json.dumps(found) if as_json else "\n".join(lines))


@app.command(epilog="Example: python -m sandbox fault clear 2")
def clear(
    number: Annotated[int | None, typer.Argument(help="Of `fault list`; all, if it is left out.")] = None,
    instance: Name = DEMO,
) -> None:
    """Let it go wrong no more."""
    left = _ask(instance, "DELETE", client.FAULTS + ("" if number is None else f"/{number}"))["value"]
    say(f"cleared; {len(left)} left")


@app.command(epilog="Example: python -m sandbox fault kinds")
def kinds() -> None:
    """Say what can go wrong, and what can be said of it."""
    typer.echo("\n".join(described()))


def _ask(instance: Instance, method: str, path: str, document: dict[str, str] | None = None) -> Any:
    need_root()
    card = lifecycle.living(instance)
    if card is None:
        say(f"sandbox {instance.name} is not up")
        raise typer.Exit(1)
    try:
        return client.ask(card, method, path, document)
    except client.Refused as error:
        say(str(error))
        raise typer.Exit(WRONG) from error
