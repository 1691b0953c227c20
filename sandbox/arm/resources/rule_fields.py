"""The fields of security rules, and the six rules that every group has."""

from sandbox.arm.store import Json

# (the single form, the list form) of the four address and port fields
FIELDS = (
    ("sourceAddressPrefix", "sourceAddressPrefixes"),
    ("destinationAddressPrefix", "destinationAddressPrefixes"),
    ("sourcePortRange", "sourcePortRanges"),
    ("destinationPortRange", "destinationPortRanges"),
)

# Source: "Default security rules" on the network security groups page of the Azure documentation.
# (name, direction, priority, access, source, destination)
_DEFAULTS = (
    ("AllowVnetInBound", "Inbound", 65000, "Allow", "VirtualNetwork", "VirtualNetwork"),
    ("AllowAzureLoadBalancerInBound", "Inbound", 65001, "Allow", "AzureLoadBalancer", "*"),
    ("DenyAllInBound", "Inbound", 65500, "Deny", "*", "*"),
    ("AllowVnetOutBound", "Outbound", 65000, "Allow", "VirtualNetwork", "VirtualNetwork"),
    ("AllowInternetOutBound", "Outbound", 65001, "Allow", "*", "Internet"),
    ("DenyAllOutBound", "Outbound", 65500, "Deny", "*", "*"),
)


def field_values(properties: Json, single: str, several: str) -> tuple[str, ...]:
    """The values of a field that may be given alone or as a list."""
    alone = properties.get(single)
    return tuple(map(str, properties.get(several) or ())) or ((str(alone),) if alone else ())


def default_rules() -> dict[str, Json]:
    """The properties of the default rules, by name."""
    return {
        name: {
            "protocol": "*",
            "access": access,
            "priority": priority,
            "direction": direction,
            "sourceAddressPrefix": source,
            "destinationAddressPrefix": destination,
            "sourcePortRange": "*",
            "destinationPortRange": "*",
            **{several: [] for _, several in FIELDS},
        }
        for name, direction, priority, access, source, destination in _DEFAULTS
    }
