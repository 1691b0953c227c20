"""The kinds of values that a topology is made of, each so narrow that nothing hostile fits."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Network
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StrictStr,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, core_schema

from roachmesh import addressing, locations, names, sizes, versions
from roachmesh.wording import shown, strange_character

# The oldest release that its makers still support. Source: CockroachDB's "Release Support Policy".
OLDEST_COCKROACHDB = "v24.3.0"

# Source: pkg/security/username of cockroachdb/cockroach; the last one is what `verify` logs in as.
RESERVED_USERS = ("root", "admin", "node", "none", "public", names.VERIFY_USER)


@dataclass(frozen=True)
class Word:
    """Text of a shape so narrow that nothing in it means anything to a shell, SQL or a configuration.

    Attributes:
        pattern: The shape, over plain ASCII; a form in the UI checks it too.
        wanted: What to write, for whoever wrote something else.
        mend: What a near miss was probably meant to be.
    """

    pattern: str
    wanted: str
    mend: Callable[[str], str] = str

    def check(self, text: str) -> str:
        """Pass on text of that shape."""
        if re.fullmatch(self.pattern, text):
            return text
        mended = self.mend(text)
        example = mended if re.fullmatch(self.pattern, mended) else self.wanted
        raise ValueError(f"{shown(text)} does not fit{strange_character(text)}; write {example}.")

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> Any:
        return {**handler(schema), "pattern": f"^(?:{self.pattern})$"}


def _sql_name(example: str) -> Word:
    return Word(
        r"[a-z][a-z0-9_]{0,62}",
        f"1 to 63 small letters, digits and underscores, beginning with a letter, such as {example}",
        lambda text: re.sub("[ -]", "_", text.lower()),
    )


def _mend_name(text: str) -> str:
    return re.sub("[ _]", "", text.lower())


def _mend_size(text: str) -> str:
    return re.sub("(?i)^(standard_)?([a-z]+)", lambda found: f"Standard_{found[2].upper()}", text)


def _refuse_old(version: str) -> str:
    if _release(version) < _release(OLDEST_COCKROACHDB):
        raise ValueError(
            f"{version} is older than {OLDEST_COCKROACHDB}, the oldest that is supported; write "
            f"{versions.COCKROACHDB}, for instance."
        )
    return version


def _release(version: str) -> list[int]:
    return [int(number) for number in version.removeprefix("v").split(".")]


def _refuse_system(name: str) -> str:
    if name in ("system", "pgbouncer"):
        owner = "CockroachDB" if name == "system" else "PgBouncer"
        raise ValueError(f"{name} is {owner}'s own; write another, such as movr.")
    return name


def _refuse_reserved(user: str) -> str:
    if user in RESERVED_USERS or user.startswith(("pg_", "crdb_")):
        raise ValueError(f"{user} is a name that CockroachDB or Roachmesh keeps; write another, such as app.")
    return user


def _refuse_kept_elsewhere(setting: str) -> str:
    if setting in ("enterprise.license", "cluster.organization"):
        raise ValueError(f"{setting} is kept out of topologies; write it into a block CockroachDB Licence.")
    return setting


def _refuse_no_date(moment: str) -> str:
    try:
        datetime.fromisoformat(moment)
    except ValueError as exc:
        raise ValueError(f"{moment} is no time ({exc}); write one such as 2026-12-01T06:00:00Z.") from exc
    return moment


def _refuse_arm64(sku: str) -> str:
    if "arm64" in sku.lower():
        raise ValueError(f"{shown(sku)} is for ARM64 and CockroachDB is installed for x86-64; write 13-gen2.")
    return sku


Name = Annotated[
    StrictStr,
    Word(
        r"[a-z]([a-z0-9-]{0,22}[a-z0-9])?",
        "1 to 24 small letters, digits and hyphens, beginning with a letter, such as eastus",
        _mend_name,
    ),
]
DatabaseName = Annotated[
    StrictStr,
    _sql_name("movr"),
    AfterValidator(_refuse_system),
]
UserName = Annotated[
    StrictStr,
    _sql_name("app"),
    AfterValidator(_refuse_reserved),
]
Moment = Annotated[
    StrictStr,
    Word(
        r"20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z",
        "a time in UTC, such as 2026-12-01T06:00:00Z",
        lambda text: text.replace(" ", "T").removesuffix("+00:00").removesuffix("Z") + "Z",
    ),
    AfterValidator(_refuse_no_date),
]
SettingName = Annotated[
    StrictStr,
    Word(
        r"[a-z][a-z0-9_]{0,63}(\.[a-z0-9_]{1,64}){1,8}",
        "a cluster setting, such as kv.rangefeed.enabled",
        str.lower,
    ),
    AfterValidator(_refuse_kept_elsewhere),
]
SettingValue = Annotated[
    StrictStr,
    Word(
        r"-?[A-Za-z0-9][A-Za-z0-9._-]{0,199}",
        "a value in quotes, of letters, digits, dots, hyphens, underscores",
    ),
]
Location = Annotated[
    StrictStr,
    Word(r"[a-z0-9]{1,40}", "an Azure location in small letters and digits, such as eastus", _mend_name),
    AfterValidator(locations.refuse),
]
Release = Annotated[
    StrictStr,
    Word(
        r"v[0-9]{2}\.[0-9]{1,2}\.[0-9]{1,3}",
        f"a release in full, such as {versions.COCKROACHDB}",
        lambda text: f"v{text}",
    ),
    AfterValidator(_refuse_old),
]
K3sRelease = Annotated[
    StrictStr,
    Word(
        r"v1\.[0-9]{2}\.[0-9]{1,2}\+k3s[0-9]",
        f"a release in full, such as {versions.K3S}",
        lambda text: f"v{text}",
    ),
]
CiliumRelease = Annotated[
    StrictStr,
    Word(
        r"1\.[0-9]{2}\.[0-9]{1,2}",
        f"a release in full, such as {versions.CILIUM}",
        lambda text: text.removeprefix("v"),
    ),
]
Size = Annotated[
    StrictStr,
    Word(sizes.PATTERN, "an Azure VM size, such as Standard_D4s_v5", _mend_size),
    AfterValidator(sizes.refuse),
]
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_BYTE = r"(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
HostName = Annotated[
    StrictStr,
    Word(
        rf"{_BYTE}(\.{_BYTE}){{3}}|(?![0-9.]*$)(?!.{{254}}){_LABEL}(\.{_LABEL})*",
        "a host name or IPv4 address, such as time.windows.com",
    ),
]
ImageWord = Annotated[
    StrictStr, Word(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", "letters, digits, dots, hyphens and underscores")
]
X86Word = Annotated[ImageWord, AfterValidator(_refuse_arm64)]
ImageVersion = Annotated[
    StrictStr,
    Word(r"latest|[0-9]{1,9}(\.[0-9]{1,9}){2}", "latest, or a version of the image such as 0.20260101.1"),
]

_PART = r"[a-z0-9]+([._-][a-z0-9]+)*"
ContainerImage = Annotated[
    StrictStr,
    Word(
        rf"(?=.{{1,200}}$){_PART}(/{_PART}){{1,7}}",
        "an image with its registry and without its tag, such as docker.io/sosedoff/pgweb",
    ),
]
ContainerTag = Annotated[
    StrictStr, Word(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", "the image's tag in quotes, such as '0.16.2'")
]
VariableName = Annotated[
    StrictStr,
    Word(r"[A-Za-z_][A-Za-z0-9_]{0,127}", "letters, digits and underscores, such as LOG_LEVEL"),
]
VariableValue = Annotated[
    StrictStr,
    Word(
        r"(?=.{1,200}$)[A-Za-z0-9][A-Za-z0-9_-]*([./][A-Za-z0-9_-]+)*",
        "up to 200 letters, digits, hyphens, underscores, with dots and slashes between, in quotes",
    ),
]

# A form knows no type of address ranges.
_RANGE_IN_A_FORM = WithJsonSchema({"type": "string", "pattern": f"^{addressing.RANGE.pattern}$"})
Network = Annotated[
    IPv4Network,
    BeforeValidator(addressing.read_range),
    AfterValidator(addressing.refuse_network),
    _RANGE_IN_A_FORM,
]
OperatorRange = Annotated[
    IPv4Network,
    BeforeValidator(addressing.read_range),
    AfterValidator(addressing.refuse_operator),
    _RANGE_IN_A_FORM,
]
ClientRange = Annotated[IPv4Network, BeforeValidator(addressing.read_range), _RANGE_IN_A_FORM]
