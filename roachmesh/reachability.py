"""What the network test saw, and what it means."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from roachmesh.plan import Node
from roachmesh.render.markdown import table
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


def unreachable(observations: Sequence[Observation]) -> list[Observation]:
    """List the connections that do not work as they must."""
    return [observation for observation in observations if observation.problem]


def describe(observations: Sequence[Observation]) -> list[str]:
    """Name exactly the pairs that cannot talk; one line for two regions of which no pair can."""
    regions: dict[tuple[str, str], list[Observation]] = defaultdict(list)
    for seen in observations:
        regions[seen.source.region, seen.target.region].append(seen)
    return [line for pair in regions.values() for line in _describe_regions(pair)]


def _describe_regions(seen: Sequence[Observation]) -> Iterator[str]:
    """Describe what was seen from one region to another."""
    broken, one = unreachable(seen), seen[0]
    if len(broken) == len(seen) > 1 and len({o.problem for o in seen}) == 1:
        nodes = len({(o.source.name, o.target.name) for o in seen})
        pairs = "the only pair" if nodes == 1 else f"all {nodes} pairs"
        yield f"{one.source.region} -> {one.target.region}: {pairs}, {_ports(seen)}: {one.problem}"
        return
    alike: dict[tuple[str, str, str | None], list[Observation]] = defaultdict(list)
    for o in broken:
        alike[o.source.name, o.target.name, o.problem].append(o)
    for (source, target, problem), same in alike.items():
        yield f"{source} -> {target}: {_ports(same)}: {problem}"


def _ports(observations: Sequence[Observation]) -> str:
    ports = sorted({o.port for o in observations})
    return f"port{'s' * (len(ports) > 1)} {' and '.join(map(str, ports))}"


def as_markdown(observations: Sequence[Observation]) -> str:
    """Draw the matrix of nodes: the slowest round trip of a pair's ports in ms, or the ports that fail.

    Columns are numbered as the rows are, since names would not fit.
    """
    nodes = {node.name: node for o in observations for node in (o.source, o.target)}
    pairs: dict[tuple[str, str], list[Observation]] = defaultdict(list)
    for o in observations:
        pairs[o.source.name, o.target.name].append(o)
    rows = [
        (f"{i} {node.region}/{node.number}", *(_cell(pairs[node.name, target]) for target in nodes))
        for i, node in enumerate(nodes.values(), 1)
    ]
    matrix = table(("from, to: ms", *(str(i) for i in range(1, len(nodes) + 1))), rows)
    broken = "\n".join(f"- {line}" for line in describe(observations))
    return f"{matrix}\n\n{broken}" if broken else matrix


def _cell(pair: Sequence[Observation]) -> str:
    broken = unreachable(pair)
    if broken:
        return f"🟥 {', '.join(str(o.port) for o in broken)}"
    times = [o.round_trip_ms for o in pair if o.round_trip_ms is not None]
    return f"🟩 {max(times):.2f}" if times else ""
