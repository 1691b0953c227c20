"""Azure's regions, and which of them have availability zones."""

import re

# Source: "List of Azure regions" in the Azure documentation; `*` marks regions with zones.
REGIONS = {
    name.rstrip("*"): name.endswith("*")
    for name in """
    australiacentral australiacentral2 australiaeast* australiasoutheast austriaeast* belgiumcentral*
    brazilsouth* brazilsoutheast canadacentral* canadaeast centralindia* centralus* chilecentral*
    eastasia* eastus* eastus2* francecentral* francesouth germanynorth germanywestcentral*
    indonesiacentral* israelcentral* italynorth* japaneast* japanwest* jioindiacentral jioindiawest
    koreacentral* koreasouth malaysiawest* mexicocentral* newzealandnorth* northcentralus northeurope*
    norwayeast* norwaywest polandcentral* qatarcentral* southafricanorth* southafricawest
    southcentralus* southeastasia* southindia spaincentral* swedencentral* switzerlandnorth*
    switzerlandwest uaecentral uaenorth* uksouth* ukwest westcentralus westeurope* westindia
    westus westus2* westus3*
    """.split()
}


def canonical(location: str) -> str:
    """`East US` is `eastus`."""
    return re.sub(r"\s+", "", location).lower()


def display_name(location: str) -> str:
    """A readable form; Azure's own display names differ in places."""
    compass = "north|south|east|west|central"
    words = re.sub(rf"({compass}|\d)", r" \1", location).split()
    return " ".join(word.upper() if word in ("us", "uk", "uae") else word.capitalize() for word in words)
