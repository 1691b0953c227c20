"""The artifact mirror: for a client in this process, and for machines at the address where they look."""

import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sandbox import mirror, tls
from sandbox.fabric import names
from sandbox.fabric.sockets import listen_in_namespace
from sandbox.faults.faults import Faults
from sandbox.instance import MIRROR_NAME, Instance
from sandbox.web import WebServer
from tests.sandbox.arm_fixtures import running, serving

Fetch = Callable[..., tuple[int, dict[str, str], bytes]]


@contextmanager
def mirror_client(directory: Path, faults: Faults) -> Iterator[Fetch]:
    """Serve the mirror; gives what asks it for a path and returns status, headers and content."""
    with serving(mirror.app(directory / "cache", faults), directory) as (address, ca_file):
        context = ssl.create_default_context(cafile=str(ca_file))

        def fetch(path: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
            request = urllib.request.Request(f"{address}{path}", method=method)  # noqa: S310
            try:
                with urllib.request.urlopen(request, context=context) as answer:  # noqa: S310
                    return answer.status, dict(answer.headers), answer.read()
            except urllib.error.HTTPError as refused:
                with refused:
                    return refused.code, dict(refused.headers), refused.read()

        yield fetch


@contextmanager
def mirror_for_machines(instance: Instance, directory: Path) -> Iterator[str]:
    """Serve the mirror at the fabric's edge, which must be there; gives its CA."""
    authority = tls.new_authority(instance.mark)
    names_of_mirror = [MIRROR_NAME, str(instance.mirror_address)]
    app = mirror.app(directory / "cache", Faults(time.monotonic))
    server = WebServer(app, *tls.issue(authority, names_of_mirror, directory, "mirror"))
    with running(server, listen_in_namespace(names.edge(instance), str(instance.mirror_address), 443)):
        yield authority.pem
