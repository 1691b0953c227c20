"""The command line: python -m sandbox up | down | status | fault."""

import json

import typer

from sandbox import fault_commands, lifecycle
from sandbox import status as state
from sandbox.card import Card
from sandbox.instance import Instance
from sandbox.options import DEMO, WRONG, AsJson, Name, need_root, say

app = typer.Typer(
    help="A local Azure: ARM over TLS, real Linux machines, a real network. Needs root.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(fault_commands.app, name="fault")


@app.command(epilog="Example: python -m sandbox up --json > card.json  (it holds a secret: mode 0600)")
def up(instance: Name = DEMO, as_json: AsJson = False) -> None:
    """Bring the sandbox up; if it is up already, print the same card and change nothing."""
    try:
        card = lifecycle.up(instance, say)
    except lifecycle.CannotRun as error:
        say(f"The sandbox cannot run here: {error}")
        raise typer.Exit(WRONG) from error
    except lifecycle.DaemonFailed as error:
        say(str(error))
        raise typer.Exit(1) from error
    typer.echo(json.dumps(card.document) if as_json else _for_people(instance, card))


@app.command(epilog="Example: python -m sandbox down --instance test3")
def down(instance: Name = DEMO) -> None:
    """End all of it: machines, networks, processes, files; whatever was killed before."""
    need_root()
    lifecycle.down(instance)
    say(f"sandbox {instance.name} is down")


@app.command(epilog="Example: python -m sandbox status --json | python -m json.tool")
def status(instance: Name = DEMO, as_json: AsJson = False) -> None:
    """Tell whether it is up, what is in it, and what stands in for what."""
    need_root()
    found = state.read(instance)
    typer.echo(json.dumps(found) if as_json else state.as_text(found))


def _for_people(instance: Instance, card: Card) -> str:
    lines = {
        "ARM": card.arm_endpoint,
        "authority": f"{card.authority}/{card.tenant_id}",
        "subscription": card.subscription_id,
        "client": f"{card.client_id}  (its secret: up --json)",
        "artifacts": card.artifacts["base_url"],
        "own address": card.public_address_url,
        "files": str(instance.directory),
    }
    rows = [f"  {name:12}  {value}" for name, value in lines.items()]
    stand_ins = [f"  {one['what']} for {one['stands_in_for']}" for one in card.stand_ins]
    return "\n".join(
        [f"sandbox {instance.name} is up since {card.started_at}", *rows, "", "stand-ins", *stand_ins]
    )


if __name__ == "__main__":
    app(prog_name="python -m sandbox")
