"""Custom data: the part of cloud-config that the sandbox applies; any other key is refused aloud."""

import base64
import binascii
import gzip
import shlex
import zlib
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

_HEADER = "#cloud-config"
_BASE64 = {"b64", "base64"}
_GZIP = {"gz", "gzip"}
_PLAIN = {"text/plain"}


class UnsupportedCustomData(ValueError):
    """Custom data asks for what the sandbox cannot do; the message names the key."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class HostKeys(_Part):
    """Host keys of sshd; what is not given does not exist."""

    rsa_private: str | None = None
    rsa_public: str | None = None
    ecdsa_private: str | None = None
    ecdsa_public: str | None = None
    ed25519_private: str | None = None
    ed25519_public: str | None = None


class WriteFile(_Part):
    """A file; its owner must exist before users are made, unless it is deferred, as in cloud-init."""

    path: str = Field(pattern="^/")
    content: str | bytes = ""
    encoding: str = "text/plain"
    owner: str = "root:root"
    permissions: str | int = 0o644
    defer: bool = False

    @field_validator("encoding")
    @classmethod
    def _known(cls, encoding: str) -> str:
        if not set(encoding.lower().split("+")) <= _BASE64 | _GZIP | _PLAIN:
            raise ValueError(f"unknown encoding {encoding!r}")
        return encoding.lower()

    @property
    def mode(self) -> int:
        """Permissions as a number; as text they are octal."""
        return int(self.permissions, 8) if isinstance(self.permissions, str) else self.permissions

    @property
    def decoded(self) -> bytes:
        """The content that the file gets."""
        data = self.content.encode() if isinstance(self.content, str) else self.content
        steps = set(self.encoding.split("+"))
        if steps & _BASE64:
            data = base64.b64decode(data)
        return gzip.decompress(data) if steps & _GZIP else data


class User(_Part):
    """A user besides the administrator; nobody has a password."""

    name: str = Field(pattern=r"^[a-z_][a-z0-9_-]*$")
    gecos: str = ""
    groups: str | tuple[str, ...] = ()
    sudo: str | tuple[str, ...] | Literal[False] | None = None
    shell: str = "/bin/bash"
    system: bool = False
    lock_passwd: Literal[True] = True
    ssh_authorized_keys: tuple[str, ...] = ()

    @property
    def group_names(self) -> list[str]:
        """Supplementary groups."""
        groups = self.groups.split(",") if isinstance(self.groups, str) else self.groups
        return [group.strip() for group in groups if group.strip()]

    @property
    def sudo_rules(self) -> list[str]:
        """What follows the name in sudoers."""
        return [self.sudo] if isinstance(self.sudo, str) else list(self.sudo or ())


class CloudConfig(_Part):
    """A cloud-config document, as far as the sandbox supports it.

    Attributes:
        ssh_deletekeys: Accepted; a machine never starts with the keys of its image.
        users: `default` stands for the administrator, who is left out if a list lacks it.
        runcmd: Runs once, at the end of the first boot.
    """

    hostname: str | None = None
    ssh_deletekeys: bool = True
    ssh_keys: HostKeys | None = None
    ssh_authorized_keys: tuple[str, ...] = ()
    users: tuple[Literal["default"] | User, ...] = ("default",)
    write_files: tuple[WriteFile, ...] = ()
    runcmd: tuple[str | tuple[str, ...], ...] = ()

    @property
    def script(self) -> str:
        """The commands of `runcmd` as a shell script."""
        lines = (line if isinstance(line, str) else shlex.join(line) for line in self.runcmd)
        return "".join(f"{line}\n" for line in lines)


def parse(custom_data: str) -> CloudConfig:
    """Read custom data; none at all asks for nothing.

    Raises:
        UnsupportedCustomData: it is no cloud-config, or holds a key that the sandbox does not apply.
    """
    if not custom_data.strip():
        return CloudConfig()
    if custom_data.split("\n", 1)[0].strip() != _HEADER:
        raise UnsupportedCustomData(
            f"custom data must begin with {_HEADER}: the sandbox applies nothing else"
        )
    try:
        config = CloudConfig.model_validate(yaml.safe_load(custom_data) or {})
        for file in config.write_files:
            _ = file.mode, file.decoded
    except yaml.YAMLError as error:
        raise UnsupportedCustomData(f"custom data is not YAML: {error}") from error
    except ValidationError as error:
        raise UnsupportedCustomData(_sentence(error)) from error
    except (binascii.Error, gzip.BadGzipFile, zlib.error, EOFError, ValueError) as error:
        raise UnsupportedCustomData(f"custom data: a file in write_files does not decode: {error}") from error
    return config


def _sentence(error: ValidationError) -> str:
    """Name the keys, and never the values: custom data carries secrets."""
    problems = {".".join(map(str, one["loc"])): _problem(one["type"], one["msg"]) for one in error.errors()}
    supported = ", ".join(CloudConfig.model_fields)
    listed = "; ".join(f"`{key}` {problem}" for key, problem in problems.items())
    return f"custom data: {listed}. Supported keys: {supported}"


def _problem(kind: str, message: str) -> str:
    return "is not supported by the sandbox" if kind == "extra_forbidden" else message
