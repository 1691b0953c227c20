"""The topology: the one input, as a person writes it.

What cannot work is refused as soon as a topology is read, here and in Prefect's form alike; what is left
out is derived in `roachmesh/plan.py`.
"""

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Network
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    StrictBool,
    StrictInt,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, InitErrorDetails

from roachmesh import addressing, document, refusals, versions
from roachmesh.addressing import Kind
from roachmesh.errors import InvalidTopology
from roachmesh.fields import (
    CiliumRelease,
    ClientRange,
    ContainerImage,
    ContainerTag,
    DatabaseName,
    HostName,
    ImageVersion,
    ImageWord,
    K3sRelease,
    Location,
    Moment,
    Name,
    Network,
    OperatorRange,
    Release,
    SettingName,
    SettingValue,
    Size,
    UserName,
    VariableName,
    VariableValue,
    X86Word,
)
from roachmesh.forms import may_be_empty
from roachmesh.wording import dotted, mistake, raise_if_any, sentence

MAX_LINES = 20
_UNKNOWN_KEY = "unknown_key"


def _as_form(schema: dict[str, Any]) -> None:
    """Say to Prefect's forms what they cannot see: the fields' order, and what may just be left empty."""
    for position, field in enumerate(schema["properties"].values()):
        field["position"] = position  # Prefect's database keeps no order of its own
        may_be_empty(field)


class Model(BaseModel):
    """Frozen, and a key that does not exist is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra=_as_form)


class Access(Model):
    """Who may reach the machines from outside."""

    operator_cidrs: Annotated[tuple[OperatorRange, ...], AfterValidator(refusals.refuse_operators)] = Field(
        title="Operators' addresses",
        default=(),
        description="Public address ranges that may use SSH, such as 203.0.113.7/32. Left empty, the address "
        "that the first deployment comes from is recorded and kept.",
    )
    nodeport_cidrs: Annotated[tuple[ClientRange, ...], AfterValidator(refusals.refuse_clients)] = Field(
        title="Clients' addresses",
        default=(),
        description="Address ranges outside of the regions that may use poolers and application, such as "
        "203.0.113.0/24. Left empty, nobody outside may.",
    )


class Time(Model):
    """Where machines take the time from; one source for the whole cluster."""

    source: Literal["ptp_hyperv", "ntp"] = Field(
        default="ptp_hyperv",
        description="ptp_hyperv is the clock of the Azure host; a machine without that device says so "
        "and asks the NTP servers. ntp asks them always.",
    )
    ntp_servers: tuple[HostName, ...] = Field(
        title="NTP servers",
        default=("time.windows.com",),
        min_length=1,
        max_length=16,
        description="Host names of NTP servers.",
    )


class Setting(Model):
    """A cluster setting of CockroachDB."""

    name: SettingName = Field(description="Its name, such as kv.rangefeed.enabled.")
    value: SettingValue = Field(description="Its value as text, such as true, 100 or 5m.")


class CockroachDB(Model):
    """The database cluster."""

    version: Release = Field(default=versions.COCKROACHDB, description="Version to install, such as v26.2.2.")
    settings: Annotated[tuple[Setting, ...], AfterValidator(refusals.refuse_twice)] = Field(
        title="Cluster settings",
        default=(),
        max_length=100,
        description="Cluster settings to have; others are left as they are.",
    )
    split_ca: StrictBool = Field(
        title="Split CA",
        default=False,
        description="Whether clients, nodes among them, are certified by an authority of their own; "
        "decided by the first deployment.",
    )


class User(Model):
    """A SQL user, who may make tables in the application's database, and has what he makes."""

    name: UserName = Field(description="The user's name; small letters, digits and underscores.")
    login: Literal["password", "certificate"] = Field(
        default="password",
        description="How it logs in: with a password, which poolers ask for too, or a certificate, which "
        "only nodes accept. Either is made for it; `roachmesh credentials` hands it out.",
    )


