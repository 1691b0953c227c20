"""Azure's own command line, run for real, one command after the other."""

import os
import shutil
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from bench import regions
from bench.az_commands import Words, az_commands
from bench.azure import azure
from roachmesh.inventory import UNKNOWN_OPERATORS, Inventory
from sandbox.instance import Instance

RUN_UP_TO = 3  # regions; more would take hours at Azure's pace, and teach nothing new


class Az:
    """A registered cloud, logged in, in a configuration of its own.

    Raises:
        RuntimeError: a command failed; says what it said.
    """

    def __init__(self, card: dict[str, Any], directory: Path) -> None:
        authority = directory / "ca.pem"
        authority.write_text(card["ca_pem"])
        settings = {"AZURE_CONFIG_DIR": str(directory / "az"), "REQUESTS_CA_BUNDLE": str(authority)}
        settings |= {"AZURE_CORE_COLLECT_TELEMETRY": "false", "AZURE_CORE_INSTANCE_DISCOVERY": "false"}
        self._environment = {**os.environ, **settings}
        arm = card["arm_endpoint"]
        self(
            f"cloud register -n sandbox --endpoint-resource-manager {arm} --endpoint-management {arm} "
            f"--endpoint-active-directory {arm} "
            "--endpoint-active-directory-resource-id https://management.azure.com/".split()
        )
        self(["cloud", "set", "-n", "sandbox"])
        who = ["-u", card["client_id"], "-p", card["client_secret"], "--tenant", card["tenant_id"]]
        self(["login", "--service-principal", *who])

    def __call__(self, words: Words) -> str:
        """Run a command; returns what it prints."""
        done = subprocess.run(
            ["az", *words, "-o", "json"], env=self._environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"az {' '.join(words[:4])}: {done.stderr.strip()}")
        return done.stdout


@dataclass(frozen=True)
class InSequence:
    """The same infrastructure by commands in sequence.

    Attributes:
        own_s: What of that `az` itself took: its start, its code, its questions.
        was_run: Or computed from what the same commands took elsewhere.
    """

    commands: int
    took_s: float
    own_s: float
    was_run: bool


def measure_az(instance: Instance, counts: Sequence[int], factor: float) -> dict[int, InSequence]:
    """Run the commands for few regions, and compute what more take; empty where there is no `az`."""
    if shutil.which("az") is None:
        return {}
    run = {count: _run(instance, count, factor) for count in counts if count <= RUN_UP_TO}
    known = run.get(RUN_UP_TO) or _run(instance, RUN_UP_TO, factor)
    took, own = _means(known), _means(_run(instance, RUN_UP_TO, 0.0))
    return {count: _sequence(count, run.get(count), took, own) for count in counts}


def _run(instance: Instance, count: int, factor: float) -> list[tuple[str, float]]:
    """Run all commands for so many regions; gives each one's kind and seconds."""
    with azure(instance, factor) as card, tempfile.TemporaryDirectory() as directory:
        az = Az(card, Path(directory))
        return [(kind(words), _timed(az, words)) for words in _commands(count)]


def _timed(az: Az, words: Words) -> float:
    began = time.monotonic()
    az(words)
    return time.monotonic() - began


def _sequence(
    count: int, run: Iterable[tuple[str, float]] | None, took: Mapping[str, float], own: Mapping[str, float]
) -> InSequence:
    kinds = [kind(words) for words in _commands(count)]
    seconds = [one for _, one in run] if run else [took[one] for one in kinds]
    return InSequence(len(kinds), sum(seconds), sum(own[one] for one in kinds), was_run=run is not None)


def _commands(count: int) -> list[Words]:
    everything = Inventory(plan=regions.plan(count), subscription_id="", operators=UNKNOWN_OPERATORS)
    return list(az_commands(everything))


def _means(run: Iterable[tuple[str, float]]) -> dict[str, float]:
    seconds: defaultdict[str, list[float]] = defaultdict(list)
    for name, took in run:
        seconds[name].append(took)
    return {name: mean(found) for name, found in seconds.items()}


def kind(words: Words) -> str:
    """Name what a command does, whatever it does it to: "network nic create"."""
    return " ".join(words[: next(i for i, word in enumerate(words) if word.startswith("-"))])
