"""What was measured, as a table for the terminal and as docs/benchmarks.md."""

import os
import platform
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version

from bench.az import RUN_UP_TO, InSequence
from bench.layers import LAYERS, MEANINGS
from bench.measurement import Measurement

LONGEST = 6  # tasks of a critical path that are named
WIDTH = 110


@dataclass(frozen=True)
class Report:
    """All measurements, and under what circumstances they were made.

    Attributes:
        in_sequence: The same by `az`, by the number of regions; empty where there is no `az`.
    """

    measurements: Sequence[Measurement]
    in_sequence: dict[int, InSequence]
    factor: float

    def table(self) -> str:
        """Write a row for each number of regions; the layers are shares of the makespan."""
        head = ["regions", "resources", "Azure at best", "Azure alone", "makespan", "ratio", *LAYERS, "SSH"]
        if self.in_sequence:
            head += ["`az` in sequence", "of it `az` itself", "ratio"]
        rows = [head, ["---:"] * len(head), *map(self._row, self.measurements)]
        return "\n".join(f"| {' | '.join(row)} |" for row in rows)

    def _row(self, one: Measurement) -> list[str]:
        shares = [f"{one.layers[layer] / one.makespan_s:.1%}" for layer in LAYERS]
        row = [str(one.regions), str(one.resources)]
        row += map(_seconds, (one.at_best_s, one.in_our_order_s, one.makespan_s))
        row += [f"{one.ratio:.2f}", *shares, "left out"]
        if self.in_sequence:
            az = self.in_sequence[one.regions]
            mark = "" if az.was_run else "~ "
            row += [f"{mark}{_seconds(az.took_s)}", f"{mark}{_seconds(az.own_s)}"]
            row.append(f"{mark}{az.took_s / one.in_our_order_s:.1f}")
        return row

    def document(self, picture: str) -> str:
        """Write docs/benchmarks.md."""
        longest = max(self.measurements, key=lambda one: one.regions)
        named = sorted(longest.path, key=lambda step: -step[1])[:LONGEST]
        return "\n".join(
            [
                HEAD.format(command=f"./run bench --regions {self._regions} --factor {self.factor:g}"),
                f"![each run's time by layer, in multiples of what Azure alone would take]({picture})",
                "",
                self.table(),
                "",
                self._circumstances(),
                "",
                "## The layers",
                "Whose time it was, on the chain of tasks that the run's end waited for:",
                *(f"- **{layer}**: {meaning}." for layer, meaning in MEANINGS.items()),
                "",
                f"At {longest.regions} regions, the longest tasks on that chain:",
                *(f"- {name}: {_seconds(took_s)}" for name, took_s in named),
                "",
                HOW,
                AZ.format(run_up_to=RUN_UP_TO) if self.in_sequence else NO_AZ,
                NOT_SAID,
            ]
        )

    @property
    def _regions(self) -> str:
        return ",".join(str(one.regions) for one in self.measurements)

    def _circumstances(self) -> str:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
        names = ("prefect", "azure-core", "azure-mgmt-network", "azure-mgmt-compute")
        versions = ", ".join(f"{name} {version(name)}" for name in names)
        return textwrap.fill(
            f"Measured {datetime.now(UTC):%Y-%m-%d} with Azure's times multiplied by {self.factor:g}, on "
            f"{os.cpu_count()} cores with {memory:.0f} GiB, Python {platform.python_version()}, {versions}, "
            "Prefect's server on PostgreSQL, everything on one machine, whose load of the last 15 minutes "
            f"was {os.getloadavg()[2]:.1f}, this benchmark included.",
            width=WIDTH,
        )


HEAD = """# Benchmarks
How long a deployment takes, beside what Azure alone would take, and beside `az` commands in sequence.
This page is written by `{command}`; do not edit it.
"""

HOW = """## How it is measured
- The product's own `lay_foundation`, `deploy_regions` and `peer_regions` run in a flow, against a Prefect
  server of their own, and make regions of one plain machine each. Nothing of them is replaced but the bodies
  of the four tasks of a region that need SSH: machines are left out, the tasks run.
- Azure is the sandbox's control plane, in a process of its own: the unmodified SDK, TLS, operations that take
  the medians of what public logs of real deployments say (49 s for a machine, 3 s for a public address),
  times the factor. It asks to be polled every 3 s, or every 10 s where an operation takes that long. The
  write budget follows the factor too: 8 writes a second at Azure's pace.
- **Azure alone** is the longest chain of operations that wait for each other: a resource for those that it
  refers to, writes to one virtual network for one another, and peerings for all machines, since Azure refuses
  an interface in a network that is just being written. **Azure at best** is the same without this last rule.
  Both are computed; no client's time is in them.
- **Makespan** is from the flow's call to its end, **ratio** is makespan over Azure alone.
- Each number is of one run."""

AZ = """- **`az` in sequence** runs one command after the other, each when the last one has ended, for up to
  {run_up_to} regions; what is marked `~` is computed from the mean of each kind of command. What `az` itself
  takes of that is what the same commands take when operations end at once."""

NO_AZ = "- There was no `az` on the PATH: nothing is said of it."

NOT_SAID = """
## What it does not say
- How long real Azure takes today: the times are medians of a dozen observations each; those of route tables,
  disks and peerings are believed, not seen. Real operations vary; the sandbox's do not.
- How long a request travels: milliseconds here, a tenth of a second or more to Azure, and more often where
  writes are throttled. A peering makes a dozen requests one after the other.
- What comes after the peerings: SSH, k3s, CockroachDB. There the network and the machines' own work count.
- With a small factor everything that is not Azure's weighs more than it does at Azure's own pace: a second of
  Prefect is the same second at either.
"""


def _seconds(seconds: float) -> str:
    return f"{seconds:,.1f} s"
