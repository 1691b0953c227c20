"""What is known of Azure's locations without asking Azure."""

from roachmesh.wording import closest, shown

# A location that opens after this date is refused until it is added here.
AS_OF = "2026-11"
# Source: "List of Azure regions" in the Azure documentation, the column on availability zones, and the
# pages on regions of Azure Government and Azure operated by 21Vianet.
WITH_ZONES = """
    australiaeast austriaeast belgiumcentral brazilsouth canadacentral centralindia centralus
    chilecentral chinanorth3 denmarkeast eastasia eastus eastus2 francecentral germanywestcentral
    indiasouthcentral indonesiacentral israelcentral italynorth japaneast japanwest koreacentral
    malaysiawest mexicocentral newzealandnorth northeurope norwayeast polandcentral qatarcentral
    southafricanorth southcentralus southeastasia spaincentral swedencentral switzerlandnorth
    uaenorth uksouth usgovvirginia westeurope westus2 westus3
    """.split()
WITHOUT_ZONES = """
    australiacentral australiacentral2 australiasoutheast brazilsoutheast canadaeast chinaeast
    chinaeast2 chinaeast3 chinanorth chinanorth2 francesouth germanynorth jioindiacentral
    jioindiawest koreasouth northcentralus norwaywest southafricawest southindia swedensouth
    switzerlandwest uaecentral ukwest usdodcentral usdodeast usgovarizona usgovtexas westcentralus
    westindia westus
    """.split()


def refuse(location: str) -> str:
    """Pass on the name of a location.

    Raises:
        ValueError: there is none of that name; says which one was probably meant.
    """
    if not is_known(location):
        raise ValueError(
            f"{shown(location)} is no Azure location (as of {AS_OF}); write one, such as {nearest(location)}."
        )
    return location


def nearest(name: str) -> str:
    """Give the location that a name was probably meant to be, or simply one."""
    return closest(name, WITH_ZONES + WITHOUT_ZONES) or "eastus"


def is_known(location: str) -> bool:
    """Tell whether Azure has a location of that name."""
    return location in WITH_ZONES or location in WITHOUT_ZONES


def cloud(location: str) -> str:
    """Name the cloud that a location belongs to; they are separate, and a subscription is in one of them."""
    if location.startswith(("usgov", "usdod")):
        return "Azure Government"
    return "Azure operated by 21Vianet" if location.startswith("china") else "Azure's public cloud"


def zones(location: str) -> tuple[str, ...]:
    """Name the availability zones of a location; empty where it has none."""
    return ("1", "2", "3") if location in WITH_ZONES else ()
