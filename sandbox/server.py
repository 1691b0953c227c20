"""The daemon: ARM, tokens and the artifact mirror in one process, and the fabric that they drive.

`python -m sandbox up` starts it; it runs until it is told to stop, and sleeps while nobody asks.
"""

import asyncio
import logging
import os
import secrets
import signal
import socket
import sys
from datetime import UTC, datetime

from sandbox import mirror, tls
from sandbox.arm import App
from sandbox.card import Card
from sandbox.fabric import names
from sandbox.fabric.fabric import Fabric
from sandbox.fabric.model import Network
from sandbox.fabric.sockets import listen_in_namespace
from sandbox.instance import MIRROR_NAME, Instance
from sandbox.machines.machines import Machines
from sandbox.web import WebServer

log = logging.getLogger(__name__)


def main(instance: Instance, ready: int) -> None:
    """Run the daemon.

    Args:
        instance: Which one; what is left of an earlier one has been removed.
        ready: A pipe's end; one line is written to it when everything is up.
    """
    arm_listener = _listen(instance.arm_port)  # first: another daemon's fabric is not to be touched
    fabric = Fabric(instance)
    fabric.apply(Network())  # the edge must be there for the mirror to listen in
    authority = tls.new_authority(f"{instance.mark} certificate authority")
    card = Card.new(
        instance,
        client_secret=secrets.token_hex(32),  # it may not look like an option to `az login`
        ca_pem=authority.pem,
        started_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    log_path = instance.directory / "requests.jsonl"
    app = App(instance, card.credentials, fabric=fabric, machines=Machines(instance), request_log=log_path)
    arm_names = ["localhost", "127.0.0.1"]
    mirror_names = [MIRROR_NAME, str(instance.mirror_address)]
    arm = WebServer(app, *tls.issue(authority, arm_names, instance.directory, "arm"))
    artifacts = WebServer(
        mirror.app(instance.directory / "artifacts", app.cloud.faults),
        *tls.issue(authority, mirror_names, instance.directory, "mirror"),
    )
    listeners = (
        (arm, arm_listener),
        (artifacts, listen_in_namespace(names.edge(instance), str(instance.mirror_address), 443)),
    )
    card.write(instance)
    asyncio.run(_serve(listeners, ready))
    app.close()


def _listen(port: int) -> socket.socket:
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError as error:
        sys.exit(f"Port {port} of 127.0.0.1 cannot be had: {os.strerror(error.errno or 0)}.")


async def _serve(listeners: tuple[tuple[WebServer, socket.socket], ...], ready: int) -> None:
    loop = asyncio.get_running_loop()

    def stop() -> None:
        for server, _ in listeners:
            server.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    running = [asyncio.create_task(server.serve_on(listener)) for server, listener in listeners]
    os.write(ready, b"ready\n")  # the sockets listen already; a client waits a moment at most
    os.close(ready)
    log.info("up")
    await asyncio.gather(*running)
    log.info("down")


if __name__ == "__main__":
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    main(Instance(sys.argv[1]), int(sys.argv[2]))
