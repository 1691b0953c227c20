"""What exists without anybody making it: the subscription, its tenant, regions and providers."""

from sandbox.arm import api_versions, responses
from sandbox.arm.cloud import Cloud
from sandbox.arm.errors import not_emulated
from sandbox.arm.locations import REGIONS, display_name
from sandbox.arm.resource_type import Answer, Call, ResourceType
from sandbox.arm.store import Json

NAMESPACES = ("Microsoft.Network", "Microsoft.Compute", "Microsoft.Resources")


def subscriptions(cloud: Cloud, call: Call) -> Answer:
    """The one subscription."""
    return responses.listing([_subscription(cloud)])


def subscription(cloud: Cloud, call: Call) -> Answer:
    """The same, by its id."""
    return Answer(200, _subscription(cloud))


def tenants(cloud: Cloud, call: Call) -> Answer:
    """The one tenant."""
    tenant = {"id": f"/tenants/{cloud.tenant_id}", "tenantId": cloud.tenant_id, "displayName": "Sandbox"}
    return responses.listing([tenant])


def locations(cloud: Cloud, call: Call) -> Answer:
    """All regions, with their zones where they have any."""
    return responses.listing([_location(cloud, name, zones) for name, zones in REGIONS.items()])


def endpoints(cloud: Cloud, call: Call) -> Answer:
    """What `az cloud register` asks for, without a token. Source: facts/azure.md, last section."""
    here = call.base_url
    authentication = {
        "loginEndpoint": here,
        "audiences": ["https://management.core.windows.net/", "https://management.azure.com/"],
        "tenant": cloud.tenant_id,
        "identityProvider": "AAD",
    }
    document: Json = {"name": "sandbox", "portal": here, "authentication": authentication, "suffixes": {}}
    urls = ("graph", "graphAudience", "resourceManager", "batch", "media", "gallery", "sqlManagement")
    return Answer(200, document | dict.fromkeys(urls, here))


def provider(cloud: Cloud, call: Call, namespace: str, types: list[ResourceType]) -> Answer:
    """A provider, registered from the start; registering it again changes nothing."""
    for known in NAMESPACES:
        if known.lower() == namespace.lower():
            return Answer(200, _provider(cloud, known, types))
    raise not_emulated(f"the provider {namespace}")


def providers(cloud: Cloud, call: Call, types: list[ResourceType]) -> Answer:
    """All providers that the sandbox has something of."""
    return responses.listing([_provider(cloud, namespace, types) for namespace in NAMESPACES])


def _subscription(cloud: Cloud) -> Json:
    return {
        "id": f"/subscriptions/{cloud.subscription_id}",
        "subscriptionId": cloud.subscription_id,
        "tenantId": cloud.tenant_id,
        "displayName": f"Sandbox {cloud.instance.name}",
        "state": "Enabled",
        "authorizationSource": "RoleBased",
        "subscriptionPolicies": {"quotaId": "Sandbox", "spendingLimit": "Off"},
    }


def _location(cloud: Cloud, name: str, zones: bool) -> Json:
    mappings = [{"logicalZone": zone, "physicalZone": f"{name}-az{zone}"} for zone in "123"]
    return {
        "id": f"/subscriptions/{cloud.subscription_id}/locations/{name}",
        "name": name,
        "type": "Region",
        "displayName": display_name(name),
        "regionalDisplayName": display_name(name),
        "metadata": {"regionType": "Physical"},
        **({"availabilityZoneMappings": mappings} if zones else {}),
    }


def _provider(cloud: Cloud, namespace: str, types: list[ResourceType]) -> Json:
    regions = [display_name(name) for name in REGIONS]
    return {
        "id": f"/subscriptions/{cloud.subscription_id}/providers/{namespace}",
        "namespace": namespace,
        "registrationState": "Registered",
        "registrationPolicy": "RegistrationRequired",
        "resourceTypes": [
            {
                "resourceType": kind.name.split("/", 1)[1],
                "locations": regions,
                "apiVersions": api_versions.known(kind.name),
            }
            for kind in types
            if kind.namespace == namespace
        ],
    }
