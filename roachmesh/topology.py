"""The topology: the one input, as a person writes it.

What is left out is derived in `roachmesh/plan.py`; what cannot work is refused there, before
anything is created.
"""

from ipaddress import IPv4Network
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from roachmesh import versions
from roachmesh.errors import InvalidTopology

Name = Annotated[str, Field(pattern=r"^[a-z]([a-z0-9-]*[a-z0-9])?$", max_length=24)]


class Model(BaseModel):
    """Frozen, and a key that does not exist is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Access(Model):
    """Who may reach the machines from outside."""

    operator_cidrs: tuple[IPv4Network, ...] = Field(
        default=(),
        description="Address ranges that may use SSH. Left empty, the public address that the first "
        "deployment comes from is recorded and kept.",
    )


class Time(Model):
    """Where machines take the time from; one source for the whole cluster."""

    source: Literal["ptp_hyperv", "ntp"] = Field(
        default="ptp_hyperv",
        description="`ptp_hyperv` is the clock of the Azure host; a machine without that device says so "
        "and asks the NTP servers. `ntp` asks them always.",
    )
    ntp_servers: tuple[str, ...] = Field(
        default=("time.windows.com",), min_length=1, description="Host names of NTP servers."
    )


class CockroachDB(Model):
    """The database."""

    version: str = Field(
        default=versions.COCKROACHDB,
        pattern=r"^v\d{2}\.\d{1,2}\.\d{1,3}$",
        description="Version to install, such as v26.2.2.",
    )


class Image(Model):
    """The marketplace image of the machines; Debian 13 is what Roachmesh is tested with."""

    publisher: str = "Debian"
    offer: str = "debian-13"
    sku: str = "13-gen2"
    version: str = "latest"


class VmRegion(Model):
    """A region whose nodes are plain virtual machines."""

    platform: Literal["vm"] = Field(description="`vm`: CockroachDB as a systemd service on each machine.")
    name: Name = Field(description="The region's name, in the database's locality too.")
    location: str | None = Field(
        default=None, pattern=r"^[a-z0-9]+$", description="Azure location; the region's name when left out."
    )
    nodes: int = Field(default=3, ge=1, le=200, description="How many database nodes.")
    vnet: IPv4Network | None = Field(
        default=None, description="Address range of the virtual network; derived when left out."
    )
    subnet: IPv4Network | None = Field(
        default=None, description="Address range of the nodes, inside `vnet`; derived when left out."
    )
    zones: tuple[Literal["1", "2", "3"], ...] | None = Field(
        default=None,
        description="Availability zones to spread nodes over; all of the location's when left out, "
        "[] for an availability set.",
    )
    size: str = Field(
        default="Standard_D4s_v5",
        pattern=r"^Standard_[A-Z]+[0-9]+[A-Za-z0-9_-]*$",
        description="Azure VM size; CockroachDB wants 4 vCPUs or more, 2 at the least.",
    )
    os_disk_gib: int = Field(default=64, ge=30, le=4095, description="System disk, GiB.")
    data_disk_gib: int = Field(default=128, ge=4, le=32767, description="Disk of the store, GiB.")


# A union on `platform` as soon as there is a second platform.
Region = VmRegion


def seed_regions() -> tuple[Region, ...]:
    """Give the seed's regions: three nodes each in eastus, westus and northeurope."""
    return tuple(VmRegion(platform="vm", name=name) for name in ("eastus", "westus", "northeurope"))


class Topology(Model):
    """One CockroachDB cluster over any number of regions."""

    name: Name = Field(default="roachmesh", description="Names the resource group; unique per subscription.")
    regions: tuple[Region, ...] = Field(
        default_factory=seed_regions, min_length=1, description="The regions, at least one."
    )
    access: Access = Access()
    time: Time = Time()
    cockroachdb: CockroachDB = CockroachDB()
    image: Image = Image()


DEFAULT = Topology()


def parse(document: Any) -> Topology:
    """Check a document that was read from YAML or JSON.

    Raises:
        InvalidTopology: a line for each field that is wrong, with its path.
    """
    try:
        return Topology.model_validate(document)
    except ValidationError as exc:
        lines = [f"{_path(error['loc'])}: {error['msg']}" for error in exc.errors()]
        raise InvalidTopology("\n".join(lines)) from exc


def load(path: Path) -> Topology:
    """Read a topology from a YAML file.

    Raises:
        InvalidTopology: the file cannot be read, is no YAML, or says what cannot work.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as exc:
        raise InvalidTopology(f"cannot read the topology: {exc}", where=str(path)) from exc
    except yaml.YAMLError as exc:
        raise InvalidTopology(f"this is not YAML: {exc}", where=str(path)) from exc
    try:
        return parse(document)
    except InvalidTopology as exc:
        raise InvalidTopology(exc.message, where=str(path)) from exc


def _path(location: tuple[int | str, ...]) -> str:
    """Write a pydantic location as a person would: `regions[1].vnet`."""
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return path.lstrip(".") or "topology"
