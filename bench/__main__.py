"""What ./run bench calls: `python -m bench`; writes docs/benchmarks.md and its picture."""

import argparse
import os
import socket
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from bench.regions import LOCATIONS
from demo import prefect_server
from demo.down import down
from demo.instance import Instance
from sandbox.instance import Instance as Sandbox

INSTANCE = Instance(Sandbox("test9"))
DOCUMENT = Path("docs/benchmarks.md")
PICTURE = Path("docs/pictures/benchmark.svg")


def main() -> int:
    """Measure, and write down what was measured."""
    parser = argparse.ArgumentParser(prog="./run bench", description=__doc__)
    parser.add_argument("--regions", type=_counts, default="1,3,10,50", help="how many; default 1,3,10,50")
    parser.add_argument("--factor", type=_factor, default=0.1, help="of Azure's own time; default 0.1")
    arguments = parser.parse_args()
    alone = socket.socket(socket.AF_UNIX)
    try:
        alone.bind("\0roachmesh-bench")  # until this process ends, however it does
    except OSError:
        parser.error("another one is under way on this computer: wait for its end, or end it")
    down(INSTANCE)  # what one left that was killed
    # Prefect reads its settings when it is imported, so they must stand before that.
    INSTANCE.prefect_home.mkdir(parents=True, exist_ok=True)
    os.environ.update(INSTANCE.mark | INSTANCE.client_environment())
    os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "WARNING"
    from bench import picture
    from bench.az import measure_az
    from bench.measurement import measure
    from bench.report import Report

    with _prefect():
        measured = []
        for count in arguments.regions:
            print(f"deploying {count} regions", flush=True)
            measured.append(_alone(measure, INSTANCE.sandbox, count, arguments.factor))
            print(f"  {measured[-1].makespan_s:.1f} s, {measured[-1].ratio:.2f} x Azure alone", flush=True)
    print("the same by az, if there is one", flush=True)
    in_sequence = measure_az(INSTANCE.sandbox, arguments.regions, arguments.factor)
    report = Report(measured, in_sequence, arguments.factor)
    DOCUMENT.write_text(report.document(str(PICTURE.relative_to(DOCUMENT.parent))))
    PICTURE.write_text(picture.svg(measured, in_sequence))
    print(report.table(), f"written: {DOCUMENT}, {PICTURE}", sep="\n\n")
    return 0


def _alone(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function in a process of its own, whose connections and caches are as new."""
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as process:
        return process.submit(function, *arguments).result()


@contextmanager
def _prefect() -> Iterator[None]:
    """Have a Prefect of our own, and leave nothing of it behind."""
    try:
        prefect_server.start(INSTANCE)
        yield
    finally:
        down(INSTANCE)


def _counts(text: str) -> list[int]:
    counts = [int(part) for part in text.split(",")]
    if not all(1 <= count <= len(LOCATIONS) for count in counts):
        raise argparse.ArgumentTypeError(f"write numbers from 1 to {len(LOCATIONS)}, such as 1,3,10")
    return counts


def _factor(text: str) -> float:
    factor = float(text)
    if not 0.01 <= factor <= 1:  # below that it would measure nothing but this machine
        raise argparse.ArgumentTypeError("write a number from 0.01 to 1")
    return factor


if __name__ == "__main__":
    sys.exit(main())
