"""Hostile values are refused, and quickly; what is accepted means nothing to whatever reads it."""

import json
import os
import re
import string
import time
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roachmesh import document, fields, topology
from roachmesh.errors import InvalidTopology
from roachmesh.inventory import Inventory
from roachmesh.plan import make_plan
from roachmesh.render import chrony, markdown, picture, systemd
from roachmesh.topology import Topology

# Every field that a topology can have, with a value that is accepted.
FULL: dict[str, Any] = {
    "name": "demo",
    "regions": [
        {
            "platform": "k3s",
            "name": "eastus",
            "location": "eastus",
            "nodes": 3,
            "vnet": "10.1.0.0/16",
            "subnet": "10.1.1.0/24",
            "zones": ["1"],
            "size": "Standard_D4s_v5",
            "os_disk_gib": 64,
            "data_disk_gib": 128,
            "servers": 3,
            "pods": "10.10.0.0/16",
            "services": "10.20.0.0/16",
            "cluster_id": 1,
        }
    ],
    "access": {"operator_cidrs": ["203.0.113.7/32"], "nodeport_cidrs": ["203.0.113.0/24"]},
    "time": {"source": "ntp", "ntp_servers": ["time.windows.com"]},
    "cockroachdb": {
        "version": "v26.2.2",
        "settings": [{"name": "kv.rangefeed.enabled", "value": "true"}],
        "split_ca": True,
    },
    "database": {
        "name": "movr",
        "primary_region": "eastus",
        "survival": "zone",
        "users": [{"name": "app", "login": "password"}],
    },
    "pooler": "pgbouncer",
    "application": {
        "kind": "image",
        "image": "docker.io/sosedoff/pgweb",
        "tag": "0.16.2",
        "port": 8081,
        "url_variable": "PGWEB_DATABASE_URL",
        "environment": [{"name": "LOG_LEVEL", "value": "info"}],
        "replicas": 2,
    },
    "k3s": {"version": "v1.36.4+k3s1"},
    "cilium": {"version": "1.20.5"},
    "image": {"publisher": "Debian", "offer": "debian-13", "sku": "13-gen2", "version": "latest"},
    "expires": "2026-12-01T06:00:00Z",
}
ATTACKS = [
    "{}\n",
    "\n{}",
    "{}\nallow all",
    "{}\r",
    "{}\tx",
    "{} x",
    " {}",
    "{};reboot",
    "{}$(reboot)",
    "{}`reboot`",
    "{}${{HOME}}",
    "{}%n",
    "{}|x",
    "{}&x",
    "{}>x",
    "{}'x",
    '{}"x',
    "{}\\",
    "{}/../../x",
    "../{}",
    "{}#",
    "{}*",
    "{}?",
    "{}=x",
    "{},x",
    "{}:x",
    "{}<br/>",
    "{}\x00",
    "{}\x1b[31m",
    "{}\u200b",
    "{}\u202e",
    "{}\ufeff",
    "{}\u0430",
    "{}\uff11",
    "{}\u0661",
    "{}\ud800",
    "--{}",
    "",
]
Path_ = tuple[int | str, ...]


