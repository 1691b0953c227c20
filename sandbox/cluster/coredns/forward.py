"""The plugin `forward`: ask others, those first that answer.

As in CoreDNS, one that failed is asked for its health until it answers, and meanwhile is asked last.
Source: the plugin's manual page.
"""

import asyncio
import logging
import random
from pathlib import Path

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.rdatatype

from sandbox.cluster.coredns.corefile import CorefileError, Plugin, seconds, zone_name

DEADLINE_S = 5.0
ATTEMPT_S = 2.0
HEALTH_CHECK_S = 0.5
TROUBLES = (OSError, EOFError, dns.exception.DNSException)

log = logging.getLogger("coredns")


class Upstream:
    """One server that is asked."""

    def __init__(self, address: str, port: int, health_check_s: float) -> None:
        self.address, self.port = address, port
        self.is_down = False
        self._health_check_s = health_check_s
        self._checking: asyncio.Task[None] | None = None

    async def ask(self, query: dns.message.Message, force_tcp: bool, timeout_s: float) -> dns.message.Message:
        """Ask over UDP, or TCP if that is forced or the answer was cut short."""
        if not force_tcp:
            answer = await dns.asyncquery.udp(query, self.address, timeout_s, self.port)
            if not answer.flags & dns.flags.TC:
                return answer
        return await dns.asyncquery.tcp(query, self.address, timeout_s, self.port)

    def failed(self, force_tcp: bool) -> None:
        """Ask nothing more of it until it is healthy."""
        if self._checking is None or self._checking.done():
            self.is_down = True
            self._checking = asyncio.create_task(self._check(force_tcp))

    async def _check(self, force_tcp: bool) -> None:
        while True:
            await asyncio.sleep(self._health_check_s)
            query = dns.message.make_query(".", "NS")
            query.flags &= ~dns.flags.RD
            try:
                await self.ask(query, force_tcp, 1.0)
            except TROUBLES:
                continue
            self.is_down = False
            return


class Forward:
    """Answers of others for the names below one zone."""

    def __init__(self, plugin: Plugin) -> None:
        if len(plugin.arguments) < 2:
            raise plugin.refuse("needs a zone and at least one server")
        self.zone = zone_name(plugin.arguments[0])
        self._force_tcp = False
        self._policy = "random"
        health_check_s = HEALTH_CHECK_S
        for name, *words in plugin.options:
            if name == "force_tcp" and not words:
                self._force_tcp = True
            elif name == "prefer_udp" and not words:
                self._force_tcp = False
            elif name == "health_check" and len(words) == 1:
                health_check_s = seconds(plugin, words[0])
            elif name == "policy" and words in (["random"], ["sequential"]):
                self._policy = words[0]
            elif name in ("max_fails", "expire", "max_concurrent"):
                log.info("forward: %s has no effect in this stand-in", name)
            else:
                raise plugin.refuse(f"{' '.join((name, *words))} is not emulated by the sandbox")
        places = [place for word in plugin.arguments[1:] for place in _places(plugin, word)]
        self.upstreams = [Upstream(address, port, health_check_s) for address, port in places]

    def covers(self, name: str) -> bool:
        """Say whether a name is below the zone."""
        return self.zone == "." or name == self.zone or name.endswith(f".{self.zone}")

    async def ask(self, query: dns.message.Message) -> dns.message.Message | None:
        """Return somebody's answer; None if nobody answers in time."""
        loop = asyncio.get_running_loop()
        until = loop.time() + DEADLINE_S
        for upstream in self._order():
            left_s = until - loop.time()
            if left_s <= 0:
                break
            try:
                return await upstream.ask(query, self._force_tcp, min(ATTEMPT_S, left_s))
            except TROUBLES as error:
                question = query.question[0] if query.question else ""
                reason = str(error) or type(error).__name__
                log.error("plugin/errors: %s: %s:%d: %s", question, upstream.address, upstream.port, reason)
                upstream.failed(self._force_tcp)
        return None

    def _order(self) -> list[Upstream]:
        order = list(self.upstreams)
        if self._policy == "random":
            random.shuffle(order)
        return sorted(order, key=lambda upstream: upstream.is_down)


def _places(plugin: Plugin, word: str) -> list[tuple[str, int]]:
    if word.startswith("/"):
        lines = (line.split() for line in Path(word).read_text().splitlines())
        return [(words[1], 53) for words in lines if len(words) > 1 and words[0] == "nameserver"]
    if "://" in word or word.startswith("["):
        raise plugin.refuse(f"{word} is not emulated by the sandbox: only IPv4 addresses and files are")
    address, _, port = word.partition(":")
    return [(address, int(port or 53))]


def refuse_loop(forward: Forward, port: int) -> None:
    """Refuse what would ask itself, as the plugin `loop` would.

    Raises:
        CorefileError: an upstream is this very server.
    """
    for upstream in forward.upstreams:
        if upstream.address.startswith("127."):
            raise CorefileError(
                f'plugin/loop: Loop ({upstream.address}:{upstream.port} -> :{port}) detected for zone "."'
            )
