"""Every `ensure_*` against Azure's control plane: creates when absent, changes nothing the second time."""

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from roachmesh import names, topology
from roachmesh.errors import InvalidTopology, NotOurs, ReplaceMachine
from roachmesh.inventory import DISK, VIRTUAL_MACHINE, PodRoute
from roachmesh.outcome import Outcome
from roachmesh.plan import RegionPlan, make_plan
from tasks.deployment import Deployment
from tasks.drift import foresee
from tasks.machines import (
    Machine,
    ensure_availability_set,
    ensure_data_disk,
    ensure_interface,
    ensure_public_address,
    ensure_virtual_machine,
)
from tasks.network import (
    ensure_own_routes,
    ensure_route_table,
    ensure_routes,
    ensure_security_group,
    ensure_virtual_network,
)
from tasks.peering import ensure_peering
from tasks.preflight import judge_fixed_fields
from tasks.removal import is_ours
from tasks.resource_group import delete_resource_group, ensure_resource_group, read_resource_group
from tests.flows.conftest import EVERYBODY, OPERATORS, Cloud

EASTUS = {"platform": "vm", "name": "eastus", "nodes": 1}
NUMBERS = count(1)
WESTUS = {"platform": "vm", "name": "westus", "nodes": 1}


class Stage:
    """A region brought up task by task."""

    def __init__(self, deployment: Deployment, region: RegionPlan) -> None:
        self.deployment, self.region, self.node = deployment, region, region.nodes[0]

    def security_group(self) -> Outcome:
        return ensure_security_group.fn(self.deployment, self.region)

    def route_table(self) -> Outcome:
        return ensure_route_table.fn(self.deployment, self.region)

    def network(self) -> Outcome:
        self.security_group()
        self.route_table()
        return ensure_virtual_network.fn(self.deployment, self.region)

    def availability_set(self) -> Outcome | None:
        return ensure_availability_set.fn(self.deployment, self.region)

    def public_address(self) -> Outcome:
        return ensure_public_address.fn(self.deployment, self.region, self.node)

    def interface(self) -> Outcome:
        self.network()
        self.public_address()
        return ensure_interface.fn(self.deployment, self.region, self.node)

    def data_disk(self) -> Outcome:
        return ensure_data_disk.fn(self.deployment, self.region, self.node)

    def machine(self) -> Machine:
        self.interface()
        self.data_disk()
        self.availability_set()
        return ensure_virtual_machine.fn(self.deployment, self.region, self.node)


def stage(cloud: Cloud, topology: str, region: dict[str, Any] = EASTUS) -> Stage:
    deployment = cloud.deployment(name=topology, regions=[region])
    return Stage(deployment, deployment.plan.regions[0])


@pytest.mark.parametrize(
    "step",
    ["security_group", "route_table", "network", "public_address", "interface", "data_disk", "machine"],
)
def test_it_is_created_when_absent_and_left_alone_the_second_time(cloud: Cloud, step: str) -> None:
    ensure: Callable[[], Outcome] = getattr(stage(cloud, f"twice-{step.replace('_', '-')}"), step)

    assert ensure().change == "created"
    assert cloud.writes_during(lambda: ensure()) == []
    assert ensure().change == "unchanged"


def test_a_region_without_zones_gets_an_availability_set_once(cloud: Cloud) -> None:
    west = stage(cloud, "no-zones", WESTUS)

    first, second = west.availability_set(), west.availability_set()

    assert first
    assert second
    assert (first.change, second.change) == ("created", "unchanged")


def test_a_region_with_zones_needs_no_availability_set(cloud: Cloud) -> None:
    assert stage(cloud, "zones").availability_set() is None


def test_two_networks_are_peered_in_both_directions_once(cloud: Cloud) -> None:
    deployment = cloud.deployment(name="peered", regions=[EASTUS, WESTUS])
    left, right = deployment.plan.regions
    for region in (left, right):
        Stage(deployment, region).network()

    first = ensure_peering.fn(deployment, left, right)
    second = ensure_peering.fn(deployment, left, right)

    assert [half.change for half in first] == ["created", "created"]
    assert [half.change for half in second] == ["unchanged", "unchanged"]


def test_a_peering_half_that_was_deleted_comes_back(cloud: Cloud) -> None:
    deployment = cloud.deployment(name="half", regions=[EASTUS, WESTUS])
    left, right = deployment.plan.regions
    for region in (left, right):
        Stage(deployment, region).network()
    ensure_peering.fn(deployment, left, right)
    cloud.azure.network.virtual_network_peerings.begin_delete(
        deployment.resource_group, names.virtual_network("eastus"), names.peering("westus")
    ).result()

    healed = ensure_peering.fn(deployment, left, right)

    assert healed[0].change == "created"


