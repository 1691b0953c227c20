"""The terminal's door: `roachmesh VERB`, from `plan` and `deploy` to `sweep` and `kubeconfig`.

Prefect and Azure's SDK take seconds to import: a command imports them once what it was given is sound,
so that help, completion and mistakes are quick.
"""

import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from roachmesh.errors import InvalidTopology, NotConfirmed, RoachmeshError

if TYPE_CHECKING:
    from blocks import AzureCredentials
    from roachmesh.plan import Node, Plan
    from roachmesh.topology import Topology
    from tasks.deployment import Deployment
    from tasks.machines import Machine

EXIT_CODES = """\b
Exit codes:
  0 well, 1 unforeseen, 2 wrong input, 10 Azure, 20 machines or the network
  among them, 30 Kubernetes, 40 the database, 130 Ctrl-C
"""
INTERRUPTED = 130
FILE = "topologies/seed.yaml"

app = typer.Typer(
    help="One CockroachDB across Azure regions. A run started here is a run in Prefect like any other.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,  # its tracebacks would show local variables, secrets among them
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _examples(*commands: str) -> str:
    """Write examples so that they are not wrapped."""
    return "\n".join(["\b", "Examples:", *(f"  roachmesh {command}" for command in commands)])


def _complete_file(incomplete: str) -> list[str]:
    folder, _, start = incomplete.rpartition("/")
    found = sorted(Path(folder or ".").glob(f"{start}*"))
    folders = [f"{path}/" for path in found if path.is_dir() and not path.name.startswith(".")]
    return [str(path) for path in found if path.suffix in (".yaml", ".yml")] + folders


def _complete_node(context: typer.Context, incomplete: str) -> list[str]:
    with suppress(RoachmeshError):  # nothing to offer, and no place to say why
        plan = _plan(_load(Path(context.params["topology_file"])))
        return [name for name in _nodes(plan) if name.startswith(incomplete)]
    return []


TopologyFile = Annotated[
    Path,
    typer.Argument(metavar="TOPOLOGY", help="The topology's YAML file.", autocompletion=_complete_file),
]
Credentials = Annotated[str, typer.Option(help="Name of the azure-credentials block.")]
NodeName = Annotated[
    str,
    typer.Argument(metavar="NODE", help="A node, as region/number: eastus/1.", autocompletion=_complete_node),
]


@app.command(epilog=_examples(f"plan {FILE}", f"plan {FILE} --credentials default"))
def plan(
    topology_file: TopologyFile,
    credentials: Annotated[
        str | None, typer.Option(help="Name of an azure-credentials block: compare with what is there.")
    ] = None,
) -> None:
    """Show everything that would exist, and what it costs.

    Asks nobody, unless credentials are given: then it also says what exists already, and what a
    deployment would do about the rest.
    """
    planned = _plan(_load(topology_file))
    from roachmesh import cost, prices
    from roachmesh.inventory import UNKNOWN_OPERATORS, Inventory
    from roachmesh.render import plan as preview
    from roachmesh.render import terminal

    comparison = _compare(planned, credentials) if credentials else ""
    operators = planned.access.operator_cidrs or UNKNOWN_OPERATORS
    inventory = Inventory(plan=planned, subscription_id="SUBSCRIPTION", operators=operators)
    estimate = cost.estimate(planned, prices.shipped())
    terminal.show(preview.markdown(inventory, estimate, with_picture=False))
    if comparison:
        terminal.show(f"## In Azure\n\n{comparison}")


@app.command(epilog=_examples(f"deploy {FILE}"))
def deploy(
    topology_file: TopologyFile,
    credentials: Credentials = "default",
    fan_out: Annotated[
        Literal["threads", "workers"], typer.Option(help="Make regions in this process, or each on a worker.")
    ] = "threads",
) -> None:
    """Deploy a topology, or bring what is deployed back to it.

    What is already right is left alone, also when a run before this one failed or was interrupted.
    """
    topology = _load(topology_file)
    _require_prefect()
    from flows.deploy import deploy as flow
    from flows.terminal import run

    run(flow, topology=topology, credentials=credentials, fan_out=fan_out)
    typer.echo(f"{topology.name} stands. For a SQL shell: roachmesh sql {topology_file}")


@app.command(epilog=_examples("resume", "resume 'deploy seed'"))
def resume(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN", help="A run's id, page address or name; the last unfinished one when left out."
        ),
    ] = "",
) -> None:
    """Continue a run that failed, was cancelled, or died.

    Finished tasks are not repeated. It may have died with its machine and still claim to run. A worker's
    run is continued by its worker, any other one here.
    """
    _require_prefect()
    from flows.resume import resume as continue_run

    continue_run(run)