def strings(value: object, path: Path_ = ()) -> Iterator[tuple[Path_, str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from strings(item, (*path, key))
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from strings(item, (*path, i))
    elif isinstance(value, str):
        yield path, value


def full_with(path: Path_, value: object) -> dict[str, Any]:
    changed: dict[str, Any] = json.loads(json.dumps(FULL))
    place: Any = changed
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    return changed


def refusal(read: Any, given: object) -> str:
    """Refuse something within a second of this process's own time; give what is said of it."""
    started = time.process_time()
    with pytest.raises(InvalidTopology) as refused:
        read(given)
    assert time.process_time() - started < 1
    message = str(refused.value)
    assert refused.value.exit_code == 2
    assert len(message) < 10_000
    assert all(line.isascii() and line.isprintable() for line in message.splitlines())
    return message


def test_the_full_topology_has_every_field_there_is() -> None:
    assert topology.parse(FULL).model_dump(mode="json", exclude_unset=True) == FULL
    schema = Topology.model_json_schema()
    for name, place in [("Region", FULL["regions"][0]), ("Access", FULL["access"]), ("Time", FULL["time"])]:
        assert set(place) == set(schema["$defs"][name]["properties"])
    for name in ("CockroachDB", "Database", "K3s", "Cilium", "Image"):
        assert set(FULL[name.lower()]) == set(schema["$defs"][name]["properties"])
    fields_of_image = set(schema["$defs"]["Application"]["properties"]) - {"rate", "concurrency"}
    assert set(FULL["application"]) == fields_of_image
    assert set(FULL) == set(schema["properties"])


@pytest.mark.parametrize("path", [path for path, _ in strings(FULL)], ids=str)
def test_no_string_field_takes_anything_hostile(path: Path_) -> None:
    value = dict(strings(FULL))[path]

    for attack in ATTACKS:
        hostile = attack.format(value)
        assert refusal(topology.parse, full_with(path, hostile)), hostile


@pytest.mark.parametrize("path", [path for path, _ in strings(FULL)], ids=str)
def test_no_string_field_takes_another_type_or_a_long_text(path: Path_) -> None:
    nested: list[Any] = []
    for _ in range(500):
        nested = [nested]

    for value in (7, True, 1.5, b"bytes", ["list"], {"a": "mapping"}, nested, "a" * 100_000):
        assert refusal(topology.parse, full_with(path, value))


def test_every_string_of_the_form_has_a_narrow_shape() -> None:
    def leaves(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if schema.get("type") == "string":
            yield schema
        for value in schema.values():
            for item in value if isinstance(value, list) else [value]:
                if isinstance(item, dict):
                    yield from leaves(item)

    found = list(leaves(Topology.model_json_schema()))

    assert len(found) >= len(list(strings(FULL)))
    assert all(
        {"pattern", "enum", "const"} & set(leaf) or leaf.get("format") == "ipv4network" for leaf in found
    )


# More than letters, digits and these is never taken from a topology; none of them means anything to a shell,
# SQL, systemd, chrony, YAML, Mermaid or a resource id where it stands.
HARMLESS = set(string.ascii_letters + string.digits + "-._/")
CHARACTERS = [chr(i) for i in (*range(0x3000), *range(0xFE00, 0x10000)) if chr(i) not in HARMLESS]
WORDS = {
    name: next(part for part in kind.__metadata__ if isinstance(part, fields.Word))
    for name, kind in vars(fields).items()
    if any(isinstance(part, fields.Word) for part in getattr(kind, "__metadata__", ()))
}


@pytest.mark.parametrize("name", WORDS)
def test_no_character_with_a_meaning_fits_into_a_word(name: str) -> None:
    pattern = re.compile(WORDS[name].pattern)
    sample = next(text for _, text in strings(FULL) if pattern.fullmatch(text))

    fitting = [
        character
        for character in CHARACTERS
        for text in (sample + character, character + sample, sample[:1] + character + sample[1:])
        if pattern.fullmatch(text)
    ]
    assert fitting == []


NAMES = ["a", "z9", "a--b", "r" * 24, "end", "null", "no-1", "select"]
HOSTS = ["a", "0.pool.ntp.org", "A-b.C--d.e", "255.255.255.255", "a" * 63 + ".b", "xn--bcher-kva.example"]
IMAGES = ["A", "0_0", "x..y", "a-.-._", "N" * 64, "false"]


ODD = list(zip(NAMES, NAMES[1:] + NAMES[:1], HOSTS * 2, IMAGES * 2, strict=False))


@pytest.mark.parametrize("odd", ODD, ids=str)
def test_what_is_accepted_adds_no_line_and_no_character_of_meaning(odd: tuple[str, str, str, str]) -> None:
    name, region, host, image = odd
    given = full_with(("name",), name)
    given["regions"] = [{"platform": "vm", "name": each, "location": "eastus"} for each in (name, region)]
    given["database"]["primary_region"] = name
    given["application"] = {}
    given["time"]["ntp_servers"] = [host, host]
    given["image"] = dict.fromkeys(("publisher", "offer", "sku"), image)
    tame = json.loads(json.dumps(given))
    tame.update(
        name="demo",
        image=FULL["image"],
        database=FULL["database"],
        time={"source": "ntp", "ntp_servers": ["one", "two"]},
    )
    for each, calm in zip(tame["regions"], ("eastus", "westus"), strict=True):
        each["name"] = calm

    expected = rendered(tame)

    for what, text in rendered(given).items():
        assert set(text) <= set(expected[what]) | HARMLESS, what
        assert len(text.splitlines()) == len(expected[what].splitlines()), what


def rendered(given: dict[str, Any]) -> dict[str, str]:
    """Render all that a topology's words reach."""
    plan = make_plan(topology.parse(given))
    planned = Inventory(
        plan=plan,
        subscription_id="00000000-0000-0000-0000-000000000000",
        operators=(IPv4Network("203.0.113.7"),),
    )
    everything = list(planned.everything())
    addresses = {node.name: IPv4Address("198.51.100.1") for node in plan.nodes}
    return {
        "unit": "".join(systemd.cockroach_service(plan, node) for node in plan.nodes),
        "chrony": chrony.config(plan.time, has_ptp_device=False),
        "picture": picture.mermaid(plan),
        "card": markdown.card(plan, addresses),
        "ids": "".join(resource.id for resource in everything),
        "bodies": json.dumps([resource.body for resource in everything]),
    }


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "topology.yaml"


MANY = "regions:\n" + "".join(f"  - {{platform: vm, name: r{i}, location: eastus}}\n" for i in range(10_000))
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{last}'] * 9)}]\n"
    for last, name in zip("abcdefgh", "bcdefghi", strict=True)
)
HOSTILE_FILES = {
    "a bomb of aliases": (BOMB, ":1:4: aliases and anchors (* and &) are refused"),
    "an alias of itself": ("a: &a [*a]", ":1:4: aliases and anchors"),
    "a python object": (
        'name: !!python/object/apply:os.system ["id"]',
        ":1:7: the tag 'tag:yaml.org,2002:python/",
    ),
    "a tag on a key": ("!!str name: a", ":1:1: the tag"),
    "a local tag": ("name: !include /etc/shadow", ":1:7: the tag '!include' is refused"),
    "deep lists": ("[" * 100_000, ":1:17: this is nested deeper than 16 levels"),
    "deep mappings": ("{a: " * 100_000, "this is nested deeper than 16 levels"),
    "deep blocks": ("- " * 100_000, "this is nested deeper than 16 levels"),
    "deep keys": ("? " * 100_000, ":1:3: a key is a single word"),
    "10,000 regions": (MANY, "more than 10,000 values; 501 regions, the most, have fewer."),
    "many values": ("[" + "1," * 500_000 + "]", "more than 10,000 values"),
    "many keys": ("".join(f"k{i}: 1\n" for i in range(3_000)), "and 2980 more."),
    "many equal regions": (
        "regions:\n" + "  - {platform: vm, name: eastus, vnet: 10.0.0.0/8}\n" * 501,
        "and 980 more.",
    ),
    "a long key": ("a" * 1_000 + ": 1", "aaa...': there is no such key"),
    "a long value": ("name: " + "a" * 1_000_000, "aaa...' does not fit"),
    "a long number": ("regions: " + "9" * 1_000_000, "999...' is no list"),
    "a slow pattern": (f"time: {{ntp_servers: ['{'a-' * 200_000}!']}}", "does not fit"),
    "another slow pattern": (f"time: {{ntp_servers: ['{'a.' * 200_000}!']}}", "does not fit"),
    "a terminal's escape": ('"\\e]0;owned\\a": 1', ":1:1: '\\x1b]0;owned\\x07': there is no such key"),
    "an escape in a value": (
        'name: "\\e[2J"',
        ":1:7: name: '\\x1b[2J' does not fit (it contains U+001B, a control",
    ),
    "a raw escape": ("name: a\n# \x1b[2J", ":2:3: the character U+001B is not allowed; remove it."),
    "a NUL byte": ("name: a\x00b", ":1:8: the character U+0000 is not allowed; remove it."),
    "a look-alike": ("name: e\u0430stus", "(it contains U+0430, CYRILLIC SMALL LETTER A)"),
    "a zero-width space": ("name: east\u200bus", "(it contains U+200B, ZERO WIDTH SPACE)"),
    "a look-alike key": ("n\u0430me: x", ":1:1: 'n\\u0430me': there is no such key; did you mean `name`?"),
    "a fullwidth digit": ("regions: [{platform: vm, name: eastus, nodes: \uff13}]", "FULLWIDTH DIGIT THREE"),
    "a fullwidth range": (
        "regions: [{platform: vm, name: eastus, vnet: 10.\uff11.0.0/16}]",
        "FULLWIDTH DIGIT ONE",
    ),
    "a fullwidth version": ("cockroachdb: {version: v\uff12\uff16.2.2}", "FULLWIDTH DIGIT TWO"),
    "braces": ('name: "{0.__class__}"', ":1:7: name: '{0.__class__}' does not fit"),
}


@pytest.mark.parametrize("name", HOSTILE_FILES)
def test_a_hostile_file_is_refused_at_once(path: Path, name: str) -> None:
    text, message = HOSTILE_FILES[name]
    path.write_text(text, encoding="utf-8")

    assert message in refusal(topology.load, path)


def test_ten_thousand_regions_from_a_form_are_refused_at_once() -> None:
    regions = [{"platform": "vm", "name": f"r{i}", "vnet": "10.0.0.0/8"} for i in range(10_000)]

    assert refusal(topology.parse, {"regions": regions}) == (
        "regions: there are 10000 and Azure peers a network with 500 others at most; write 501 or fewer."
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("name: a".encode("utf-16"), ":1: this is not UTF-8; save it as UTF-8."),
        ("name: a\nregions: \xe9".encode("latin-1"), ":2: this is not UTF-8; save it as UTF-8."),
        (b"\x7fELF\x00\x00", ":1:1: the character U+007F is not allowed; remove it."),
        (b"\x1f\x8b\x08\x00", ":1: this is not UTF-8; save it as UTF-8."),
    ],
)
def test_a_file_that_is_no_text_is_refused(path: Path, content: bytes, message: str) -> None:
    path.write_bytes(content)

    assert refusal(topology.load, path) == f"{path}{message}"


def test_a_huge_file_is_refused_without_being_read(path: Path) -> None:
    path.touch()
    os.truncate(path, 100 * 1024 * 1024)

    assert refusal(topology.load, path) == f"{path}: this is larger than 1024 KiB, so no topology."


def test_the_largest_topology_there_can_be_is_read(path: Path) -> None:
    vnets = list(IPv4Network("10.0.0.0/8").subnets(new_prefix=17))
    of_k3s = ("servers", "pods", "services", "cluster_id")
    region = {key: value for key, value in FULL["regions"][0].items() if key not in of_k3s}
    regions = [
        {
            **region,
            "platform": "vm",
            "name": f"r{i}" if i else "eastus",
            "vnet": str(vnets[i]),
            "subnet": str(vnets[i]),
            "zones": ["1", "2", "3"],
        }
        for i in range(501)
    ]
    path.write_text(json.dumps({**FULL, "regions": regions, "application": {}}, indent=2))

    assert len(topology.load(path).regions) == 501


def test_a_byte_order_mark_is_no_mistake(path: Path) -> None:
    path.write_text("name: demo", encoding="utf-8-sig")

    assert topology.load(path).name == "demo"


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["folder", "pipe"])
def test_what_is_no_file_is_refused_without_waiting(path: Path, make: Any) -> None:
    make(path)

    assert (
        refusal(topology.load, path)
        == f"{path}: this is no regular file; give the topology as a file of its own."
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("/dev/zero", "/dev/zero: this is no regular file; give the topology as a file of its own."),
        ("/proc/self/mem", "/proc/self/mem: cannot read the topology: Input/output error."),
        ("no\x00where", "'no\\x00where': cannot read the topology: embedded null byte."),
        ("no\x1b[2Jwhere", "'no\\x1b[2Jwhere': cannot read the topology: No such file or directory."),
        ("n" * 300, f"{'n' * 300}: cannot read the topology: File name too long."),
        ("/etc/passwd/topology", "/etc/passwd/topology: cannot read the topology: Not a directory."),
    ],
)
def test_a_strange_path_is_refused(name: str, message: str) -> None:
    assert refusal(topology.load, Path(name)) == message


def said_of(text: str) -> str:
    """Give the refusal of a text, or nothing."""
    try:
        document._Reader(text, "file").read()
    except InvalidTopology as exc:
        return str(exc)
    return ""


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="ab:-[]{}\"'&*!|>%@?,#~ \n\t\u00e9\u2028", max_size=40))
def test_no_text_makes_anything_but_a_document_or_a_refusal_with_its_place(text: str) -> None:
    assert re.match(r"$|file:[0-9]+:[0-9]+: [ -~]+$", said_of(text))
