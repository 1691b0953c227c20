"""The terminal's door: `roachmesh ssh|sql`."""

import signal
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from roachmesh import topology
from roachmesh.errors import InvalidTopology, RoachmeshError
from roachmesh.plan import Node, Plan, make_plan
from tasks import shells
from tasks.deployment import Deployment
from tasks.machines import Machine, read_machine

app = typer.Typer(
    help="One CockroachDB across Azure regions.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # its tracebacks would show local variables, secrets among them
)

TopologyFile = Annotated[Path, typer.Argument(metavar="TOPOLOGY", help="The topology's YAML file.")]
Credentials = Annotated[str, typer.Option(help="Name of the azure-credentials block.")]
NodeName = Annotated[str, typer.Argument(metavar="NODE", help="A node, as region/number: eastus/1.")]


@app.command(context_settings={"ignore_unknown_options": True})
def ssh(
    topology_file: TopologyFile,
    node: NodeName,
    command: Annotated[list[str] | None, typer.Argument(help="A command instead of a shell.")] = None,
    credentials: Credentials = "default",
) -> None:
    """Open a shell on a machine, or run a command there.

    Example: roachmesh ssh topologies/three-vm-regions.yaml eastus/1 journalctl -u cockroach
    """
    deployment, machine = _reach(topology_file, node, credentials)
    raise typer.Exit(shells.ssh(deployment, machine, command or []))


@app.command(context_settings={"ignore_unknown_options": True})
def sql(
    topology_file: TopologyFile,
    arguments: Annotated[list[str] | None, typer.Argument(help="Arguments for psql.")] = None,
    node: Annotated[str, typer.Option(help="The node to connect to, as region/number.")] = "",
    tunnel: Annotated[bool, typer.Option("--tunnel", help="Keep a tunnel open for another client.")] = False,
    port: Annotated[int, typer.Option(help="The tunnel's local port; 0 for any free one.")] = 0,
    credentials: Credentials = "default",
) -> None:
    """Open a SQL shell as root, or a tunnel for another client.

    Example: roachmesh sql topologies/three-vm-regions.yaml -c 'SELECT version()'
    """
    deployment, machine = _reach(topology_file, node, credentials)
    if not tunnel:
        raise typer.Exit(shells.psql(deployment, machine, arguments or []))
    with shells.sql_for_others(deployment, machine, port) as conninfo:
        typer.echo(f'psql "{conninfo}"\n\nThe tunnel is open until you press Ctrl-C.')
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with suppress(KeyboardInterrupt):
            signal.pause()


def main() -> None:
    """Run the command line; what a person did wrong is said without a traceback."""
    try:
        app()
    except RoachmeshError as exc:
        typer.echo(f"roachmesh: {exc}", err=True)
        raise SystemExit(exc.exit_code) from exc


def _reach(topology_file: Path, node: str, credentials: str) -> tuple[Deployment, Machine]:
    plan = make_plan(topology.load(topology_file))
    deployment = Deployment(key="terminal", plan=plan, credentials=credentials)
    return deployment, read_machine(deployment, _find(plan, node))


def _find(plan: Plan, name: str) -> Node:
    """Find a node by region and number; the first one when nothing is said."""
    if not name:
        return plan.first_node
    by_name = {f"{node.region}/{node.number}": node for node in plan.nodes}
    if name not in by_name:
        raise InvalidTopology(f"there is no node {name!r}.", advice=f"Write one of {', '.join(by_name)}.")
    return by_name[name]
