"""Answer queries over UDP and TCP: a server block's plugins, in CoreDNS's order."""

import asyncio
import logging
import random
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

from sandbox.cluster.coredns.cluster_zone import ClusterIndex, ClusterZone, Record
from sandbox.cluster.coredns.corefile import Plugin, Server, seconds
from sandbox.cluster.coredns.forward import Forward, refuse_loop

CACHE_TTL_S, CACHE_DENIAL_TTL_S, CACHE_MIN_TTL_S = 3600.0, 1800.0, 5.0
CACHE_SIZE = 9984
HOSTS_TTL = 3600
SILENT_S = 30.0

log = logging.getLogger("coredns")

Answer = Callable[[bytes, bool], Awaitable[bytes | None]]


class Cache:
    """The plugin `cache`: how long answers are kept."""

    def __init__(self, plugin: Plugin) -> None:
        self._success_s, self._denial_s = CACHE_TTL_S, CACHE_DENIAL_TTL_S
        if plugin.arguments:
            self._success_s = self._denial_s = seconds(plugin, plugin.arguments[0])
        for name, *words in plugin.options:
            if name not in ("success", "denial") or not words or len(words) > 3:
                raise plugin.refuse(f"{' '.join((name, *words))} is not emulated by the sandbox")
            if len(words) > 1 and name == "success":
                self._success_s = seconds(plugin, words[1])
            elif len(words) > 1:
                self._denial_s = seconds(plugin, words[1])
        self._kept: dict[tuple[str, int], tuple[float, float, dns.message.Message]] = {}

    def find(self, key: tuple[str, int]) -> dns.message.Message | None:
        """Return what is kept, with the time to live that is left."""
        kept = self._kept.get(key)
        now = time.monotonic()
        if kept is None or now >= kept[1]:
            return None
        answer = dns.message.from_wire(kept[2].to_wire())
        for section in (answer.answer, answer.authority):
            for rrset in section:
                rrset.ttl = max(0, rrset.ttl - int(now - kept[0]))
        return answer

    def keep(self, key: tuple[str, int], answer: dns.message.Message) -> None:
        """Keep an answer as long as it may be."""
        code = answer.rcode()
        if answer.flags & dns.flags.TC or code not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            return
        is_success = bool(answer.answer)
        ttls = [rrset.ttl for rrset in (answer.answer if is_success else answer.authority)]
        cap_s = self._success_s if is_success else self._denial_s
        lasts_s = min(cap_s, max(min(ttls, default=CACHE_MIN_TTL_S), min(CACHE_MIN_TTL_S, cap_s)))
        now = time.monotonic()
        if len(self._kept) >= CACHE_SIZE:
            self._kept.clear()
        self._kept[key] = (now, now + lasts_s, answer)


class Hosts:
    """The plugin `hosts`: names of a file like /etc/hosts."""

    def __init__(self, plugin: Plugin) -> None:
        self._path = Path(plugin.arguments[0] if plugin.arguments else "/etc/hosts")
        self.ttl, self.fall_through, self._reload_s = HOSTS_TTL, False, 5.0
        for name, *words in plugin.options:
            if name == "ttl":
                self.ttl = int(seconds(plugin, words[0]))
            elif name == "reload":
                self._reload_s = seconds(plugin, words[0])
            elif name == "fallthrough" and not words:
                self.fall_through = True
            else:
                raise plugin.refuse(f"{' '.join((name, *words))} is not emulated by the sandbox")
        self._names: dict[str, list[str]] = {}
        self._read_at = 0.0

    def find(self, name: str) -> list[Record] | None:
        """Return the addresses of a name."""
        if time.monotonic() - self._read_at > self._reload_s or not self._read_at:
            self._read()
        addresses = self._names.get(name)
        return [Record(name, "A", address) for address in addresses] if addresses else None

    def _read(self) -> None:
        self._read_at = time.monotonic()
        self._names = {}
        for line in self._path.read_text().splitlines() if self._path.exists() else ():
            address, *names = line.partition("#")[0].split() or [""]
            for name in names:
                self._names.setdefault(f"{name.lower().rstrip('.')}.", []).append(address)


