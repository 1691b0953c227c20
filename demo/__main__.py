"""What ./run calls: `python -m demo up|down|roachmesh`; and `pictures`, for whoever writes the docs."""

import argparse
import os
import sys
from pathlib import Path

from demo.instance import Instance
from sandbox.instance import Instance as Sandbox

TOPOLOGY = Path("topologies/seed.yaml")


def main() -> int:
    """Run one command; the exit code says how it went."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--instance", default="demo", help="demo, or test for the tests' own")
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="start everything and deploy a topology")
    up.add_argument("topology", nargs="?", type=Path, default=TOPOLOGY)
    commands.add_parser("down", help="stop everything and leave nothing behind")
    commands.add_parser("pictures", help="take the pictures in docs/pictures/ of what runs")
    commands.add_parser("roachmesh", add_help=False, help="the command line, talking to the demo's Prefect")
    arguments, rest = parser.parse_known_args()
    if rest and arguments.command != "roachmesh":
        parser.error(f"unknown: {' '.join(rest)}")
    instance = Instance(Sandbox(arguments.instance))
    # Prefect reads its settings when it is imported, so they must stand before that.
    instance.prefect_home.mkdir(parents=True, exist_ok=True)
    os.environ.update(instance.client_environment())
    if arguments.command == "roachmesh":
        program = Path(sys.executable).with_name("roachmesh")
        os.execv(program, [str(program), *rest])  # noqa: S606 -- takes our place
    if arguments.command == "down":
        from demo.down import down as stop

        return stop(instance)
    if arguments.command == "pictures":
        from demo.pictures import take

        return take(instance)
    from demo.up import up as start

    return start(instance, arguments.topology)


if __name__ == "__main__":
    sys.exit(main())
