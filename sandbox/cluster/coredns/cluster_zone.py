"""The plugin `kubernetes`: names of Services, of what is behind them, and of pods.

Source: the DNS-Based Service Discovery specification of Kubernetes 1.1, and the plugin's manual page.
"""

import ipaddress
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import dns.name
import dns.rdatatype
import dns.reversename

from sandbox.cluster.coredns.corefile import Plugin, seconds, zone_name
from sandbox.cluster.kubernetes_api import Event, KubernetesApi, Object

TTL = 5
SCHEMA = "1.1.0"

Key = tuple[str, str]


@dataclass(frozen=True)
class Record:
    """One record: owner, type, and its data as text."""

    owner: str
    kind: str
    data: str


class ClusterIndex:
    """What the API server knows of Services, endpoints and namespaces."""

    def __init__(self) -> None:
        self.services: dict[Key, Object] = {}
        self.endpoints: dict[Key, Object] = {}
        self.namespaces: set[str] = set()
        self._synced: set[str] = set()

    def follow(self, api: KubernetesApi) -> None:
        """Follow the API server in the background."""
        for kind in ("services", "endpoints", "namespaces"):
            threading.Thread(target=self._watch, args=(api, kind), daemon=True).start()

    @property
    def is_synced(self) -> bool:
        """Say whether everything has been seen once."""
        return len(self._synced) == 3

    def take(self, kind: str, event: Event) -> None:
        """Take in one event of a watch."""
        if event.type == "SYNCED":
            self._synced.add(kind)
            return
        metadata = event.object["metadata"]
        if kind == "namespaces":
            (self.namespaces.discard if event.type == "DELETED" else self.namespaces.add)(metadata["name"])
            return
        known = self.services if kind == "services" else self.endpoints
        key = (metadata["namespace"], metadata["name"])
        known.pop(key, None)
        if event.type != "DELETED":
            known[key] = event.object

    def _watch(self, api: KubernetesApi, kind: str) -> None:
        for event in api.watch(f"/api/v1/{kind}"):
            self.take(kind, event)


class ClusterZone:
    """Answers for the zones of a `kubernetes` line."""

    def __init__(self, plugin: Plugin, zones: tuple[str, ...], index: ClusterIndex) -> None:
        self._index = index
        self.zones = tuple(zone_name(zone) for zone in plugin.arguments or zones)
        self.fall_through: tuple[str, ...] = ()
        self.ttl = TTL
        self._pods = "disabled"
        for name, *words in plugin.options:
            if name == "pods" and words in (["insecure"], ["disabled"]):
                self._pods = words[0]
            elif name == "fallthrough":
                self.fall_through = tuple(zone_name(word) for word in words) or self.zones
            elif name == "ttl":
                self.ttl = int(seconds(plugin, words[0]))
            else:
                raise plugin.refuse(f"{' '.join((name, *words))} is not emulated by the sandbox")

    def zone_of(self, name: str) -> str | None:
        """Return the longest zone that a name is in."""
        matching = [zone for zone in self.zones if name == zone or name.endswith(f".{zone}")]
        return max(matching, key=len, default=None)

    def find(self, name: str, zone: str) -> list[Record] | None:
        """Return the records of a name, none if it has none of any type; None if there is no such name."""
        if zone.endswith("in-addr.arpa."):
            return list(self._pointers(name)) or None
        labels = name[: -len(zone)].rstrip(".").split(".") if name != zone else []
        if labels == ["dns-version"]:
            return [Record(name, "TXT", f'"{SCHEMA}"')]
        match labels:
            case [] | ["svc"] | ["pod"]:
                return []
            case [namespace, "svc" | "pod"]:
                return [] if namespace in self._index.namespaces else None
            case [dashed, namespace, "pod"]:
                return self._pod(name, dashed, namespace)
            case [*rest, service, namespace, "svc"]:
                return self._service(name, rest, (namespace, service), zone)
        return None

    def _pod(self, name: str, dashed: str, namespace: str) -> list[Record] | None:
        if self._pods == "disabled" or namespace not in self._index.namespaces:
            return None
        try:
            return [Record(name, "A", str(ipaddress.IPv4Address(dashed.replace("-", "."))))]
        except ValueError:
            return None

    def _service(self, name: str, rest: list[str], key: Key, zone: str) -> list[Record] | None:
        service = self._index.services.get(key)
        if service is None:
            return None
        spec = service["spec"]
        if spec.get("type") == "ExternalName":
            return None if rest else [Record(name, "CNAME", zone_name(spec["externalName"]))]
        base = f"{key[1]}.{key[0]}.svc.{zone}"
        hosts = dict(self._hosts(key)) if spec.get("clusterIP") == "None" else {}
        if rest and rest[0].startswith("_"):
            return self._ports(name, rest, spec, hosts, base)
        if not rest:
            addresses = hosts.values() if spec.get("clusterIP") == "None" else [spec["clusterIP"]]
            # a headless Service with nothing behind it has no name, see the plugin's manual page
            return [Record(name, "A", address) for address in dict.fromkeys(addresses)] or None
        return [Record(name, "A", hosts[rest[0]])] if len(rest) == 1 and rest[0] in hosts else None

    def _ports(
        self, name: str, rest: list[str], spec: Object, hosts: dict[str, str], base: str
    ) -> list[Record] | None:
        if len(rest) != 2:
            return None
        wanted, protocol = (label.removeprefix("_") for label in rest)
        targets = [f"{host}.{base}" for host in hosts] or [base]
        return [
            Record(name, "SRV", f"0 100 {port['port']} {target}")
            for port in spec.get("ports", ())
            if port.get("name", "") == wanted and port.get("protocol", "TCP").lower() == protocol
            for target in targets
        ] or None

    def _hosts(self, key: Key) -> Iterator[tuple[str, str]]:
        """Yield name and address of everything that is ready behind a Service, or published before it is."""
        for subset in self._index.endpoints.get(key, {}).get("subsets") or ():
            for address in subset.get("addresses", ()):
                yield address.get("hostname") or address["ip"].replace(".", "-"), address["ip"]

    def _pointers(self, name: str) -> Iterator[Record]:
        try:
            wanted = dns.reversename.to_address(dns.name.from_text(name))
        except (dns.exception.DNSException, ValueError):
            return
        domain = next(zone for zone in self.zones if not zone.endswith("arpa."))
        for (namespace, service), obj in list(self._index.services.items()):
            base = f"{service}.{namespace}.svc.{domain}"
            if obj["spec"].get("clusterIP") == wanted:
                yield Record(name, "PTR", base)
            for host, address in self._hosts((namespace, service)):
                if address == wanted:
                    yield Record(name, "PTR", f"{host}.{base}")
