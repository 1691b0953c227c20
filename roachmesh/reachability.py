"""What the network test saw, and what it means."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from ipaddress import IPv4Address

from roachmesh.render.markdown import table
from roachmesh.topology import Model

SMALL_PACKET_BYTES = 1400  # what smaller ones cost is speed; something on the way wraps them


class Endpoint(Model):
    """What the test connects from and to: a machine, or a pod on one.

    Attributes:
        host: Its name in DNS; None for a machine, which is dialled by its address.
        answers: Whether our own program answers there, which tells more than CockroachDB would.
    """

    name: str
    region: str
    address: IPv4Address
    host: str | None
    answers: bool


class Observation(Model):
    """What was seen from `source` to `target`.

    Attributes:
        problems: What does not work as it must, such as "port 8080" or "name", and what was said.
        round_trip_ms: Between SYN and its answer, as the kernel measured it; of two ports the slower one.
        packet_bytes: Of the packets that carried 1 MiB unfragmented; None when CockroachDB answered.
    """

    source: Endpoint
    target: Endpoint
    problems: dict[str, str]
    round_trip_ms: float | None
    packet_bytes: int | None


def unreachable(observations: Sequence[Observation]) -> list[Observation]:
    """List the pairs that do not work as they must."""
    return [observation for observation in observations if observation.problems]


def describe(observations: Sequence[Observation]) -> list[str]:
    """Name exactly the pairs that fail; one line for many that fail alike and have an end in common."""
    left = {(o.source.name, o.target.name): o for o in unreachable(observations)}
    return [
        *_describe_alike(observations, left, lambda o: (o.source.region, o.target.region)),
        *_describe_alike(observations, left, lambda o: ("", o.target.name)),
        *_describe_alike(observations, left, lambda o: (o.source.name, "")),
        *_describe_alike(observations, left, lambda o: (o.source.region, o.target.name)),
        *_describe_alike(observations, left, lambda o: (o.source.name, o.target.region)),
        *(f"{source} -> {target}: {_problems([o])}" for (source, target), o in left.items()),
    ]


def _describe_alike(
    observations: Sequence[Observation],
    left: dict[tuple[str, str], Observation],
    ends_of: Callable[[Observation], tuple[str, str]],
) -> Iterator[str]:
    """Describe each group that fails as a whole and in the same way, and take it out of what is left."""
    groups: dict[tuple[str, str], list[Observation]] = defaultdict(list)
    for o in observations:
        groups[ends_of(o)].append(o)
    for (source, target), group in groups.items():
        pairs = [(o.source.name, o.target.name) for o in group]
        alike = len({tuple(o.problems) for o in group}) == 1
        if len(group) > 1 and alike and left.keys() & pairs:
            others = f"all {len(group)} others"
            count = f": all {len(group)} pairs" if source and target else ""
            yield f"{source or others} -> {target or others}{count}, {_problems(group)}"
            for pair in pairs:
                left.pop(pair, None)


def _problems(group: Sequence[Observation]) -> str:
    """Say what fails with pairs that fail alike; where not the same was said of each, give an example."""
    whats: dict[tuple[str, str], list[str]] = defaultdict(list)
    for what in group[0].problems:
        said = [o.problems[what] for o in group]
        instance = "" if len(set(said)) == 1 else "for instance "
        whats[instance, said[0]].append(what)
    return "; ".join(f"{_list(same)}: {instance}{said}" for (instance, said), same in whats.items())


def _list(whats: Sequence[str]) -> str:
    """Write "ports 8080 and 26257", "port 8080 and name"."""
    ports = sorted(int(what.removeprefix("port ")) for what in whats if what.startswith("port "))
    named = f"port{'s' * (len(ports) > 1)} {' and '.join(map(str, ports))}"
    return " and ".join([named] * bool(ports) + [what for what in whats if not what.startswith("port ")])


def as_markdown(observations: Sequence[Observation]) -> str:
    """Draw the matrix: the slower round trip of a pair's ports in ms, or what fails.

    Columns are numbered as the rows are, since names would not fit.
    """
    if not observations:
        return "There is one node, and no other to reach."
    endpoints = {end.name: end for o in observations for end in (o.source, o.target)}
    pairs = {(o.source.name, o.target.name): o for o in observations}
    rows = [
        (f"{i} {name}", *(_cell(pairs.get((name, target))) for target in endpoints))
        for i, name in enumerate(endpoints, 1)
    ]
    matrix = table(("from, to: ms", *(str(i) for i in range(1, len(endpoints) + 1))), rows)
    broken = "\n".join(f"- {line}" for line in describe(observations))
    return "\n\n".join(part for part in (matrix, describe_packets(observations), broken) if part)


def _cell(o: Observation | None) -> str:
    if o is None:
        return ""
    if o.problems:
        return f"🟥 {', '.join(what.removeprefix('port ') for what in o.problems)}"
    return f"🟩 {o.round_trip_ms:.2f}"


def small_packets(observations: Sequence[Observation]) -> list[Observation]:
    """List the pairs that work, though slower than they could."""
    return [o for o in observations if o.packet_bytes and o.packet_bytes < SMALL_PACKET_BYTES]


def describe_packets(observations: Sequence[Observation]) -> str:
    """Say how large the packets were, and which pairs have small ones; empty when nobody could tell."""
    sizes = sorted({o.packet_bytes for o in observations if o.packet_bytes})
    if not sizes:
        return ""
    span = str(sizes[0]) if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    pairs = [f"\n- {o.source.name} -> {o.target.name}: {o.packet_bytes}" for o in small_packets(observations)]
    warning = f" Fewer than {SMALL_PACKET_BYTES} cost speed; something on the way wraps packets:"
    return f"Packets of {span} bytes pass unfragmented.{warning * bool(pairs)}{''.join(pairs)}"
