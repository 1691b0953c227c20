"""The picture in docs/benchmarks.md: a bar for each run, divided by layers."""

from collections.abc import Mapping, Sequence

from bench.az import InSequence
from bench.layers import LAYERS, Layer
from bench.measurement import Measurement

COLOURS: dict[Layer, str] = {
    "Azure": "#4e79a7",
    "pauses between polls": "#a0cbe8",
    "write budget": "#bab0ac",
    "requests": "#f1ce63",
    "SDK": "#f28e2b",
    "Roachmesh": "#e15759",
    "Prefect": "#59a14f",
}
WIDTH, LEFT, RIGHT = 860, 110, 100
ROW, BAR, TOP = 44, 24, 70


def svg(measurements: Sequence[Measurement], in_sequence: Mapping[int, InSequence]) -> str:
    """Draw every run's makespan in multiples of what Azure alone takes; a line stands at 1.

    What `az` in sequence takes is said beside it: a bar for it would leave no room for others.
    """
    scale = (WIDTH - LEFT - RIGHT) / max(one.ratio for one in measurements)
    height = TOP + ROW * len(measurements) + 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="sans-serif" font-size="13">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        *_legend(),
    ]
    for row, one in enumerate(measurements):
        parts += _bar(one, TOP + row * ROW, scale, in_sequence.get(one.regions))
    at = LEFT + scale
    parts += [
        f'<path d="M{at:.1f} {TOP - 8}V{height - 8}" stroke="black" stroke-dasharray="4"/>',
        f'<text x="{at:.1f}" y="{TOP - 12}" text-anchor="middle">Azure alone</text>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _legend() -> list[str]:
    parts, x = [], 12
    for layer in LAYERS:
        parts.append(f'<rect x="{x}" y="10" width="12" height="12" fill="{COLOURS[layer]}"/>')
        parts.append(f'<text x="{x + 17}" y="21">{layer}</text>')
        x += 40 + 8 * len(layer)
    return parts


def _bar(one: Measurement, top: float, scale: float, az: InSequence | None) -> list[str]:
    parts = [f'<text x="{LEFT - 10}" y="{top + 17}" text-anchor="end">{_regions(one.regions)}</text>']
    x = float(LEFT)
    for layer in LAYERS:
        width = one.layers[layer] / one.in_our_order_s * scale
        parts.append(
            f'<rect x="{x:.1f}" y="{top}" width="{width:.1f}" height="{BAR}" fill="{COLOURS[layer]}"/>'
        )
        x += width
    by_az = f", az: {az.took_s / one.in_our_order_s:.0f}" if az else ""
    return [*parts, f'<text x="{x + 6:.1f}" y="{top + 17}">{one.ratio:.2f}{by_az}</text>']


def _regions(count: int) -> str:
    return "1 region" if count == 1 else f"{count} regions"