@app.command(epilog=_examples(f"verify {FILE}"))
def verify(topology_file: TopologyFile, credentials: Credentials = "default") -> None:
    """Prove that what is deployed is as planned, and works.

    Every node must reach every other; one of each region, and every pooler, must read the SQL that each
    region wrote into a table of its own; 500 clients at once must be served by a pooler.
    """
    topology = _load(topology_file)
    _require_prefect()
    from flows.terminal import run
    from flows.verify import verify as flow

    run(flow, topology=topology, credentials=credentials)
    typer.echo(f"{topology.name} is as planned, and works.")


@app.command(epilog=_examples(f"status {FILE}", f"status --json {FILE}"))
def status(
    topology_file: TopologyFile,
    credentials: Credentials = "default",
    as_json: Annotated[bool, typer.Option("--json", help="Print the same as JSON.")] = False,
) -> None:
    """Show what stands, whether it works, and what it cost so far.

    Nothing is changed. A machine that does not answer is given ten seconds.
    """
    plan = _plan(_load(topology_file))
    _require_prefect()
    from datetime import UTC, datetime

    from flows.status import read_status
    from roachmesh.render.status import text
    from tasks.status import find_deployment

    found = read_status(find_deployment(plan, credentials))
    typer.echo(found.model_dump_json(indent=2) if as_json else text(found, datetime.now(UTC)))


@app.command(epilog=_examples(f"destroy {FILE}", f"destroy --yes {FILE}"))
def destroy(
    topology_file: TopologyFile,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for the topology's name.")] = False,
    credentials: Credentials = "default",
) -> None:
    """Show what a deployment made, and delete it, with its data."""
    topology = _load(topology_file)
    if not yes and not sys.stdin.isatty():
        raise NotConfirmed("nobody can be asked here.", where="destroy", advice="Write --yes to destroy it.")
    plan = _plan(topology)
    _require_prefect()
    from flows.destroy import destroy as flow
    from flows.terminal import run
    from tasks.belongings import list_belongings
    from tasks.deployment import Deployment

    belongings = list_belongings(Deployment(key="terminal", plan=plan, credentials=credentials))
    if not belongings:
        typer.echo(f"Nothing of {topology.name} is left.")
        return
    typer.echo("\n".join(["This will go, and nothing brings it back:", *(f"  {one}" for one in belongings)]))
    confirm = topology.name if yes else typer.prompt("Write the topology's name to destroy it")
    if confirm != topology.name:
        raise NotConfirmed(f"{confirm!r} is not {topology.name!r}: nothing was touched.", where="destroy")
    run(flow, topology=topology, confirm=confirm, credentials=credentials)
    typer.echo(f"{topology.name} is gone.")


@app.command(epilog=_examples("sweep", "sweep --yes --credentials-file credentials.json"))
def sweep(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    credentials: Credentials = "default",
    credentials_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Without Prefect: a JSON file with the fields of such a block, at least subscription_id.",
        ),
    ] = None,
) -> None:
    """Show the deployments that have expired, and delete them.

    Only what carries our tags is touched. Without Prefect nobody knows whether a run works on one of them,
    and the secrets in its blocks stay.
    """
    given = _read_credentials(credentials_file) if credentials_file else None
    if given is None:
        _require_prefect()
    from tasks import sweep as expiry

    subscription = expiry.Subscription(given) if given else None
    expired = expiry.find_expired(subscription) if subscription else expiry.find_all(credentials)
    if not expired:
        typer.echo("Nothing has expired.")
        return
    typer.echo(f"These have expired, and nothing brings back what is deleted:\n{expiry.report(expired)}")
    if not yes and not sys.stdin.isatty():
        raise NotConfirmed("nobody can be asked here.", where="sweep", advice="Write --yes to delete it.")
    if not yes and typer.prompt("Write yes to delete it") != "yes":
        raise NotConfirmed("nothing was touched.", where="sweep")
    if subscription:
        errors = []
        for one in expired:
            try:
                typer.echo(expiry.outcome(one, expiry.remove_expired(subscription, one)))
            except RoachmeshError as exc:
                errors.append(exc)
        if errors:
            errors[0].also += tuple(map(str, errors[1:]))
            raise errors[0]
        return
    from flows.sweep import sweep as flow
    from flows.terminal import run

    run(flow, credentials=credentials, topologies=[one.topology for one in expired])


