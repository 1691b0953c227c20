"""Azure's control plane at Azure's pace, in a process of its own: machines are records, nothing boots.

`python -m bench.azure INSTANCE FACTOR` prints its card as JSON, and ends when its input does.
"""

import asyncio
import json
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from roachmesh.inventory import RESOURCE_GROUP
from sandbox import tls
from sandbox.arm import App
from sandbox.arm.urls import ALL_TYPES
from sandbox.card import Card
from sandbox.instance import Instance
from sandbox.web import WebServer

# Seconds that a write of each type takes on Azure, as the sandbox has them; it makes groups at once.
WRITE_S = {one.name: 0.0 if one.synchronous else float(one.write_s) for one in ALL_TYPES}
WRITE_S[RESOURCE_GROUP] = 0.0


@contextmanager
def azure(instance: Instance, factor: float) -> Iterator[dict[str, Any]]:
    """Have a control plane whose operations take a factor of Azure's time; gives its card."""
    command = [sys.executable, "-m", "bench.azure", instance.name, str(factor)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            raise RuntimeError(f"the control plane did not start: exit code {process.wait()}")
        yield json.loads(line)
        process.communicate()  # its input ends, and so does it


def serve(instance: Instance, factor: float, directory: Path) -> None:
    """Serve until the input ends."""
    listener = socket.create_server(("127.0.0.1", instance.arm_port))
    authority = tls.new_authority(f"{instance.mark} benchmark")
    started_at = datetime.now(UTC).isoformat(timespec="seconds")
    secret = secrets.token_hex(32)  # it may not look like an option to `az login`
    card = Card.new(instance, client_secret=secret, ca_pem=authority.pem, started_at=started_at)
    app = App(instance, card.credentials, latency=factor)
    server = WebServer(app, *tls.issue(authority, ["localhost", "127.0.0.1"], directory, "arm"))
    threading.Thread(target=_stop_at_the_end_of_input, args=(server,), daemon=True).start()
    print(json.dumps(card.document), flush=True)
    asyncio.run(server.serve_on(listener))
    app.close()


def _stop_at_the_end_of_input(server: WebServer) -> None:
    sys.stdin.read()
    server.stop()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        serve(Instance(sys.argv[1]), float(sys.argv[2]), Path(name))