@dataclass
class Block:
    """A server block that answers."""

    server: Server
    cache: Cache | None
    hosts: Hosts | None
    cluster: ClusterZone | None
    forward: Forward | None
    is_balanced: bool

    @classmethod
    def of(cls, server: Server, index: ClusterIndex) -> "Block":
        """Make a block of what the Corefile says.

        Raises:
            CorefileError: an option is not emulated, or the server would ask itself.
        """
        plugins = server.plugins
        forward = Forward(plugins["forward"]) if "forward" in plugins else None
        if forward and "loop" in plugins:
            refuse_loop(forward, server.port)
        return cls(
            server=server,
            cache=Cache(plugins["cache"]) if "cache" in plugins else None,
            hosts=Hosts(plugins["hosts"]) if "hosts" in plugins else None,
            cluster=ClusterZone(plugins["kubernetes"], server.zones, index)
            if "kubernetes" in plugins
            else None,
            forward=forward,
            is_balanced="loadbalance" in plugins,
        )

    async def answer(self, query: dns.message.Message) -> dns.message.Message:
        """Answer a query that has one question."""
        question = query.question[0]
        name = question.name.to_text().lower()
        key = (name, question.rdtype)
        answer = self.cache.find(key) if self.cache else None
        if answer is None:
            answer = await self._ask(query, name)
            if self.cache:
                self.cache.keep(key, answer)
        answer.id = query.id
        if self.is_balanced:
            for rrset in answer.answer:
                rrset.items = dict(random.sample(list(rrset.items.items()), len(rrset.items)))
        return answer

    async def _ask(self, query: dns.message.Message, name: str) -> dns.message.Message:
        if self.hosts:
            found = self.hosts.find(name)
            if found is not None or not self.hosts.fall_through:
                return _reply(query, found, self.hosts.ttl, "")
        zone = self.cluster.zone_of(name) if self.cluster else None
        if self.cluster and zone:
            found = self.cluster.find(name, zone)
            if found is not None or zone not in self.cluster.fall_through:
                return await self._follow_alias(_reply(query, found, self.cluster.ttl, zone), found)
        if self.forward and self.forward.covers(name):
            answer = await self.forward.ask(query)
            if answer is not None:
                return answer
        return _failure(query, dns.rcode.SERVFAIL if self.forward else dns.rcode.REFUSED)

    async def _follow_alias(
        self, answer: dns.message.Message, found: list[Record] | None
    ) -> dns.message.Message:
        """Add what an ExternalName leads to."""
        wanted = answer.question[0].rdtype
        if not found or found[0].kind != "CNAME" or wanted == dns.rdatatype.CNAME:
            return answer
        target = await self._ask(dns.message.make_query(found[0].data, wanted), found[0].data)
        answer.answer += target.answer
        return answer


class Servers:
    """All blocks of a Corefile, by port and zone."""

    def __init__(self, servers: list[Server], index: ClusterIndex) -> None:
        self._blocks = [Block.of(server, index) for server in servers]

    @property
    def ports(self) -> set[int]:
        """The ports to listen on."""
        return {block.server.port for block in self._blocks}

    def answer_on(self, port: int) -> Answer:
        """Return what answers on a port: from wire to wire; the flag says whether it came over TCP."""
        zones = {
            zone: block for block in self._blocks if block.server.port == port for zone in block.server.zones
        }

        async def answer(wire: bytes, is_tcp: bool) -> bytes | None:
            try:
                query = dns.message.from_wire(wire)
            except dns.exception.DNSException:
                return None
            if query.flags & dns.flags.QR or len(query.question) != 1:
                return None
            block = _closest(zones, query.question[0].name.to_text().lower())
            try:
                reply = await block.answer(query) if block else _failure(query, dns.rcode.REFUSED)
            except (dns.exception.DNSException, ValueError) as error:
                log.error("plugin/errors: %s: %s", query.question[0], error)
                reply = _failure(query, dns.rcode.SERVFAIL)
            return _wire(query, reply, is_tcp)

        return answer


