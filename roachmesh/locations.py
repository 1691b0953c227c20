"""What is known of Azure's locations without asking Azure."""

# Source: "List of Azure regions" in the Azure documentation, the column on availability zones, 2026-11.
# A location that is missing here is taken to have no zones: its machines share an availability set.
WITH_ZONES = """
    australiaeast austriaeast belgiumcentral brazilsouth canadacentral centralindia centralus
    chilecentral eastasia eastus eastus2 francecentral germanywestcentral indonesiacentral
    israelcentral italynorth japaneast japanwest koreacentral malaysiawest mexicocentral
    newzealandnorth northeurope norwayeast polandcentral qatarcentral southafricanorth
    southcentralus southeastasia spaincentral swedencentral switzerlandnorth uaenorth uksouth
    westeurope westus2 westus3
    """.split()


def zones(location: str) -> tuple[str, ...]:
    """Name the availability zones of a location; empty where it has none."""
    return ("1", "2", "3") if location in WITH_ZONES else ()