@app.command(
    context_settings={"ignore_unknown_options": True},
    epilog=_examples(f"ssh {FILE} eastus/1", f"ssh {FILE} eastus/1 uptime"),
)
def ssh(
    topology_file: TopologyFile,
    node: NodeName,
    command: Annotated[
        list[str] | None, typer.Argument(metavar="[COMMAND]...", help="A command instead of a shell.")
    ] = None,
    credentials: Credentials = "default",
) -> None:
    """Open a shell on a machine, or run a command there.

    The machine must have the host key that it was made with.
    """
    deployment, machine = _reach(topology_file, node, credentials)
    from tasks import shells

    raise typer.Exit(shells.ssh(deployment, machine, command or []))


@app.command(
    context_settings={"ignore_unknown_options": True},
    epilog=_examples(
        f"sql {FILE}", f"sql {FILE} -c 'SELECT version()'", f"sql {FILE} --node westus/2 --tunnel"
    ),
)
def sql(
    topology_file: TopologyFile,
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[ARGUMENTS]...", help="Arguments for psql.")
    ] = None,
    node: Annotated[str, typer.Option(help="A node, or a region; the first when left out.")] = "",
    tunnel: Annotated[bool, typer.Option("--tunnel", help="Keep a tunnel open for another client.")] = False,
    port: Annotated[int, typer.Option(help="The tunnel's local port; 0 for any free one.")] = 0,
    credentials: Credentials = "default",
) -> None:
    """Open a SQL shell as root, or a tunnel for another client.

    Both go through SSH, since the database is not open to the world.
    """
    if port and not tunnel:
        raise typer.BadParameter("--port is for --tunnel")
    deployment, machine = _reach(topology_file, node, credentials)
    from tasks import shells

    if not tunnel:
        raise typer.Exit(shells.psql(deployment, machine, arguments or []))
    with shells.sql_for_others(deployment, machine, port) as conninfo:
        typer.echo(f'psql "{conninfo}"\n\nThe tunnel is open until you press Ctrl-C.')
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with suppress(KeyboardInterrupt):
            signal.pause()


@app.command(
    epilog=_examples(f"kubeconfig {FILE}", f"kubeconfig {FILE} --output -", f"kubeconfig {FILE} --merge"),
)
def kubeconfig(
    topology_file: TopologyFile,
    output: Annotated[
        str,
        typer.Option(metavar="FILE", help="Where to write it, - to print; ~/.kube/NAME.yaml when left out."),
    ] = "",
    merge: Annotated[
        bool,
        typer.Option("--merge", help="Add them to your own file, $KUBECONFIG or ~/.kube/config."),
    ] = False,
) -> None:
    """Write what kubectl needs, a context a cluster.

    Your own file is not touched, unless you ask for that; then your entries and your current context
    stay.
    """
    if output and merge:
        raise typer.BadParameter("--output and --merge exclude each other")
    planned = _plan(_load(topology_file))
    _require_prefect()
    from tasks import kubeconfig as files

    text = files.read_kubeconfig(planned)
    if output == "-":
        typer.echo(text, nl=False)
        return
    contexts = ", ".join(f"{planned.topology}-{region.name}" for region in planned.clusters)
    if merge:
        path = files.own_file()
        files.merge_into(path, text)
        typer.echo(f"{path} has {contexts} now; its current context is what it was.")
        return
    path = Path(output) if output else Path.home() / ".kube" / f"{planned.topology}.yaml"
    files.write(path, text)
    typer.echo(f"export KUBECONFIG={path}  # {contexts}")