def test_a_rule_that_somebody_added_is_removed(cloud: Cloud) -> None:
    region = stage(cloud, "rule")
    region.security_group()
    path = (region.deployment.resource_group, names.security_group("eastus"))
    rules: Any = cloud.azure.network.security_rules
    rules.begin_create_or_update(*path, "evil", EVERYBODY).result()

    assert region.security_group().change == "updated"
    assert "evil" not in {rule.name for rule in rules.list(*path)}


def test_a_subnet_that_somebody_added_stays(cloud: Cloud) -> None:
    region = stage(cloud, "subnet")
    region.network()
    path = (region.deployment.resource_group, names.virtual_network("eastus"))
    subnets: Any = cloud.azure.network.subnets
    subnets.begin_create_or_update(*path, "theirs", {"properties": {"addressPrefix": "10.1.9.0/24"}}).result()

    assert region.network().change == "unchanged"
    assert {subnet.name for subnet in subnets.list(*path)} == {"nodes", "theirs"}


def test_what_carries_another_topologys_tag_is_not_touched(cloud: Cloud) -> None:
    region = stage(cloud, "tags")
    region.public_address()
    other = region.deployment.plan.model_copy(update={"topology": "other"})
    stranger = Stage(region.deployment.model_copy(update={"plan": other}), region.region)

    with pytest.raises(NotOurs, match="belongs to the topology 'tags'"):
        stranger.public_address()


def test_a_group_that_we_did_not_make_is_refused(cloud: Cloud) -> None:
    deployment = cloud.deployment(name="foreign", regions=[EASTUS])
    groups: Any = cloud.azure.resources.resource_groups
    groups.create_or_update(deployment.resource_group, {"location": "eastus", "tags": {}})

    with pytest.raises(NotOurs, match="was not made by Roachmesh"):
        read_resource_group.fn(deployment)
    with pytest.raises(NotOurs):
        delete_resource_group.fn(deployment)


def test_the_group_remembers_its_operators(cloud: Cloud) -> None:
    deployment = cloud.deployment(name="operators", regions=[EASTUS])

    existing = read_resource_group.fn(deployment)

    assert existing
    assert existing.operators == OPERATORS
    assert ensure_resource_group.fn(deployment).change == "unchanged"


def test_a_machine_is_never_written_again_but_reported(cloud: Cloud) -> None:
    region = stage(cloud, "replace")
    region.machine()
    region.region = region.region.model_copy(update={"size": "Standard_D8s_v5"})

    def change() -> None:
        with pytest.raises(ReplaceMachine, match="vmSize: 'Standard_D4s_v5', wanted 'Standard_D8s_v5'"):
            region.machine()

    assert cloud.writes_during(change) == []


def test_another_range_of_pods_is_refused_before_anything_is_changed(cloud: Cloud) -> None:
    region = stage(cloud, "fixed", {**EASTUS, "platform": "k3s", "pods": "10.10.0.0/16"})
    region.machine()
    existing = read_resource_group.fn(region.deployment)
    judge_fixed_fields.fn(region.deployment, existing)
    other = {"name": "fixed", "regions": [{**EASTUS, "platform": "k3s", "pods": "10.12.0.0/16"}]}
    changed = region.deployment.model_copy(update={"plan": make_plan(topology.parse(other))})

    def change() -> None:
        with pytest.raises(InvalidTopology, match=r"regions\[0\].pods: .* write `pods: 10.10.0.0/16`"):
            judge_fixed_fields.fn(changed, existing)
        with pytest.raises(InvalidTopology):
            foresee(changed.plan, changed.credentials)

    assert cloud.writes_during(change) == []


def test_a_machine_that_was_stopped_is_started(cloud: Cloud) -> None:
    region = stage(cloud, "stopped")
    region.machine()
    machines = cloud.azure.compute.virtual_machines
    machines.begin_deallocate(region.deployment.resource_group, region.node.name).result()

    assert region.machine().change == "updated"
    assert region.machine().change == "unchanged"


def test_the_host_key_is_pinned_by_the_machines_tag(cloud: Cloud) -> None:
    region = stage(cloud, "pin")

    created, read = region.machine(), region.machine()

    assert created.host.host_key.startswith("ssh-ed25519 ")
    assert read.host == created.host


def test_destroying_takes_everything_and_then_nothing(cloud: Cloud) -> None:
    region = stage(cloud, "destroyed")
    region.machine()

    assert delete_resource_group.fn(region.deployment) == 8
    assert delete_resource_group.fn(region.deployment) == 0


