"""The same infrastructure as a person makes it: `az` commands, one after the other."""

import shlex
from collections.abc import Callable, Iterator

from roachmesh import inventory
from roachmesh.inventory import Body, Inventory, Resource

Words = list[str]


# Opens no machine: its private half is kept nowhere.
PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGtlZXAgb3V0IG9mIHRoaXMga2V5IGl0IGlzIGZha2Uh bench"


def az_commands(everything: Inventory) -> Iterator[Words]:
    """Give the commands that make what a plan makes, in an order that works."""
    for resource in everything.everything():
        yield from COMMANDS[resource.type](resource, resource.body.get("properties", {}))


def _group(resource: Resource, _: Body) -> Iterator[Words]:
    yield _words(f"group create -n {resource.path[0]} -l {resource.body['location']}")


def _security_group(resource: Resource, properties: Body) -> Iterator[Words]:
    yield _create("network nsg", resource)
    for rule in properties["securityRules"]:
        yield [
            *_words(f"network nsg rule create -g {resource.path[0]} --nsg-name {resource.path[1]}"),
            *_words(f"-n {rule['name']}"),
            *_rule(rule["properties"]),
        ]


def _rule(rule: Body) -> Words:
    return [
        *_words(f"--priority {rule['priority']} --direction {rule['direction']} --access {rule['access']}"),
        *_words(f"--protocol {rule['protocol']}"),
        *("--source-address-prefixes", *_one_or_many(rule, "sourceAddressPrefix")),
        *("--destination-address-prefixes", *_one_or_many(rule, "destinationAddressPrefix")),
        *("--destination-port-ranges", *_one_or_many(rule, "destinationPortRange")),
    ]


def _one_or_many(rule: Body, key: str) -> Words:
    found = rule.get(f"{key}es") or rule.get(f"{key}s") or [rule[key]]
    return [str(one) for one in found]


def _route_table(resource: Resource, _: Body) -> Iterator[Words]:
    yield _create("network route-table", resource)


def _network(resource: Resource, properties: Body) -> Iterator[Words]:
    (subnet,) = properties["subnets"]
    inside = subnet["properties"]
    yield [
        *_create("network vnet", resource),
        *("--address-prefixes", *properties["addressSpace"]["addressPrefixes"]),
        *_words(f"--subnet-name {subnet['name']} --subnet-prefixes {inside['addressPrefix']}"),
        *_words(f"--nsg {_last(inside['networkSecurityGroup'])}"),
    ]
    yield [
        *_words(f"network vnet subnet update -g {resource.path[0]} --vnet-name {resource.path[1]}"),
        *_words(f"-n {subnet['name']} --route-table {_last(inside['routeTable'])}"),
    ]


def _availability_set(resource: Resource, _: Body) -> Iterator[Words]:
    yield _create("vm availability-set", resource)


def _public_address(resource: Resource, _: Body) -> Iterator[Words]:
    yield _create("network public-ip", resource)


def _interface(resource: Resource, properties: Body) -> Iterator[Words]:
    inside = properties["ipConfigurations"][0]["properties"]
    network, _, subnet = inside["subnet"]["id"].rpartition("/subnets/")
    yield [
        *_create("network nic", resource),
        *_words(f"--vnet-name {network.rpartition('/')[2]} --subnet {subnet}"),
        *_words(f"--private-ip-address {inside['privateIPAddress']}"),
        *_words(f"--public-ip-address {_last(inside['publicIPAddress'])}"),
    ]


def _disk(resource: Resource, properties: Body) -> Iterator[Words]:
    sku = resource.body["sku"]["name"]
    yield [
        *_create("disk", resource),
        *_words(f"--size-gb {properties['diskSizeGB']} --sku {sku}"),
        *_zone(resource),
    ]


def _machine(resource: Resource, properties: Body) -> Iterator[Words]:
    storage, image = properties["storageProfile"], properties["storageProfile"]["imageReference"]
    together = properties.get("availabilitySet")
    yield [
        *_create("vm", resource),
        *_words(f"--image {':'.join(image[key] for key in ('publisher', 'offer', 'sku', 'version'))}"),
        *_words(
            f"--size {properties['hardwareProfile']['vmSize']} --os-disk-name {storage['osDisk']['name']}"
        ),
        *_words(f"--nics {_last(properties['networkProfile']['networkInterfaces'][0])}"),
        *_words(f"--attach-data-disks {storage['dataDisks'][0]['name']}"),
        *("--admin-username", "ops", "--ssh-key-values", PUBLIC_KEY),
        *_zone(resource),
        *(("--availability-set", _last(together)) if together else ()),
    ]


def _peering(resource: Resource, properties: Body) -> Iterator[Words]:
    group, network, name = resource.path
    yield [
        *_words(f"network vnet peering create -g {group} --vnet-name {network} -n {name}"),
        *_words(f"--remote-vnet {_last(properties['remoteVirtualNetwork'])}"),
        *_words("--allow-vnet-access --allow-forwarded-traffic"),
    ]


COMMANDS: dict[str, Callable[[Resource, Body], Iterator[Words]]] = {
    inventory.RESOURCE_GROUP: _group,
    inventory.SECURITY_GROUP: _security_group,
    inventory.ROUTE_TABLE: _route_table,
    inventory.VIRTUAL_NETWORK: _network,
    inventory.AVAILABILITY_SET: _availability_set,
    inventory.PUBLIC_ADDRESS: _public_address,
    inventory.INTERFACE: _interface,
    inventory.DISK: _disk,
    inventory.VIRTUAL_MACHINE: _machine,
    inventory.PEERING: _peering,
}


def _create(what: str, resource: Resource) -> Words:
    group, name = resource.path
    return _words(f"{what} create -g {group} -n {name} -l {resource.body['location']}")


def _zone(resource: Resource) -> Words:
    return [word for zone in resource.body.get("zones", ()) for word in ("--zone", zone)]


def _last(reference: Body) -> str:
    """Name what a reference refers to."""
    name: str = reference["id"].rpartition("/")[2]
    return name


def _words(text: str) -> Words:
    return shlex.split(text)
