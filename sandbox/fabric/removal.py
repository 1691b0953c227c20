"""Remove every trace of an instance's fabric, by its mark alone."""

import shutil

from sandbox import processes
from sandbox.fabric import converge
from sandbox.instance import Instance


def remove_everything(instance: Instance) -> None:
    """Stop the fabric's daemons and remove its namespaces, links and routes.

    Machines are removed before. Works whether or not the daemon lives and whatever was killed before;
    safe to repeat.
    """
    for role in set(processes.roles(instance).values()):
        if role.startswith(("resolver:", "time")):
            processes.end(instance, role, grace_s=0)
    converge.remove_all(instance)
    for name in ("resolvers", "time"):
        shutil.rmtree(instance.directory / name, ignore_errors=True)
