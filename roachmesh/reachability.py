"""What the network test saw, and what it means."""

from collections.abc import Sequence

from roachmesh.plan import Node
from roachmesh.topology import Model


class Observation(Model):
    """One connection that was tried from `source` to `target`.

    Attributes:
        error: What went wrong; None when the connection stood.
        round_trip_ms: Between SYN and its answer, as the kernel measured it.
        seen_as: The source address that arrived; None when the database answered, which does not tell.
    """

    source: Node
    target: Node
    port: int
    error: str | None
    round_trip_ms: float | None
    seen_as: str | None

    @property
    def problem(self) -> str | None:
        """What is wrong with this connection, if anything."""
        if self.error:
            return self.error
        if self.seen_as not in (None, str(self.source.address)):
            return f"arrives from {self.seen_as} instead of {self.source.address}"
        return None

    def __str__(self) -> str:
        return f"{self.source.name} -> {self.target.name}:{self.port} {self.problem or 'ok'}"


def unreachable(observations: Sequence[Observation]) -> list[Observation]:
    """List the connections that do not work as they must."""
    return [observation for observation in observations if observation.problem]


def as_markdown(observations: Sequence[Observation]) -> str:
    """Draw the matrix of nodes: the slowest round trip of a pair's ports in ms, or what is wrong."""
    names = list(dict.fromkeys(node.name for o in observations for node in (o.source, o.target)))
    header = f"| from \\ to | {' | '.join(names)} |"
    lines = [header, "|---" * (len(names) + 1) + "|"]
    for source in names:
        cells = [_cell(observations, source, target) for target in names]
        lines.append(f"| {source} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(observations: Sequence[Observation], source: str, target: str) -> str:
    pair = [o for o in observations if o.source.name == source and o.target.name == target]
    problems = [f"{observation.port}: {observation.problem}" for observation in unreachable(pair)]
    if problems:
        return f"**{', '.join(problems)}**"
    times = [observation.round_trip_ms for observation in pair if observation.round_trip_ms is not None]
    return f"{max(times):.2f}" if times else "·"
