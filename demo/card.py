"""The connection card: how to reach what stands, and what in it stands in for something."""

from pathlib import Path
from typing import Any

from demo.instance import Instance
from roachmesh.topology import Topology


def render(instance: Instance, cloud: dict[str, Any], wanted: Topology, topology_file: Path) -> str:
    """Write the card; `cloud` is what the sandbox said of itself."""
    run = f"./run roachmesh {{}} {topology_file}"
    stand_ins = "\n".join(f"    {one['what']}: {one['stands_in_for']}" for one in cloud["stand_ins"])
    return f"""
  {wanted.name} is up. Everything keeps running; `./run down` stops it.

  SQL shell        {run.format("sql")}
  your own client  {run.format("sql")} --tunnel
  SSH to a machine {run.format("ssh")} {wanted.regions[0].name}/1
  Prefect's UI     {instance.ui}
  the sandbox      {cloud["arm_endpoint"]}  (.venv/bin/python -m sandbox status)

  This is the sandbox, not Azure. What stands in for something:
{stand_ins}
"""
