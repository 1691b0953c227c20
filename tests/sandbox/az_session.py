"""What a person does with `az` (az_commands.txt), and what it sends (az_requests.jsonl).

`python -m tests.sandbox.az_session` records anew; it needs `az` on the PATH.
"""

import json
import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from sandbox.arm import App
from sandbox.instance import Instance
from tests.sandbox.arm_fixtures import CREDENTIALS, ED25519, serving

RECORDING = Path(__file__).with_name("az_requests.jsonl")
COMMANDS = Path(__file__).with_name("az_commands.txt").read_text().splitlines()


class Az:
    """A registered cloud, logged in, in a configuration of its own."""

    def __init__(self, endpoint: str, ca_file: Path, directory: Path) -> None:
        executable = shutil.which("az")
        if executable is None:
            raise FileNotFoundError("there is no az on the PATH")
        self._executable = executable
        settings = {"AZURE_CONFIG_DIR": str(directory / "az"), "REQUESTS_CA_BUNDLE": str(ca_file)}
        settings |= {"AZURE_CORE_COLLECT_TELEMETRY": "false", "AZURE_CORE_INSTANCE_DISCOVERY": "false"}
        self._environment = {**os.environ, **settings}
        self(
            f"cloud register -n sandbox --endpoint-resource-manager {endpoint} "
            f"--endpoint-management {endpoint} --endpoint-active-directory {endpoint} "
            "--endpoint-active-directory-resource-id https://management.azure.com/"
        )
        self("cloud set -n sandbox")
        who = f"-u {CREDENTIALS.client_id} -p '{CREDENTIALS.client_secret}' --tenant {CREDENTIALS.tenant_id}"
        self(f"login --service-principal {who}")

    def __call__(self, command: str) -> str:
        """Run a command; returns what it prints."""
        words = [ED25519 if word == "KEY" else word for word in shlex.split(command)]
        arguments = [self._executable, *words, "-o", "json"]
        done = subprocess.run(arguments, env=self._environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise AssertionError(f"az {command}: {done.stderr}")
        return done.stdout


class Recorder:
    """Stands before ARM, and notes requests and the keys of their answers."""

    def __init__(self, app: App) -> None:
        self._app = app
        self.lines: list[dict[str, Any]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and its answer back."""
        sent, status, answered = b"", 0, b""

        async def listen() -> Message:
            nonlocal sent
            message = await receive()
            sent += message.get("body", b"")
            return message

        async def speak(message: Message) -> None:
            nonlocal status, answered
            status = message.get("status", status)
            answered += message.get("body", b"")
            await send(message)

        await self._app(scope, listen, speak)
        if scope["path"].startswith("/subscriptions/") and "operation" not in scope["path"].lower():
            target = scope["path"] + "?" + scope["query_string"].decode()
            body = json.loads(sent) if sent else None
            line = {"method": scope["method"], "target": target, "body": body, "status": status}
            self.lines.append({**line, "keys": keys(json.loads(answered) if answered else None)})


def keys(document: Any, path: str = "") -> list[str]:
    """Where in a document there is something, lists as one: `value[].properties.subnets[].name`."""
    if isinstance(document, dict):
        return sorted({found for name, inner in document.items() for found in keys(inner, f"{path}.{name}")})
    if isinstance(document, list):
        return sorted({found for inner in document for found in keys(inner, f"{path}[]")})
    return [path.removeprefix(".")]


def record() -> None:
    """Do all of it, and write down what was sent."""
    app = App(Instance("test"), CREDENTIALS)
    recorder = Recorder(app)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        with serving(recorder, directory) as (endpoint, ca_file):
            az = Az(endpoint, ca_file, directory)
            for command in COMMANDS:
                az(command)
    app.close()
    RECORDING.write_text("".join(json.dumps(line) + "\n" for line in recorder.lines))


if __name__ == "__main__":
    record()
