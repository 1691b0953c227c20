"""Security rules, the children of a network security group."""

import re
from ipaddress import IPv4Network
from itertools import combinations

from sandbox.arm.cloud import Cloud
from sandbox.arm.errors import ArmError, not_emulated
from sandbox.arm.resource_type import ResourceType
from sandbox.arm.resources.rule_fields import FIELDS, field_values
from sandbox.arm.store import Resource
from sandbox.fabric.tags import TAGS

# Source: "Virtual network service tags" in the Azure documentation, those that rules name most.
AZURES_TAGS = """
    ActionGroup ApiManagement AppService AppServiceManagement AzureActiveDirectory
    AzureAdvancedThreatProtection AzureArcInfrastructure AzureBackup AzureCloud AzureContainerRegistry
    AzureCosmosDB AzureDataLake AzureDevOps AzureEventGrid AzureFrontDoor AzureIoTHub AzureKeyVault
    AzureMachineLearning AzureMonitor AzurePlatformIMDS AzurePlatformLKM AzureResourceManager
    AzureSiteRecovery AzureTrafficManager AzureUpdateDelivery BatchNodeManagement
    CognitiveServicesManagement DataFactory EventHub GatewayManager GuestAndHybridManagement HDInsight
    LogicApps MicrosoftContainerRegistry PowerBI ServiceBus ServiceFabric Sql SqlManagement Storage
    WindowsAdminCenter
""".lower().split()
MOST = 1000
CHOICES = {
    "protocol": ("Tcp", "Udp", "Icmp", "Esp", "Ah", "*"),
    "access": ("Allow", "Deny"),
    "direction": ("Inbound", "Outbound"),
}


def check(cloud: Cloud, wanted: Resource, present: Resource | None) -> None:
    """Refuse what the fabric could not evaluate, and a priority that is taken.

    Source: SecurityRuleConflict in grycap/im#359, SecurityRuleParametersMissing in Azure/sap-hana#135,
    SecurityRuleInvalidPortRange in terraform-provider-azurerm#1530, SecurityRuleInvalidAddressPrefix
    in #16761 and for unknown tags in Azure/azure-powershell#391; SecurityRuleCountLimitReached in
    Azure/azure-rest-api-specs#3003; SecurityRuleInvalidPriority is believed.
    """
    properties = wanted.properties
    for name, choices in CHOICES.items():
        properties[name] = _choice(wanted, name, choices)
    if properties["protocol"] in ("Esp", "Ah"):
        raise not_emulated(f"security rules for protocol {properties['protocol']}")
    if any("ApplicationSecurityGroups" in name and value for name, value in properties.items()):
        raise not_emulated("application security groups in security rules")
    _check_place(cloud, wanted)
    for single, several in FIELDS:
        properties.setdefault(several, [])
        values = field_values(properties, single, several)
        if not values:
            raise _missing(wanted, f"{several}, or {single}")
        if "Port" in single:
            for value in values:
                _check_port(value)
        else:
            networks = [network for network in map(_network, values) if network]
            _check_list(wanted, single, properties[several], networks)


def _choice(wanted: Resource, name: str, choices: tuple[str, ...]) -> str:
    """The value in Azure's casing: `TCP` is accepted and shown as `Tcp`."""
    value = wanted.properties.get(name)
    if value is None:
        raise _missing(wanted, name)
    for choice in choices:
        if str(value).lower() == choice.lower():
            return choice
    message = f"Security rule parameter {name} for rule with Id {wanted.id} cannot have value {value}."
    raise ArmError(400, "SecurityRuleParameterContainsUnsupportedValue", message)


def _missing(wanted: Resource, what: str) -> ArmError:
    message = (
        f"Required security rule parameters are missing for security rule with Id: {wanted.id}. "
        f"Security rule must specify {what}."
    )
    return ArmError(400, "SecurityRuleParametersMissing", message)


def _check_place(cloud: Cloud, wanted: Resource) -> None:
    priority = wanted.properties.get("priority")
    if not isinstance(priority, int) or not 100 <= priority <= 4096:
        message = f"Security rule has invalid Priority. Value provided: {priority}. Allowed range 100-4096."
        raise ArmError(400, "SecurityRuleInvalidPriority", message)
    others = cloud.store.children(wanted.id.owner, "securityRules")
    if len({wanted.id.key, *(other.id.key for other in others)}) > MOST:
        message = f"A security group cannot have more than {MOST} security rules."
        raise ArmError(400, "SecurityRuleCountLimitReached", message)
    for other in others:
        same = all(other.properties[key] == wanted.properties[key] for key in ("priority", "direction"))
        if same and other.id.key != wanted.id.key:
            message = (
                f"Security rule {wanted.id.name} conflicts with rule {other.id.name}. Rules cannot have "
                "the same Priority and Direction. To learn more, see aka.ms/nsgrules."
            )
            raise ArmError(400, "SecurityRuleConflict", message)


def _check_port(value: str) -> None:
    match = re.fullmatch(r"(\d+)(?:-(\d+))?", value)
    if value == "*":
        return
    if not match or not int(match[1]) <= int(match[2] or match[1]) <= 65535:
        message = (
            f"Security rule has invalid Port range. Value provided: {value}. Value should be an integer OR "
            "integer range with '-' delimiter. Valid range 0-65535."
        )
        raise ArmError(400, "SecurityRuleInvalidPortRange", message)


def _network(value: str) -> IPv4Network | None:
    """The range that an address prefix is; None for a tag that the fabric can expand, and for `*`."""
    if value == "*" or value.lower() in map(str.lower, TAGS):
        return None
    if ":" in value:
        raise not_emulated("IPv6 in security rules")
    if value.partition(".")[0].lower() in AZURES_TAGS:
        raise not_emulated(f"the service tag {value}; it has {', '.join(TAGS)}")
    try:
        return IPv4Network(value)  # host bits must be zero: Azure refuses 50.206.209.68/27
    except ValueError:
        message = f"Security rule has invalid Address prefix. Value provided: {value}"
        raise ArmError(400, "SecurityRuleInvalidAddressPrefix", message) from None


def _check_list(wanted: Resource, name: str, given: list[str], networks: list[IPv4Network]) -> None:
    """Refuse what a list of prefixes may not hold, though a single one may be it.

    Source: hashicorp/terraform-provider-azurerm#5617; alan-turing-institute/data-safe-haven#2077 and
    kubernetes-sigs/cloud-provider-azure#6775 for ranges that overlap, whose text is believed.
    """
    about = f"Security rule parameter {name[0].upper()}{name[1:]} for rule with Id {wanted.id}"
    for value in given:
        if _network(value) is None:
            message = (
                f"{about} cannot specify existing VIRTUALNETWORK, INTERNET, AZURELOADBALANCER, '*' or system "
                f"tags. Unsupported value used: {value}."
            )
            raise ArmError(400, "SecurityRuleParameterContainsUnsupportedValue", message)
    for one, other in combinations(networks, 2):
        if one.overlaps(other):
            message = f"{about} cannot specify overlapping subnets. Overlapping subnets: {one}, {other}."
            raise ArmError(400, "OverlappingSubnetsNotPermittedInSecurityRule", message)


TYPE = ResourceType(
    "Microsoft.Network/networkSecurityGroups/securityRules",
    write_s=2,
    delete_s=2,
    shape={
        "priority": int,
        **dict.fromkeys(CHOICES, str),
        **{single: str for single, _ in FIELDS},
        **{several: [str] for _, several in FIELDS},
    },
    check=check,
)
