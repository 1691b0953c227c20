"""The agent's options, from the files of the ConfigMap cilium-config; combinations that Cilium refuses.

Source: pkg/option/config.go and daemon/cmd of cilium/cilium, texts partly from memory.
"""

from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path


class OptionError(Exception):
    """The agent cannot run with these options."""


@dataclass(frozen=True)
class Options:
    """What the agent was told."""

    native_routing_cidr: IPv4Network | None
    auto_direct_node_routes: bool
    kube_proxy_replacement: bool
    masquerade: bool
    bpf_masquerade: bool
    ip_masq_agent: bool
    mtu: int


def read(folder: Path) -> Options:
    """Read a folder with a file for each option.

    Raises:
        OptionError: as the real agent would end.
    """
    given = {path.name: path.read_text().strip() for path in folder.iterdir() if path.is_file()}

    def switch(name: str) -> bool:
        return given.get(name) == "true"

    cidr = given.get("ipv4-native-routing-cidr")
    try:
        native_routing_cidr = IPv4Network(cidr) if cidr else None
    except ValueError as error:
        raise OptionError(f"Cannot parse CIDR {cidr!r} of ipv4-native-routing-cidr: {error}") from error
    options = Options(
        native_routing_cidr=native_routing_cidr,
        auto_direct_node_routes=switch("auto-direct-node-routes"),
        kube_proxy_replacement=switch("kube-proxy-replacement"),
        masquerade=switch("enable-ipv4-masquerade"),
        bpf_masquerade=switch("enable-bpf-masquerade"),
        ip_masq_agent=switch("enable-ip-masq-agent"),
        mtu=int(given.get("mtu", 0)),
    )
    _check(options)
    return options


def _check(options: Options) -> None:
    if options.masquerade and not options.native_routing_cidr and not options.ip_masq_agent:
        raise OptionError(
            "native routing cidr must be configured with option --ipv4-native-routing-cidr in combination "
            "with --enable-ipv4=true --enable-ipv4-masquerade=true --enable-ip-masq-agent=false "
            "--routing-mode=native --ipam=kubernetes"
        )
    if options.ip_masq_agent and not (options.masquerade and options.bpf_masquerade):
        raise OptionError(
            "BPF ip-masq-agent requires --enable-ipv4-masquerade=true and --enable-bpf-masquerade=true"
        )
    if options.bpf_masquerade and not options.kube_proxy_replacement:
        raise OptionError("BPF masquerade requires NodePort (--kube-proxy-replacement=true)")