def test_a_tag_of_somebody_else_survives_our_writes(cloud: Cloud) -> None:
    region = stage(cloud, "their-tag")
    region.security_group()
    path = (region.deployment.resource_group, names.security_group("eastus"))
    groups: Any = cloud.azure.network.network_security_groups
    found = groups.get(*path).as_dict()
    found["tags"]["department"] = "payments"
    found["properties"]["securityRules"] = []
    groups.begin_create_or_update(*path, found).result()

    assert region.security_group().change == "updated"
    assert groups.get(*path).tags["department"] == "payments"


def test_destroying_leaves_what_somebody_else_put_into_the_group(cloud: Cloud) -> None:
    region = stage(cloud, "shared")
    region.machine()
    group = region.deployment.resource_group
    addresses: Any = cloud.azure.network.public_ip_addresses
    theirs = {"location": "eastus", "properties": {"publicIPAllocationMethod": "Static"}}
    theirs["sku"] = {"name": "Standard"}
    addresses.begin_create_or_update(group, "theirs", theirs).result()

    assert delete_resource_group.fn(region.deployment) == 8

    left = cloud.azure.resources.resources.list_by_resource_group(group)
    assert [resource.name for resource in left] == ["theirs"]


def test_a_disk_of_somebody_elses_on_our_machine_is_not_ours() -> None:
    tags = {names.TAG_TOPOLOGY: "ours"}
    machine = {"type": VIRTUAL_MACHINE, "id": "/machine", "name": "crdb-eastus-1", "tags": tags}
    disk = {"type": DISK, "id": "/disk", "managedBy": "/MACHINE"}
    system, theirs = {**disk, "name": names.os_disk("crdb-eastus-1")}, {**disk, "name": "their-backup"}

    assert is_ours("ours", system, [machine, system, theirs])
    assert not is_ours("ours", theirs, [machine, system, theirs])


def pod_routes(region: RegionPlan, first: int = 0) -> list[PodRoute]:
    """Give each node of a region a range, as Kubernetes would, beginning with some."""
    assert region.cluster
    ranges = list(region.cluster.pods.subnets(new_prefix=24))[first:]
    return [
        PodRoute(node=node.name, pods=range_, address=node.address)
        for node, range_ in zip(region.nodes, ranges, strict=False)
    ]


def routes_in(cloud: Cloud, deployment: Deployment, region: RegionPlan) -> dict[str, str]:
    path = (deployment.resource_group, names.route_table(region.name))
    return {route.name: route.address_prefix for route in cloud.azure.network.routes.list(*path)}


@pytest.fixture
def two_clusters(cloud: Cloud) -> tuple[Deployment, RegionPlan, RegionPlan]:
    regions = [{"platform": "k3s", "name": name, "nodes": 2} for name in ("eastus", "westus")]
    deployment = cloud.deployment(name=f"routes-{next(NUMBERS)}", regions=regions)
    east, west = deployment.plan.regions
    ensure_route_table.fn(deployment, east)
    return deployment, east, west


def test_own_routes_come_first_and_those_to_others_stay(
    cloud: Cloud, two_clusters: tuple[Deployment, RegionPlan, RegionPlan]
) -> None:
    deployment, east, west = two_clusters
    everywhere = [*pod_routes(east), *pod_routes(west)]

    assert ensure_own_routes.fn(deployment, east, pod_routes(east)).change == "updated"
    assert len(routes_in(cloud, deployment, east)) == 2
    assert ensure_routes.fn(deployment, east, everywhere).change == "updated"
    assert cloud.writes_during(lambda: ensure_route_table.fn(deployment, east)) == []
    assert cloud.writes_during(lambda: ensure_own_routes.fn(deployment, east, pod_routes(east))) == []
    assert cloud.writes_during(lambda: ensure_routes.fn(deployment, east, everywhere)) == []
    assert len(routes_in(cloud, deployment, east)) == 4


def test_the_route_to_a_replaced_node_moves_although_its_range_was_anothers(
    cloud: Cloud, two_clusters: tuple[Deployment, RegionPlan, RegionPlan]
) -> None:
    deployment, east, west = two_clusters
    ensure_routes.fn(deployment, east, [*pod_routes(east), *pod_routes(west)])
    moved = pod_routes(east, first=1)

    ensure_own_routes.fn(deployment, east, moved)

    found = routes_in(cloud, deployment, east)
    assert found[names.pod_route(east.nodes[0].name)] == str(moved[0].pods)
    assert len(found) == 4


def test_a_route_that_leads_nowhere_any_more_goes(
    cloud: Cloud, two_clusters: tuple[Deployment, RegionPlan, RegionPlan]
) -> None:
    deployment, east, west = two_clusters
    ensure_routes.fn(deployment, east, [*pod_routes(east), *pod_routes(west)])

    ensure_routes.fn(deployment, east, pod_routes(east))

    assert set(routes_in(cloud, deployment, east)) == {names.pod_route(node.name) for node in east.nodes}
