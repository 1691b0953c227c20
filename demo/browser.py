"""A browser without a screen, told what to do over Chrome's own protocol."""

import base64
import json
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import connect  # Prefect brings this library
from websockets.sync.connection import Connection

from demo.waiting import wait_until

START_TIMEOUT_S = 20.0
PORT_AND_PATH = 2  # the lines of the file in which it says where it listens


class Page:
    """The one page of a browser."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._number = 0

    def open(self, url: str, *, width: int, height: int) -> None:
        """Load a page into a window of this size."""
        window = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._call("Emulation.setDeviceMetricsOverride", **window)
        self._call("Page.navigate", url=url)

    def run(self, script: str) -> None:
        """Run JavaScript in the page.

        Raises:
            RuntimeError: it failed.
        """
        result = self._call("Runtime.evaluate", expression=script)
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"]["exception"]["description"])

    def picture(self, path: Path) -> None:
        """Write what is seen as a PNG."""
        path.write_bytes(base64.b64decode(self._call("Page.captureScreenshot", format="png")["data"]))

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        self._connection.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._connection.recv(timeout=60))
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                result: dict[str, Any] = answer["result"]
                return result


@contextmanager
def browser(program: str) -> Iterator[Page]:
    """Start a browser with a profile of its own, and end it.

    Args:
        program: Chromium, or Chrome.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        log, port_file = Path(directory) / "log", Path(directory) / "DevToolsActivePort"
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"]
        options += ["--disable-background-networking", "--disable-component-update", "--hide-scrollbars"]
        options += ["--remote-debugging-port=0", f"--user-data-dir={directory}", "about:blank"]
        with log.open("w") as output:
            process = subprocess.Popen([program, *options], stdout=output, stderr=output)
        try:
            wait_until(
                lambda: port_file.exists() and len(port_file.read_text().split()) == PORT_AND_PATH,
                what=program,
                timeout_s=START_TIMEOUT_S,
                log=log,
            )
            port = port_file.read_text().split()[0]
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json") as answer:
                target = next(one for one in json.load(answer) if one["type"] == "page")
            with connect(target["webSocketDebuggerUrl"], max_size=None) as connection:
                yield Page(connection)
        finally:
            process.terminate()
            process.wait()
