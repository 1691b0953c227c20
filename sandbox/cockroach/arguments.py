"""The command line: which commands and flags there are, and what is said about any other.

Source: pkg/cli/cli.go and pkg/cli/exit/codes.go of cockroachdb/cockroach (flag errors exit with 4).
"""

import os
import re
from dataclasses import dataclass, field

CLIENT_FLAGS = "certs-dir host port user"
_WORKLOAD_FLAGS = "concurrency db num-histories num-promo-codes num-rides num-users num-vehicles seed"
SHORTHANDS = {
    "a": "attrs",
    "d": "database",
    "e": "execute",
    "f": "file",
    "j": "join",
    "p": "port",
    "s": "store",
    "u": "user",
}


@dataclass(frozen=True)
class Command:
    """A command's flags: those that take a value, and those that do not."""

    summary: str
    options: str = ""
    switches: str = ""


COMMANDS = {
    "start": Command(
        "start a node in a multi-node cluster",
        "advertise-addr advertise-sql-addr attrs cache certs-dir cluster-name http-addr join listen-addr "
        "locality locality-advertise-addr log max-offset max-sql-memory sql-addr store",
        "background insecure logtostderr",
    ),
    "init": Command("initialize a cluster", CLIENT_FLAGS + " cluster-name", "insecure"),
    "node status": Command("shows the status of a node or all nodes", CLIENT_FLAGS + " format", "insecure"),
    "sql": Command("open a sql shell", CLIENT_FLAGS + " database execute file format", "insecure"),
    "workload init movr": Command("set up tables for MovR", _WORKLOAD_FLAGS, "drop"),
    "workload run movr": Command(
        "run MovR's operations against a cluster",
        _WORKLOAD_FLAGS + " display-every duration max-rate",
        "tolerate-errors",
    ),
    "version": Command("output version information", "", "build-tag"),
}

# Flags of the real one's that would do nothing here; they are refused in these words.
NOT_EMULATED = {
    "workload init movr": "data-loader init-conns method multi-region num-ranges password pprofport "
    "prometheus-port secure survive user",
    "workload run movr": "count-errors display-format drop histograms init max-ops method multi-region "
    "num-ranges password pprofport prometheus-port ramp secure survive user with-changefeed",
}

_DURATION = r"0|(\d+(\.\d+)?(ns|us|ms|s|m|h))+"
_NUMBER = r"\d+"
_SIZE = r"\.\d+|\d+(\.\d+)?(%|([kKMGT]i?)?B?)"
VALUE_FORMS = {
    "cache": (_SIZE, "a size or a share of memory"),
    "max-sql-memory": (_SIZE, "a size or a share of memory"),
    "max-offset": (_DURATION, "a duration with its unit"),
    "display-every": (_DURATION, "a duration with its unit"),
    "duration": (_DURATION, "a duration with its unit"),
    "max-rate": (r"\d+(\.\d+)?", "a number"),
    **{flag: (_NUMBER, "a whole number") for flag in _WORKLOAD_FLAGS.split() if flag != "db"},
    "locality": (r"[^=,]+=[^=,]+(,[^=,]+=[^=,]+)*", 'tiers in the form "key=value"'),
}


class CommandError(Exception):
    """A command ends here, with this message and this exit code."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class FlagError(CommandError):
    """A flag is unknown, or its value is missing or malformed."""

    def __init__(self, message: str) -> None:
        super().__init__(message, exit_code=4)


@dataclass
class Invocation:
    """A parsed command line; flags keep every value that was given, in order."""

    command: str
    flags: dict[str, list[str]] = field(default_factory=dict)
    arguments: list[str] = field(default_factory=list)

    def get(self, flag: str, default: str = "") -> str:
        """Return the last value given, else `COCKROACH_<FLAG>` of the environment, else the default."""
        if flag in self.flags:
            return self.flags[flag][-1]
        return os.environ.get("COCKROACH_" + flag.upper().replace("-", "_"), default)


def find_command(words: list[str]) -> str:
    """Return the command that the first words name.

    Raises:
        CommandError: there is no such command.
    """
    for length in (3, 2, 1):
        name = " ".join(words[:length])
        if name in COMMANDS:
            return name
    parents = {name.split()[0] for name in COMMANDS if " " in name}
    if words[0] in parents:
        raise CommandError(f'unknown sub-command: "{" ".join(words[1:])}"')
    raise CommandError(f'unknown command "{words[0]}" for "cockroach"')


def parse(name: str, words: list[str]) -> Invocation:
    """Read the flags and arguments that follow a command's name.

    Raises:
        FlagError: as pflag would say it.
    """
    command = COMMANDS[name]
    invocation = Invocation(name)
    remaining = list(words)
    while remaining:
        word = remaining.pop(0)
        if not word.startswith("-") or word == "-":
            invocation.arguments.append(word)
            continue
        flag, value = _split(word, name)
        if flag in command.switches.split():
            value = "true" if value is None else value
        elif value is None:
            if not remaining:
                raise FlagError(f"flag needs an argument: {word}")
            value = remaining.pop(0)
        form, meaning = VALUE_FORMS.get(flag, (".*", ""))
        if not re.fullmatch(form, value, re.DOTALL):
            raise FlagError(f'invalid argument "{value}" for "--{flag}" flag: expected {meaning}')
        invocation.flags.setdefault(flag, []).append(value)
    return invocation


def _split(word: str, name: str) -> tuple[str, str | None]:
    known = f"{COMMANDS[name].options} {COMMANDS[name].switches}".split()
    if word.startswith("--"):
        flag, equals, value = word[2:].partition("=")
        if flag in NOT_EMULATED.get(name, "").split():
            raise FlagError(f"the stand-in does not emulate --{flag}")
        if flag not in known:
            raise FlagError(f"unknown flag: --{flag}")
        return flag, value if equals else None
    flag = SHORTHANDS.get(word[1], "")
    if flag not in known:
        raise FlagError(f"unknown shorthand flag: '{word[1]}' in {word}")
    return flag, word[2:].removeprefix("=") or None


def duration_s(text: str) -> float:
    """Return the seconds of a duration as Go writes it, such as 1m30s."""
    units = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
    parts = re.findall(r"(\d+(?:\.\d+)?)(ns|us|ms|s|m|h)", text)
    return sum((float(number) * units[unit] for number, unit in parts), 0.0)


def split_address(address: str, default_host: str = "", default_port: int = 26257) -> tuple[str, int]:
    """Split `host:port`, either of which may be left out; IPv6 in brackets.

    Raises:
        CommandError: the port is no number.
    """
    host, colon, port = address.rpartition(":")
    if not colon or address.endswith("]"):
        host, port = address, ""
    if port and not port.isdecimal():
        raise CommandError(f'invalid address "{address}": port must be a number')
    return host.strip("[]") or default_host, int(port or default_port)
