"""What a person does with `az` (az_commands.txt), and what it sends (az_requests.jsonl).

`python -m tests.sandbox.az_session` records anew; it needs `az` on the PATH.
"""

import json
import shlex
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from bench import az
from sandbox.arm import App
from sandbox.instance import Instance
from tests.sandbox.arm_fixtures import CREDENTIALS, ED25519, serving

RECORDING = Path(__file__).with_name("az_requests.jsonl")
COMMANDS = Path(__file__).with_name("az_commands.txt").read_text().splitlines()


class Az:
    """`az` at a control plane in this process, told as in a shell; KEY is an SSH public key."""

    def __init__(self, endpoint: str, ca_file: Path, directory: Path) -> None:
        card = {**asdict(CREDENTIALS), "arm_endpoint": endpoint, "ca_pem": ca_file.read_text()}
        self._az = az.Az(card, directory)

    def __call__(self, command: str) -> str:
        """Run a command; returns what it prints."""
        return self._az([ED25519 if word == "KEY" else word for word in shlex.split(command)])


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
            run = Az(endpoint, ca_file, directory)
            for command in COMMANDS:
                run(command)
    app.close()
    RECORDING.write_text("".join(json.dumps(line) + "\n" for line in recorder.lines))


if __name__ == "__main__":
    record()