class Database(Model):
    """The application's database, in all regions of the topology."""

    name: DatabaseName = Field(default="movr", description="Its name; small letters, digits and underscores.")
    primary_region: Name | None = Field(
        title="Primary region",
        default=None,
        description="Name of the region that rows and tables belong to unless they say otherwise; the first "
        "region when left out.",
    )
    survival: Literal["auto", "zone", "region"] = Field(
        title="Survival goal",
        default="auto",
        description="What it survives the loss of: a zone, or a region, which takes 3 of them and makes "
        "writes slower; auto is a region where there are 3 or more.",
    )
    users: Annotated[tuple[User, ...], AfterValidator(refusals.refuse_twice)] = Field(
        title="SQL users",
        default=(User(name="app"),),
        max_length=100,
        description="SQL users to have; the application is the first with a password.",
    )


class Variable(Model):
    """An environment variable of the application."""

    name: VariableName = Field(description="Its name.")
    value: VariableValue = Field(description="Its value as text; no secrets.")


class Application(Model):
    """What uses the database in every region, by way of the region's pooler if there is one."""

    kind: Literal["none", "movr", "image"] = Field(
        default="none",
        description="movr: CockroachDB's MovR workload in every region. image: a container image of yours in "
        "every region on k3s.",
    )
    rate: StrictInt | None = Field(
        title="Operations per second",
        default=None,
        ge=1,
        le=100_000,
        description="movr only: operations per second in each region at the most, 10 when left out.",
    )
    concurrency: StrictInt | None = Field(
        default=None,
        ge=1,
        le=50,
        description="movr only: how many workers share them in each region, each a process, 1 when left out.",
    )
    image: ContainerImage | None = Field(
        default=None,
        description="image only: the image without its tag, such as docker.io/sosedoff/pgweb.",
    )
    tag: ContainerTag | None = Field(default=None, description="image only: its tag.")
    port: StrictInt | None = Field(
        default=None, ge=1, le=65535, description="image only: the port that it listens on."
    )
    url_variable: VariableName = Field(
        title="Variable of the URL",
        default="DATABASE_URL",
        description="image only: the environment variable in which it looks for the database's URL.",
    )
    environment: Annotated[tuple[Variable, ...], AfterValidator(refusals.refuse_twice)] = Field(
        default=(), max_length=100, description="image only: other environment variables."
    )
    replicas: StrictInt | None = Field(
        default=None, ge=1, le=100, description="image only: pods in each region, 1 when left out."
    )

    @model_validator(mode="after")
    def _refuse(self) -> Self:
        raise_if_any([mistake(*found) for found in refusals.in_application(self)])
        return self


class K3s(Model):
    """Kubernetes in regions of the platform k3s."""

    version: K3sRelease = Field(default=versions.K3S, description="Version to install, such as v1.36.4+k3s1.")


class Cilium(Model):
    """The network of pods, and the mesh of all clusters."""

    version: CiliumRelease = Field(
        default=versions.CILIUM, description="Version of the chart, such as 1.20.5."
    )


class Image(Model):
    """The marketplace image of the machines; Debian 13 is what Roachmesh is tested with."""

    publisher: ImageWord = Field(default="Debian", description="Who publishes the image.")
    offer: ImageWord = Field(default="debian-13", description="The publisher's offer.")
    sku: X86Word = Field(title="SKU", default="13-gen2", description="The offer's variant; for x86-64.")
    version: ImageVersion = Field(default="latest", description="latest, or a version of the image.")