@app.command(epilog=_examples(f"credentials {FILE} app", f"credentials {FILE} app --output secrets"))
def credentials(
    topology_file: TopologyFile,
    user: Annotated[str, typer.Argument(metavar="USER", help="A SQL user of the topology.")],
    output: Annotated[
        str, typer.Option(metavar="DIRECTORY", help="Where to write; ~/.roachmesh/NAME when left out.")
    ] = "",
    credentials: Credentials = "default",
) -> None:
    """Write a SQL user's password or certificate.

    The database's authority comes with it. Prints how to connect to each region; from outside of the
    regions only the topology's access.nodeport_cidrs may.
    """
    planned = _plan(_load(topology_file))
    _require_prefect()
    from tasks.credentials import write_credentials
    from tasks.deployment import Deployment

    directory = Path(output) if output else Path.home() / ".roachmesh" / planned.topology
    deployment = Deployment(key="terminal", plan=planned, credentials=credentials)
    for command in write_credentials(deployment, user, directory.absolute()):
        typer.echo(command)


def main() -> None:
    """Run the command line; what a person did wrong is said without a traceback."""
    try:
        app()
    except RoachmeshError as exc:
        typer.echo(f"roachmesh: {exc}", err=True)
        raise SystemExit(exc.exit_code) from exc
    except KeyboardInterrupt:  # a run says more of it, in flows/terminal.py
        raise SystemExit(INTERRUPTED) from None


def _load(topology_file: Path) -> "Topology":
    from roachmesh import topology

    return topology.load(topology_file)


def _read_credentials(path: Path) -> "AzureCredentials":
    """Read credentials from a file, which nobody else may read if there is a secret in it."""
    from pydantic import ValidationError

    from blocks import AzureCredentials

    try:
        credentials = AzureCredentials.model_validate_json(path.read_text())
        is_open = credentials.client_secret and path.stat().st_mode & 0o077
    except OSError as exc:
        raise typer.BadParameter(f"{path}: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise typer.BadParameter(f"{path}: not UTF-8") from exc
    except ValidationError as exc:
        mistakes = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in exc.errors())
        raise typer.BadParameter(f"{path}: {mistakes}") from exc
    if credentials.model_extra:
        raise typer.BadParameter(f"{path}: unknown: {', '.join(credentials.model_extra)}")
    if is_open:
        raise typer.BadParameter(f"{path} holds a secret that others can read: chmod 600 {path}")
    return credentials


def _plan(topology: "Topology") -> "Plan":
    from roachmesh.plan import make_plan

    return make_plan(topology)


def _compare(plan: "Plan", credentials: str) -> str:
    _require_prefect()
    from roachmesh.render import markdown
    from tasks.drift import foresee

    return markdown.comparison(foresee(plan, credentials))


def _require_prefect() -> None:
    from flows.terminal import require_prefect, silence_logs

    silence_logs()
    require_prefect()


def _reach(topology_file: Path, node: str, credentials: str) -> "tuple[Deployment, Machine]":
    plan = _plan(_load(topology_file))
    wanted = _find(plan, node)
    _require_prefect()
    from tasks.deployment import Deployment
    from tasks.machines import read_machine

    deployment = Deployment(key="terminal", plan=plan, credentials=credentials)
    return deployment, read_machine(deployment, wanted)


def _nodes(plan: "Plan") -> "dict[str, Node]":
    return {f"{node.region}/{node.number}": node for node in plan.nodes}


def _find(plan: "Plan", name: str) -> "Node":
    """Find a node by region and number; a region's first, or the first of all, when no more is said."""
    nodes, first = _nodes(plan), {region.name: region.nodes[0] for region in plan.regions}
    found = nodes.get(name) or first.get(name or plan.regions[0].name)
    if found is None:
        raise InvalidTopology(f"there is no node {name!r}.", advice=f"Write one of {', '.join(nodes)}.")
    return found
