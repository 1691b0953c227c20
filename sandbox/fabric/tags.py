"""Address prefixes of security rules, service tags among them, expanded as Azure does."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from ipaddress import IPv4Address, IPv4Network, IPv6Network, collapse_addresses, ip_network

PLATFORM_ADDRESS = IPv4Address("168.63.129.16")  # Azure's resolver and health probe, in every network
EVERYWHERE = IPv4Network("0.0.0.0/0")
RESOLVER_TAG = "AzurePlatformDNS"
TAGS = ("VirtualNetwork", "Internet", "AzureLoadBalancer", RESOLVER_TAG)
NOT_PUBLIC = tuple(
    IPv4Network(prefix)
    for prefix in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
        "192.168.0.0/16", "224.0.0.0/3", f"{PLATFORM_ADDRESS}/32",
    )
)  # fmt: skip


class UnknownTag(ValueError):
    """A rule names a service tag that the sandbox cannot expand."""


@dataclass(frozen=True)
class AddressSpace:
    """What tags mean inside one subnet.

    Attributes:
        virtual_network: The prefixes of its network and of connected peers that this one may access.
        routed: The prefixes of its user-defined routes: they belong to the tag VirtualNetwork, and are no
            less a part of the internet.
    """

    virtual_network: tuple[IPv4Network, ...]
    routed: tuple[IPv4Network, ...] = ()

    @cached_property
    def digest(self) -> str:
        """Tell it from others, at little cost."""
        return sha256(repr((self.virtual_network, self.routed)).encode()).hexdigest()

    def __hash__(self) -> int:
        """Hash the digest, which is made once."""
        return hash(self.digest)

    @cached_property
    def internet(self) -> list[IPv4Network]:
        """Everything public that is not the virtual network."""
        left = [EVERYWHERE]
        for inside in collapse_addresses((*NOT_PUBLIC, *self.virtual_network)):
            left = [piece for network in left for piece in _without(network, inside)]
        return left

    def expand(self, prefixes: Iterable[str]) -> list[IPv4Network]:
        """Return the networks that the prefixes of a rule stand for, smallest number of them.

        Raises:
            UnknownTag: a prefix is neither an address range nor a tag that is known here.
        """
        return list(collapse_addresses(network for prefix in prefixes for network in self._one(prefix)))

    def _one(self, prefix: str) -> Iterable[IPv4Network]:
        match prefix.lower():
            case "*":
                return [EVERYWHERE]
            case "virtualnetwork":
                return (*self.virtual_network, *self.routed)
            case "internet":
                return self.internet
            case "azureloadbalancer" | "azureplatformdns":
                return [IPv4Network(PLATFORM_ADDRESS)]
        try:
            network = ip_network(prefix, strict=False)
        except ValueError as error:
            known = ", ".join(TAGS)
            raise UnknownTag(
                f"{prefix!r} is no address range and none of the tags {known} that the sandbox knows"
            ) from error
        return [] if isinstance(network, IPv6Network) else [network]  # the fabric carries IPv4 only


def _without(network: IPv4Network, hole: IPv4Network) -> Iterable[IPv4Network]:
    if not network.overlaps(hole):
        return [network]
    if network.subnet_of(hole):
        return []
    return network.address_exclude(hole)
