"""Answer kubelet's probes."""

import http.server
import threading
from collections.abc import Callable
from typing import Any


def answer(host: str, port: int, is_well: Callable[[], bool], unwell: str = "") -> None:
    """Answer any GET in the background: 200 and OK, or 503 and what is unwell."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            well = is_well()
            self.send_response(200 if well else 503)
            self.end_headers()
            self.wfile.write(b"OK" if well else unwell.encode())

        def log_message(self, *_: Any) -> None:
            """Say nothing of probes."""

    server = http.server.HTTPServer((host, port), Handler)
    threading.Thread(target=server.serve_forever, args=(3600,), daemon=True).start()
