"""Every kind of fault: what it does (its docstring), and what can be said of it (its fields).

`python -m sandbox fault kinds` prints these; adding a kind is a class here, a place where it strikes, a test.
"""

from collections.abc import Iterator
from ipaddress import IPv4Network
from typing import Annotated, Literal, Self, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from sandbox.faults.refusals import REFUSALS


class Fault(BaseModel):
    """Something that goes wrong until it is cleared."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class _Passing(Fault):
    for_s: float | None = Field(None, gt=0, description="seconds until it is over by itself")


class Throttle(_Passing):
    """ARM answers every request with 429 and Retry-After."""

    kind: Literal["throttle"] = "throttle"
    retry_after_s: int = Field(5, ge=0, description="seconds that Retry-After asks for")


class Refuse(_Passing):
    """ARM refuses writes of a type with one of Azure's errors, in Azure's words."""

    kind: Literal["refuse"] = "refuse"
    type: str = Field(description="virtualMachines, or any other type, or * for all")
    code: str = Field(description=", ".join(REFUSALS))
    times: int = Field(1, ge=1, description="how many writes")

    @field_validator("code")
    @classmethod
    def _known(cls, code: str) -> str:
        if code not in REFUSALS:
            raise ValueError(f"unknown; there are {', '.join(REFUSALS)}")
        return code

    @model_validator(mode="after")
    def _strikes(self) -> Self:
        if REFUSALS[self.code].at_boot and self.type.lower() != "virtualmachines":
            raise ValueError(f"{self.code} concerns type=virtualMachines only")
        return self


class Credential(_Passing):
    """The client secret has expired: no new tokens, and those that are out are refused."""

    kind: Literal["credential"] = "credential"


class Slow(_Passing):
    """Operations take as long as Azure's typically do, times a factor."""

    kind: Literal["slow"] = "slow"
    factor: float = Field(1.0, gt=0, le=100, description="1 is Azure's own pace: 49 s for a machine")


class NoBoot(Fault):
    """A machine panics whenever it boots."""

    kind: Literal["no-boot"] = "no-boot"
    machine: str = Field(description="its name, also of one that does not exist yet, or * for all")


class Lose(Fault):
    """A machine dies at once, as if its host had; start it to have it again. Nothing to clear."""

    kind: Literal["lose"] = "lose"
    machine: str = Field(description="its name")


class Cut(Fault):
    """Packets are lost in silence, both ways, also those of open connections, while ARM says all is well."""

    kind: Literal["cut"] = "cut"
    between: str = Field(
        description="two regions or machines (eastus,westus), or one, which is then cut off from all, you too"
    )

    only: str | None = Field(
        None, description="ranges (10.10.0.0/16,10.11.0.0/16), as of pods: no packets but from or to them"
    )

    @property
    def ends(self) -> list[str]:
        """The one or two places, as given."""
        return [end.strip() for end in self.between.split(",")]

    @property
    def prefixes(self) -> tuple[IPv4Network, ...]:
        """The ranges; none stand for all packets."""
        return tuple(IPv4Network(text.strip()) for text in (self.only or "").split(",") if text)

    @field_validator("between")
    @classmethod
    def _one_or_two(cls, between: str) -> str:
        if not 1 <= len([end for end in between.split(",") if end.strip()]) == between.count(",") + 1 <= 2:
            raise ValueError("name one or two regions or machines, with a comma between them")
        return between

    @field_validator("only")
    @classmethod
    def _ranges(cls, only: str | None) -> str | None:
        for text in only.split(",") if only is not None else []:
            IPv4Network(text.strip())
        return only


class Mirror(Fault):
    """The artifact mirror is of no use."""

    kind: Literal["mirror"] = "mirror"
    answer: Literal["checksum", "unavailable"] = Field(
        description="checksum: the checksums it serves are wrong; unavailable: 503 for every file and image"
    )


class FullDisk(Fault):
    """The data disks of a machine are full, to the last block; clearing frees them."""

    kind: Literal["full-disk"] = "full-disk"
    machine: str = Field(description="its name; it runs, and has mounted its data disks")


class NoTime(Fault):
    """The time server is gone."""

    kind: Literal["no-time"] = "no-time"


AnyFault = Throttle | Refuse | Credential | Slow | NoBoot | Lose | Cut | Mirror | FullDisk | NoTime
KINDS: tuple[type[Fault], ...] = get_args(AnyFault)
_ADAPTER: TypeAdapter[Fault] = TypeAdapter(Annotated[AnyFault, Field(discriminator="kind")])


class InvalidFault(ValueError):
    """There is no such fault; the message is a sentence."""


def parse(document: object) -> Fault:
    """Read a fault, its values as text or as they are.

    Raises:
        InvalidFault: a kind or field that there is not, or a value that cannot be.
    """
    try:
        return _ADAPTER.validate_python(document)
    except ValidationError as error:
        found = [(".".join(map(str, one["loc"][1:])), one["msg"]) for one in error.errors()]
        raise InvalidFault("; ".join(f"{name}: {text}" if name else text for name, text in found)) from error


def described() -> Iterator[str]:
    """Every kind for people: its name, what it does, what can be said of it."""
    for kind in KINDS:
        yield f"{kind.model_fields['kind'].default}: {(kind.__doc__ or '').strip()}"
        for name, field in kind.model_fields.items():
            if name != "kind":
                default = (
                    "" if field.is_required() or field.default is None else f" (default {field.default})"
                )
                yield f"    {name}=  {field.description}{default}"
