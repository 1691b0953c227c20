"""How long operations took, and the lines that say so in the real one's columns.

Source: pkg/workload/cli/format.go of cockroachdb/cockroach.
"""

import math
from collections import Counter

TICK = "_elapsed___errors__ops/sec(inst)___ops/sec(cum)__p50(ms)__p95(ms)__p99(ms)_pMax(ms)"
TOTAL = "\n_elapsed___errors_____ops(total)___ops/sec(cum)__avg(ms)__p50(ms)__p95(ms)__p99(ms)_pMax(ms)"
LINES_PER_HEADER = 20
_STEP = math.log(1.02)  # a bucket's width: latencies are known to 2 %


class Histogram:
    """Counts of latencies, in as much memory after a year as after a minute."""

    def __init__(self) -> None:
        self.count = 0
        self.total_s = 0.0
        self._buckets: Counter[int] = Counter()

    def add(self, seconds: float) -> None:
        """Count one."""
        self.count += 1
        self.total_s += seconds
        self._buckets[round(math.log(max(seconds, 1e-6)) / _STEP)] += 1

    def merge(self, other: "Histogram") -> None:
        """Count what another has counted."""
        self.count += other.count
        self.total_s += other.total_s
        self._buckets += other._buckets

    @property
    def mean_ms(self) -> float:
        """The mean; 0 of none."""
        return self.total_s / self.count * 1000 if self.count else 0.0

    def quantile_ms(self, percent: float) -> float:
        """Return the latency that so many percent keep below; 0 of none."""
        left = math.ceil(self.count * percent / 100)
        for bucket in sorted(self._buckets):
            left -= self._buckets[bucket]
            if left <= 0:
                return math.exp(bucket * _STEP) * 1000
        return 0.0

    def quantiles(self) -> str:
        """Say the four columns of every line."""
        return " ".join(f"{self.quantile_ms(percent):8.1f}" for percent in (50, 95, 99, 100))


class Report:
    """The lines of a run, from its operations' latencies."""

    def __init__(self) -> None:
        self.errors = 0
        self._lines = 0
        self._since_tick: dict[str, Histogram] = {}
        self._from_start: dict[str, Histogram] = {}

    def add(self, name: str, seconds: float) -> None:
        """Note an operation that went well."""
        self._since_tick.setdefault(name, Histogram()).add(seconds)

    def tick(self, elapsed_s: float, tick_s: float) -> str:
        """Say a line for each operation, of the time since the last tick."""
        text = ""
        now, self._since_tick = self._since_tick, {}
        for name in sorted(self._from_start | now):
            latest, whole = now.get(name, Histogram()), self._from_start.setdefault(name, Histogram())
            whole.merge(latest)
            text += "" if self._lines % LINES_PER_HEADER else f"{TICK}\n"
            self._lines += 1
            rates = f"{latest.count / tick_s:14.1f} {whole.count / elapsed_s:14.1f}"
            text += f"{elapsed_s:7.1f}s {self.errors:8d} {rates} {latest.quantiles()} {name}\n"
        return text

    def summary(self, elapsed_s: float) -> str:
        """Say a table for each operation from the start on, and one of all."""
        self.tick(elapsed_s, elapsed_s)
        result = Histogram()
        text = ""
        for name, whole in sorted(self._from_start.items()):
            result.merge(whole)
            text += f"{TOTAL}__total\n{self._final(elapsed_s, whole, name)}"
        return f"{text}{TOTAL}__result\n{self._final(elapsed_s, result, '')}"

    def _final(self, elapsed_s: float, whole: Histogram, name: str) -> str:
        if not whole.count:
            return ""
        head = f"{elapsed_s:7.1f}s {self.errors:8d} {whole.count:14d} {whole.count / elapsed_s:14.1f}"
        return f"{head} {whole.mean_ms:8.1f} {whole.quantiles()}  {name}\n"
