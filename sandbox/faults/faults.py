"""The faults that are in force, numbered in the order in which they were asked for."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from sandbox.faults.kinds import Fault, Refuse

_Kind = TypeVar("_Kind", bound=Fault)


@dataclass
class _Entry:
    fault: Fault
    until: float | None
    left: int | None


class Faults:
    """What goes wrong now. They are in memory only: a sandbox that comes up has none.

    Args:
        clock: Seconds; a fault for a while is over when somebody looks after its time.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: dict[int, _Entry] = {}
        self._next = 1

    def add(self, fault: Fault) -> int:
        """Let it be in force; returns its number."""
        for_s = getattr(fault, "for_s", None)
        until = self._clock() + for_s if for_s else None
        with self._lock:
            number, self._next = self._next, self._next + 1
            self._entries[number] = _Entry(fault, until, fault.times if isinstance(fault, Refuse) else None)
        return number

    def active(self, kind: type[_Kind]) -> list[_Kind]:
        """Those of one kind."""
        with self._lock:
            return [entry.fault for entry in self._living().values() if isinstance(entry.fault, kind)]

    def use(self, applies: Callable[[Refuse], bool]) -> Refuse | None:
        """The first refusal that applies; it is one nearer to its end."""
        with self._lock:
            for entry in self._living().values():
                if isinstance(entry.fault, Refuse) and entry.left and applies(entry.fault):
                    entry.left -= 1
                    return entry.fault
        return None

    def all(self) -> dict[int, Fault]:
        """All of them, by number."""
        with self._lock:
            return {number: entry.fault for number, entry in self._living().items()}

    def listed(self) -> list[dict[str, Any]]:
        """The same as JSON, with what is left of those that end by themselves."""
        with self._lock:
            return [{"number": number, **self._shown(one)} for number, one in self._living().items()]

    def clear(self, number: int) -> None:
        """Let it be no more; one that is over already is as good as cleared."""
        with self._lock:
            self._entries.pop(number, None)

    def _living(self) -> dict[int, _Entry]:
        self._entries = {number: entry for number, entry in self._entries.items() if self._lasts(entry)}
        return self._entries

    def _lasts(self, entry: _Entry) -> bool:
        return entry.left != 0 and (entry.until is None or self._clock() < entry.until)

    def _shown(self, entry: _Entry) -> dict[str, Any]:
        shown = entry.fault.model_dump(exclude={"for_s", "times"}, exclude_none=True)
        if entry.until is not None:
            shown["left_s"] = round(entry.until - self._clock(), 1)
        return shown | ({"times_left": entry.left} if entry.left is not None else {})
