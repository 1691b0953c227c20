"""Read a Corefile: blocks of servers, their plugins in the order in which CoreDNS asks them.

Source: the Corefile page of CoreDNS's manual. What is not emulated is refused with its file and line.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

DEFAULT_PORT = 53
# The plugins that answer or change answers, in CoreDNS's own order (plugin.cfg), and those beside them.
ASKED = ("cache", "loadbalance", "hosts", "kubernetes", "forward")
BESIDE = ("errors", "health", "loop", "prometheus", "ready", "reload")


class CorefileError(Exception):
    """The Corefile cannot be read, or asks for what is not emulated."""


@dataclass
class Plugin:
    """A plugin's line, and the lines of its block."""

    name: str
    arguments: tuple[str, ...]
    options: list[tuple[str, ...]] = field(default_factory=list)
    where: str = ""

    def refuse(self, what: str) -> CorefileError:
        """Return an error that names the place."""
        return CorefileError(f"{self.where}: plugin/{self.name}: {what}")


@dataclass
class Server:
    """The plugins of some zones on one port."""

    zones: tuple[str, ...]
    port: int
    plugins: dict[str, Plugin] = field(default_factory=dict)


@dataclass(frozen=True)
class _Line:
    words: tuple[str, ...]
    where: str


def read(path: Path) -> tuple[list[Server], list[Path]]:
    """Read a Corefile and everything that it imports.

    Returns:
        The servers, and the files that were read.

    Raises:
        CorefileError: with file and line.
    """
    files: list[Path] = []
    lines = list(_lines(path, files))
    servers = []
    while lines:
        servers.append(_server(lines))
    seen: set[tuple[str, int]] = set()
    for server in servers:
        for zone in server.zones:
            if (zone, server.port) in seen:
                raise CorefileError(f"cannot serve dns://{zone}:{server.port} - it is already defined")
            seen.add((zone, server.port))
    return servers, files


def seconds(plugin: Plugin, text: str) -> float:
    """Read a duration such as 5s or 500ms; a bare number is seconds."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h)?", text)
    if not match:
        raise plugin.refuse(f"{text} is no duration")
    return float(match[1]) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600, None: 1}[match[2]]


def zone_name(text: str) -> str:
    """Return a zone in the form in which zones are compared."""
    return text.lower().rstrip(".") + "."


def _lines(path: Path, files: list[Path]) -> Iterator[_Line]:
    files.append(path)
    for number, text in enumerate(path.read_text().splitlines(), 1):
        # braces are words of their own at the end of a line only: {$ENV} and snippets are not emulated
        words = tuple(text.partition("#")[0].split())
        where = f"{path}:{number}"
        if not words:
            continue
        if words[0].startswith("(") or "{$" in text or "{%" in text:
            raise CorefileError(f"{where}: snippets and variables are not emulated by the sandbox")
        if words[0] != "import":
            yield _Line(words, where)
            continue
        pattern = path.parent / words[1]
        for found in sorted(pattern.parent.glob(pattern.name)):
            yield from _lines(found, files)


def _server(lines: list[_Line]) -> Server:
    head = lines.pop(0)
    if head.words[-1] != "{" or len(head.words) == 1:
        raise CorefileError(f"{head.where}: a server's line ends with {{ after its zones")
    zones, ports = [], set()
    for word in head.words[:-1]:
        text = word.removeprefix("dns://").rstrip(",")
        if "://" in text or "/" in text:
            raise CorefileError(f"{head.where}: {word}: only names of zones with a port are emulated")
        zone, _, port = text.partition(":")
        zones.append(zone_name(zone))
        ports.add(int(port or DEFAULT_PORT))
    if len(ports) != 1:
        raise CorefileError(f"{head.where}: zones of one block on different ports are not emulated")
    server = Server(tuple(zones), ports.pop())
    while (line := _next(lines, head)).words != ("}",):
        plugin = _plugin(line, lines)
        if plugin.name in server.plugins:
            raise plugin.refuse("is given twice; CoreDNS takes some plugins twice, the sandbox does not")
        server.plugins[plugin.name] = plugin
    return server


def _plugin(line: _Line, lines: list[_Line]) -> Plugin:
    name, *words = line.words
    has_block = bool(words) and words[-1] == "{"
    plugin = Plugin(name, tuple(words[:-1] if has_block else words), where=line.where)
    if name not in (*ASKED, *BESIDE):
        raise plugin.refuse("is not emulated by the sandbox")
    while has_block and (option := _next(lines, line)).words != ("}",):
        plugin.options.append(option.words)
    return plugin


def _next(lines: list[_Line], after: _Line) -> _Line:
    if not lines:
        raise CorefileError(f"{after.where}: the block is not closed")
    return lines.pop(0)