class Datagrams(asyncio.DatagramProtocol):
    """Answers over UDP."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._running: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: Any) -> None:
        """Remember where answers go."""
        self._transport = transport

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        """Answer beside others that are under way."""
        task = asyncio.create_task(self._reply(data, address))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _reply(self, data: bytes, address: tuple[str, int]) -> None:
        if reply := await self._answer(data, False):
            self._transport.sendto(reply, address)


class Streams:
    """Answers over TCP."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._running: set[asyncio.Task[Any]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one client's queries until it is silent."""
        task = asyncio.current_task()
        assert task  # noqa: S101 -- a coroutine runs in one
        self._running.add(task)
        try:
            while True:
                head = await asyncio.wait_for(reader.readexactly(2), SILENT_S)
                reply = await self._answer(await reader.readexactly(struct.unpack("!H", head)[0]), True)
                if reply is None:
                    break
                writer.write(struct.pack("!H", len(reply)) + reply)
                await writer.drain()
        except (OSError, EOFError, TimeoutError, asyncio.CancelledError):
            log.debug("a client went away, or we do")
        finally:
            writer.close()
            self._running.discard(task)

    async def close(self) -> None:
        """Leave every client."""
        for task in self._running:
            task.cancel()
        await asyncio.sleep(0)


@asynccontextmanager
async def listening(port: int, answer: Answer) -> AsyncIterator[None]:
    """Listen on a port, over UDP and TCP."""
    everywhere = "0.0.0.0"  # noqa: S104 -- a pod's own addresses
    streams = Streams(answer)
    loop = asyncio.get_running_loop()
    datagrams, _ = await loop.create_datagram_endpoint(lambda: Datagrams(answer), (everywhere, port))
    server = await asyncio.start_server(streams.serve, everywhere, port)
    try:
        yield
    finally:
        datagrams.close()
        server.close()
        await streams.close()


def _closest(zones: dict[str, Block], name: str) -> Block | None:
    while name and name not in zones:
        name = name.partition(".")[2]
    return zones.get(name or ".")


def _reply(
    query: dns.message.Message, found: list[Record] | None, ttl: int, zone: str
) -> dns.message.Message:
    answer = dns.message.make_response(query, recursion_available=True)
    answer.flags |= dns.flags.AA
    wanted = dns.rdatatype.to_text(query.question[0].rdtype)
    fitting = [record for record in found or () if record.kind in (wanted, "CNAME")]
    owner = query.question[0].name
    for kind in dict.fromkeys(record.kind for record in fitting):
        data = [record.data for record in fitting if record.kind == kind]
        answer.answer.append(dns.rrset.from_text_list(owner, ttl, "IN", kind, data))
    if found is None:
        answer.set_rcode(dns.rcode.NXDOMAIN)
    if not answer.answer and zone:
        serial = int(time.time())
        soa = f"ns.dns.{zone} hostmaster.{zone} {serial} 7200 1800 86400 {ttl}"
        answer.authority.append(dns.rrset.from_text(zone, ttl, "IN", "SOA", soa))
    return answer


def _failure(query: dns.message.Message, code: dns.rcode.Rcode) -> dns.message.Message:
    answer = dns.message.make_response(query, recursion_available=True)
    answer.set_rcode(code)
    return answer


def _wire(query: dns.message.Message, answer: dns.message.Message, is_tcp: bool) -> bytes:
    size = 65535 if is_tcp else max(512, query.payload)
    try:
        return bytes(answer.to_wire(max_size=size))
    except dns.exception.TooBig:
        cut = _failure(query, answer.rcode())
        cut.flags |= dns.flags.TC
        return bytes(cut.to_wire(max_size=size))
