"""Which packets of pods get the node's address: exactly what the options say.

Source: Documentation/network/concepts/masquerading.rst and snat_v4_needed of bpf/lib/nat.h of cilium/cilium.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any

import yaml

from sandbox.cilium.agent.options import OptionError, Options

LINK_LOCAL = IPv4Network("169.254.0.0/16")
DEFAULTS = tuple(
    IPv4Network(cidr)
    for cidr in (
        "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24",
        "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
    )
)  # fmt: skip
NO_RULES = "table ip cilium\ndelete table ip cilium\n"


@dataclass(frozen=True)
class IpMasqAgent:
    """The content of the ConfigMap ip-masq-agent."""

    non_masquerade_cidrs: tuple[IPv4Network, ...] = DEFAULTS
    masquerade_link_local: bool = False


def ip_masq_agent(text: str) -> IpMasqAgent:
    """Read the ConfigMap's key `config`; what it leaves out is Cilium's default.

    Raises:
        OptionError: it cannot be read.
    """
    try:
        given: dict[str, Any] = yaml.safe_load(text) or {}
        cidrs = tuple(IPv4Network(cidr) for cidr in given.get("nonMasqueradeCIDRs", ()))
    except (yaml.YAMLError, ValueError) as error:
        raise OptionError(f"Failed to read ip-masq-agent's configuration: {error}") from error
    return IpMasqAgent(cidrs or DEFAULTS, bool(given.get("masqLinkLocal")))


def excluded(options: Options, agent: IpMasqAgent) -> tuple[IPv4Network, ...]:
    """Return the destinations that see the address of a pod itself."""
    if not options.ip_masq_agent:
        return (options.native_routing_cidr,) if options.native_routing_cidr else ()
    if agent.masquerade_link_local:
        return agent.non_masquerade_cidrs
    return (*agent.non_masquerade_cidrs, LINK_LOCAL)


def rules(pod_range: IPv4Network, excluded: Iterable[IPv4Network], nodes: Iterable[str]) -> str:
    """Return the rules for nft; with native routing, nodes of the cluster see the address of a pod too."""
    ranges = sorted({*map(str, excluded), *(f"{node}/32" for node in nodes), str(pod_range)})
    return f"""{NO_RULES}table ip cilium {{
  set not_masqueraded {{ type ipv4_addr; flags interval; auto-merge; elements = {{ {", ".join(ranges)} }} }}
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr {pod_range} ip daddr != @not_masqueraded masquerade
  }}
}}
"""