class Region(Model):
    """A region: a k3s cluster, or plain virtual machines."""

    platform: Literal["k3s", "vm"] = Field(
        json_schema_extra={"default": "vm"},  # a form would show an empty field
        description="k3s: a Kubernetes cluster of these machines, with CockroachDB in a pod on each. "
        "vm: CockroachDB as a systemd service on each machine.",
    )
    name: Name = Field(
        description="The region's name, in the database's locality too; small letters, digits and hyphens.",
    )
    location: Location | None = Field(
        title="Azure location",
        default=None,
        description="Azure location, such as eastus; the region's name when left out.",
    )
    nodes: StrictInt = Field(
        default=3,
        ge=1,
        le=200,
        description="How many database nodes, 1 to 200, each on a machine of its own.",
    )
    vnet: Network | None = Field(
        title="Virtual network",
        default=None,
        description="Private range of the virtual network, such as 10.1.0.0/16; derived when left out.",
    )
    subnet: Network | None = Field(
        title="Subnet",
        default=None,
        description="Range of the nodes, inside the virtual network, given too; derived when left out.",
    )
    zones: Annotated[tuple[Literal["1", "2", "3"], ...], Field(max_length=3)] | None = Field(
        title="Availability zones",
        default=None,
        description="Availability zones to spread nodes over; all of the location's when left out. "
        "A file may say [] for an availability set.",
    )
    size: Size = Field(
        title="VM size",
        default="Standard_D4s_v5",
        description="Azure VM size, x86-64 and with Premium SSDs; CockroachDB wants 4 vCPUs, 2 at the least.",
    )
    os_disk_gib: StrictInt = Field(
        title="System disk, GiB", default=64, ge=30, le=4095, description="Space for the system, 30 to 4095."
    )
    data_disk_gib: StrictInt = Field(
        title="Data disk, GiB",
        default=128,
        ge=4,
        le=32767,
        description="Space for the database's store, on a disk of its own, 4 to 32767.",
    )

    servers: StrictInt | None = Field(
        title="k3s servers",
        default=None,
        ge=1,
        le=7,
        description="k3s only: how many nodes are servers with etcd, an odd number; the others are agents. "
        "Left out: 3, or 1 of fewer than 3 nodes.",
    )
    pods: Network | None = Field(
        title="Pods",
        default=None,
        description="k3s only: range of the pods, such as 10.10.0.0/16, a /24 of it for each node; "
        "derived when left out.",
    )
    services: Network | None = Field(
        title="Services",
        default=None,
        description="k3s only: range of the cluster's Services, such as 10.20.0.0/16; derived when left out.",
    )
    cluster_id: StrictInt | None = Field(
        title="Cilium cluster id",
        default=None,
        ge=1,
        le=255,
        description="k3s only: the cluster's number in the mesh, 1 to 255; derived when left out.",
    )

    @model_validator(mode="after")
    def _refuse(self) -> Self:
        raise_if_any([mistake(*found) for found in refusals.in_region(self)])
        return self


def seed_regions() -> tuple[Region, ...]:
    """Give the seed's regions: three nodes each, eastus and westus on k3s, northeurope on plain machines."""
    k3s = tuple(Region(platform="k3s", name=name) for name in ("eastus", "westus"))
    return (*k3s, Region(platform="vm", name="northeurope"))


class Topology(Model):
    """One CockroachDB cluster over any number of regions."""

    name: Name = Field(
        default="roachmesh",
        description="Names the resource group, one per subscription; small letters, digits and hyphens.",
    )
    regions: Annotated[tuple[Region, ...], BeforeValidator(refusals.refuse_too_many)] = Field(
        default_factory=seed_regions, min_length=1, description="The regions, at least one."
    )
    access: Access = Access()
    time: Time = Time()
    cockroachdb: CockroachDB = CockroachDB()
    database: Database = Database()
    pooler: Annotated[Literal["pgbouncer", "none"], BeforeValidator(refusals.refuse_pgpool)] = Field(
        default="pgbouncer",
        description="What pools connections to the database in every region: PgBouncer, or nothing.",
    )
    application: Application = Application()
    k3s: K3s = K3s()
    cilium: Cilium = Cilium()
    image: Image = Image()
    expires: Moment | None = Field(
        default=None,
        description="From when on `sweep` deletes it all, such as 2026-12-01T06:00:00Z; never when left out.",
    )

    @model_validator(mode="wrap")
    @classmethod
    def _refuse(cls, data: Any, read: ModelWrapValidatorHandler[Self]) -> Self:
        """Say every mistake that can be found at once, in our words, whoever asks."""
        mistakes: list[InitErrorDetails] = []
        try:
            topology = read(data)
            regions = dict(enumerate(topology.regions))
            names = {i: region.name for i, region in regions.items()}
            places = {i: region.location or region.name for i, region in regions.items()}
            ranges = {key: network for i, region in regions.items() for key, network in ranges_of(i, region)}
            ids = {i: region.cluster_id for i, region in regions.items() if region.cluster_id}
            clusters = {i: region.nodes for i, region in regions.items() if region.platform == "k3s"}
            mistakes += [mistake(*found) for found in refusals.k3s_nodes(clusters)]
            mistakes += [mistake(*found) for found in refusals.in_database(topology)]
            mistakes += [mistake(*found) for found in refusals.of_application(topology)]
        except ValidationError as exc:
            # A list whose items are all wrong is not empty, although pydantic says so too.
            found = exc.errors(include_url=False)
            errors = [error for error in found if error["type"] != "too_short" or not error["input"]]
            mistakes = [_reworded(error) for error in errors]
            names, places, ranges, ids = _well_formed(data, {error["loc"][:3] for error in errors})
        mistakes += [mistake(*found) for found in refusals.across(names, places, ranges, ids)]
        raise_if_any(mistakes)
        return topology


