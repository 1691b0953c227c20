"""./run down: leave no process, namespace, mount, route or table behind."""

import shutil
import subprocess
import sys

from demo import processes
from demo.instance import Instance


def down(instance: Instance) -> int:
    """End everything of an instance by its mark alone, and forget it; returns the exit code."""
    processes.stop_all(instance.mark)
    command = [sys.executable, "-m", "sandbox", "down", "--instance", instance.sandbox.name]
    code = subprocess.run(command, check=False).returncode
    shutil.rmtree(instance.directory, ignore_errors=True)
    return code
