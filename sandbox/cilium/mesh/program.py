"""The command `clustermesh-apiserver`."""

import logging
import sys

from sandbox.cilium.mesh import apiserver, kvstoremesh
from sandbox.cluster.threads import end_with_any


def main() -> None:
    """Run the sub-command that the container asks for."""
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stdout,
        format='time="%(asctime)s" level=%(levelname)s msg="%(message)s"',
    )
    end_with_any()
    command, *arguments = sys.argv[1:] or [""]
    if command == "clustermesh":
        apiserver.main()
    elif command == "kvstoremesh":
        kvstoremesh.main()
    elif command == "kvstoremesh-dbg":
        kvstoremesh.show_status(arguments)
    else:
        sys.exit(f'unknown command "{command}" for "clustermesh-apiserver"')