def ranges_of(index: int, region: Region) -> Iterator[tuple[tuple[int, Kind], IPv4Network | None]]:
    """Give the ranges that a region has, each by the region's index and its kind; None where left out."""
    yield (index, "vnet"), region.vnet
    if region.platform == "k3s":
        yield (index, "pods"), region.pods
        yield (index, "services"), region.services


DEFAULT = Topology()


def parse(value: Any) -> Topology:
    """Check a topology that was read from YAML or JSON.

    Raises:
        InvalidTopology: a line for each mistake, with the field's path and what to write instead.
    """
    try:
        return Topology.model_validate(value)
    except ValidationError as exc:
        lines = [f"{dotted(error['loc'])}: {error['msg']}" for error in exc.errors()]
        raise InvalidTopology(_at_most(lines)) from exc


def load(path: Path) -> Topology:
    """Read a topology from a YAML file.

    Raises:
        InvalidTopology: the file cannot be read, is no YAML, or says what cannot work; then a line for each
            mistake, with its line and column.
    """
    written = document.read(path)
    mistakes = list(written.mistakes)
    try:
        topology = Topology.model_validate(written.value)
    except ValidationError as exc:
        mistakes += [
            document.Mistake(
                written.find(error["loc"], key=error["type"] == _UNKNOWN_KEY), error["loc"], error["msg"]
            )
            for error in exc.errors()
        ]
    if mistakes:
        where = document.shown_path(path)
        lines = [
            f"{where}:{position.line}:{position.column}: {dotted(location)}: {message}"
            for position, location, message in sorted(mistakes, key=lambda found: found.position)
        ]
        raise InvalidTopology(_at_most(lines))
    return topology


def _at_most(lines: list[str]) -> str:
    more = [f"and {len(lines) - MAX_LINES} more."] if len(lines) > MAX_LINES else []
    return "\n".join(lines[:MAX_LINES] + more)


def _reworded(error: ErrorDetails) -> InitErrorDetails:
    location = error["loc"]
    about = location if error["type"] == "model_type" else location[:-1]
    kind = _UNKNOWN_KEY if error["type"] == "extra_forbidden" else "refused"
    return mistake(location, sentence(error, _model_at(about).model_fields), error["input"], kind)


def _model_at(location: Iterable[int | str]) -> type[BaseModel]:
    """Find the model that stands at a location, or the last one on the way there."""
    model: type[BaseModel] = Topology
    for key in location:
        field = model.model_fields.get(str(key))
        types = (field.annotation, *get_args(field.annotation)) if field else ()
        model = next((t for t in types if isinstance(t, type) and issubclass(t, BaseModel)), model)
    return model


def _well_formed(
    data: Any, wrong: set[tuple[int | str, ...]]
) -> tuple[dict[int, str], dict[int, str], dict[tuple[int, Kind], IPv4Network | None], dict[int, int]]:
    """Read what is right of names, locations, ranges and ids, to compare that whatever else is wrong."""
    names: dict[int, str] = {}
    places: dict[int, str] = {}
    ranges: dict[tuple[int, Kind], IPv4Network | None] = {}
    ids: dict[int, int] = {}
    regions = data.get("regions") if isinstance(data, Mapping) else None
    if not isinstance(regions, list) or ("regions",) in wrong:
        return names, places, ranges, ids
    for i, region in enumerate(regions):
        given = region if isinstance(region, Mapping) else {}
        right = {key: value for key, value in given.items() if value and ("regions", i, key) not in wrong}
        if "name" in right:
            names[i] = places[i] = right["name"]
        if "location" in right:
            places[i] = right["location"]
        for kind in get_args(Kind):
            if kind in right:
                ranges[i, kind] = addressing.read_range(right[kind])
        if "cluster_id" in right:
            ids[i] = right["cluster_id"]
    return names, places, ranges, ids
