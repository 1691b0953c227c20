"""Serve one SSH session as root: a line of JSON in, a line of JSON out, until the session ends.

In: {"source": a program's text, "request": what its `main` is given}.
Out: {"answer": what `main` gave}, or {"error": a sentence, "transient": whether time may heal it}.

One process for a whole session, since starting sudo and Python anew takes ten times as long as what
most programs do.
"""

import json
import os
import sys
from typing import Any


def serve(line: str) -> dict[str, Any]:
    """Run one program; whatever goes wrong in it is an answer too."""
    wanted = json.loads(line)
    program: dict[str, Any] = {"__name__": "program"}
    try:
        exec(compile(wanted["source"], "program", "exec"), program)  # noqa: S102 -- our own programs
        return {"answer": program["main"](wanted["request"])}
    except (ConnectionError, TimeoutError) as exc:
        return {"error": str(exc), "transient": True}
    except Exception as exc:  # noqa: BLE001 -- told to the other side, which raises it
        told = str(exc) if isinstance(exc, RuntimeError) else f"{type(exc).__name__}: {exc}"
        return {"error": told, "transient": False}


def main() -> None:
    """Serve until standard input ends; what programs print does not get between the answers."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    for line in sys.stdin:
        answers.write(json.dumps(serve(line)) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
