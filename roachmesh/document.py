"""A YAML file as plain data, with the place of every value in it.

YAML can do more than a topology needs, and each of its powers is a trap: aliases grow without bound,
tags make objects, a key that is written twice loses a value, 010 is eight and 10:20 is 620. What is
refused here is refused by name; what YAML 1.1 would turn into a date, a fraction or an unusual
number stays the text that was written.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from roachmesh.errors import InvalidTopology
from roachmesh.wording import Location, shown

MAX_BYTES = 1024 * 1024
MAX_VALUES = 10_000  # 501 regions, the most there can be, have about half as many
MAX_DEPTH = 16

_NOTHING = ("", "~", "null", "Null", "NULL")
_YES, _NO = ("yes", "true", "on"), ("no", "false", "off")
_ORDINARY_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]")


class Position(NamedTuple):
    """Where something begins; both count from 1."""

    line: int
    column: int


class Mistake(NamedTuple):
    """What is wrong with a field, and where it stands."""

    position: Position
    location: Location
    message: str


class Document(NamedTuple):
    """What a file says; the places of keys and of values by their locations."""

    value: Any
    mistakes: list[Mistake]
    keys: dict[Location, Position]
    values: dict[Location, Position]

    def find(self, location: Location, *, key: bool) -> Position:
        """Give the place of a key or value, or of the closest thing around it that exists."""
        places = [self.keys, self.values] if key else [self.values, self.keys]
        while location and not any(location in place for place in places):
            location = location[:-1]
        return next((place[location] for place in places if location in place), Position(1, 1))


def read(path: Path) -> Document:
    """Read a file that holds one YAML document.

    Raises:
        InvalidTopology: it cannot be read, is no YAML, or uses what is refused.
    """
    reader = _Reader(_text(path), shown_path(path))
    return reader.read()


def shown_path(path: Path) -> str:
    """Write a path for a message; a file's name may be hostile too."""
    return str(path) if str(path).isprintable() else ascii(str(path))


def _text(path: Path) -> str:
    where = shown_path(path)
    try:
        if path.exists() and not path.is_file():
            raise InvalidTopology(
                "this is no regular file; give the topology as a file of its own.", where=where
            )
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as exc:
        reason = (exc.strerror if isinstance(exc, OSError) else None) or str(exc)
        raise InvalidTopology(f"cannot read the topology: {reason}.", where=where) from exc
    if len(content) > MAX_BYTES:
        raise InvalidTopology(f"this is larger than {MAX_BYTES // 1024} KiB, so no topology.", where=where)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = content.count(b"\n", 0, exc.start) + 1
        raise InvalidTopology("this is not UTF-8; save it as UTF-8.", where=f"{where}:{line}") from exc


class _Reader:
    """Builds the document from the parser's events, so that nothing is built that is refused later."""

    def __init__(self, text: str, where: str) -> None:
        self._text, self._where = text, where
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=yaml.CSafeLoader)
        self._mistakes: list[Mistake] = []
        self._keys: dict[Location, Position] = {}
        self._values: dict[Location, Position] = {}

    def read(self) -> Document:
        self._refuse_control_characters()
        try:
            value = self._document()
        except yaml.MarkedYAMLError as exc:
            raise self._syntax_error(exc) from exc
        except yaml.YAMLError as exc:
            raise InvalidTopology(f"this is not YAML: {exc}", where=self._where) from exc
        return Document(value, self._mistakes, self._keys, self._values)

    def _document(self) -> Any:
        next(self._events)  # the stream's start
        event = next(self._events)
        if isinstance(event, yaml.StreamEndEvent):
            return None
        value = self._value(next(self._events), ())
        next(self._events)  # the document's end
        event = next(self._events)
        if not isinstance(event, yaml.StreamEndEvent):
            raise self._refused(event, "a second document begins here; write one topology per file.")
        return value

    def _value(self, event: yaml.Event, location: Location) -> Any:
        self._refuse_powers(event)
        self._values[location] = _position(event.start_mark)
        if len(self._values) > MAX_VALUES:
            raise self._refused(event, f"more than {MAX_VALUES:,} values; 501 regions, the most, have fewer.")
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event)
        if len(location) >= MAX_DEPTH:
            raise self._refused(event, f"this is nested deeper than {MAX_DEPTH} levels; no topology is.")
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(location)
        return self._mapping(location)

    def _sequence(self, location: Location) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._value(event, (*location, len(items))))
        return items

    def _mapping(self, location: Location) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            self._refuse_powers(event)
            if not isinstance(event, yaml.ScalarEvent):
                raise self._refused(event, "a key is a single word; this is a list or mapping.")
            place = (*location, event.value)
            if event.value in fields:
                first = self._keys[place].line
                message = f"this key stands in line {first} already; keep one of them."
                self._mistakes.append(Mistake(_position(event.start_mark), place, message))
            self._keys[place] = _position(event.start_mark)
            fields[event.value] = self._value(next(self._events), place)
        return fields

    def _scalar(self, event: yaml.ScalarEvent) -> str | int | bool | None:
        text = event.value
        if not event.implicit[0]:
            return text
        if text in _NOTHING:
            return None
        if text.lower() in _YES + _NO:
            return text.lower() in _YES
        return int(text) if _ORDINARY_INTEGER.fullmatch(text) else text

    def _refuse_powers(self, event: yaml.Event) -> None:
        if getattr(event, "anchor", None):
            raise self._refused(event, "aliases and anchors (* and &) are refused; write the value out.")
        if tag := getattr(event, "tag", None):
            raise self._refused(event, f"the tag {shown(tag)} is refused; write plain values.")

    def _refuse_control_characters(self) -> None:
        found = _FORBIDDEN.search(self._text)
        if found:
            before = self._text[: found.start()]
            position = Position(before.count("\n") + 1, found.start() - before.rfind("\n"))
            raise self._at(position, f"the character U+{ord(found.group()):04X} is not allowed; remove it.")

    def _syntax_error(self, error: yaml.MarkedYAMLError) -> InvalidTopology:
        mark = error.problem_mark or error.context_mark
        position = _position(mark) if mark else Position(1, 1)
        if self._is_tab(position):
            return self._at(position, "this is not YAML: a tab; indent with spaces.")
        context = f" {error.context}" if error.context else ""
        since = f" from line {error.context_mark.line + 1}" if error.context_mark else ""
        advice = "mind colons, quotes, brackets and indentation up to here"
        return self._at(position, f"this is not YAML: {error.problem}{context}{since}; {advice}.")

    def _is_tab(self, position: Position) -> bool:
        lines = self._text.splitlines()
        line = lines[position.line - 1] if position.line <= len(lines) else ""
        return line[position.column - 1 : position.column] == "\t"

    def _refused(self, event: yaml.Event, message: str) -> InvalidTopology:
        return self._at(_position(event.start_mark), message)

    def _at(self, position: Position, message: str) -> InvalidTopology:
        return InvalidTopology(message, where=f"{self._where}:{position.line}:{position.column}")


def _position(mark: Any) -> Position:
    return Position(mark.line + 1, mark.column + 1)
