"""CockroachDB's statements on regions, localities, cluster settings and sessions, said in PostgreSQL's words.

Each becomes a call of what `multiregion` and `session_list` have put into PostgreSQL, also where a SHOW in
square brackets stands for a table. Everything else passes as it is, and
is a syntax error there if PostgreSQL does not know it. Source: pkg/sql/parser/sql.y of
cockroachdb/cockroach.
"""

import re
from collections.abc import Callable, Iterator

# What a semicolon in does not end a statement: strings, quoted names, dollar quotes, comments.
_PIECES = re.compile(
    r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|\$(\w*)\$.*?\$\1\$|--[^\n]*|/\*.*?\*/|;|[^'"$;/\[-]+|"""
    r"(?i:\[\s*(?P<shown>SHOW\s[^\]]*?)\s*\])|.",
    re.DOTALL,
)
_PLACES = {
    "<name>": r'("(?:[^"]|"")+"|[a-z_][\w$]*)',
    "<table>": r'((?:(?:"(?:[^"]|"")+"|[a-z_][\w$]*)\.)?(?:"(?:[^"]|"")+"|[a-z_][\w$]*))',
    "<setting>": r"([a-z_][\w.]*)",
    "<value>": r"('(?:[^']|'')*'|[^\s;']+)",
}
_ROWS = "SELECT * FROM "
Words = Callable[..., str]


def _name(text: str) -> str:
    return text[1:-1].replace('""', '"') if text.startswith('"') else text.lower()


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _named(text: str) -> str:
    return _literal(_name(text))


def _value(text: str) -> str:
    return text if text.startswith("'") else _literal(text)


def _alter(procedure: str, *fixed: str) -> Words:
    return lambda *names: f"CALL crdb_internal.{procedure}({', '.join([*map(_named, names), *fixed])})"


def _show(function: str) -> Words:
    return lambda *names: f"{_ROWS}crdb_internal.{function}({', '.join(map(_named, names))})"


def _create_role(kind: str, name: str, options: str) -> str:
    missing = f"NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {_named(name)})"
    return f"DO $standin$ BEGIN IF {missing} THEN CREATE {kind} {name}{options}; END IF; END $standin$"


def _locality(locality: str) -> Words:
    def call(table: str, region: str = "") -> str:
        where = _named(region) if region else "NULL"
        return f"CALL crdb_internal.set_locality({_literal(table)}, '{locality}', {where})"

    return call


_STATEMENTS: list[tuple[str, Words]] = [
    ("ALTER DATABASE <name> (?:SET )?PRIMARY REGION(?: =)? <name>", _alter("set_primary_region")),
    ("ALTER DATABASE <name> ADD REGION <name>", _alter("add_region", "false")),
    ("ALTER DATABASE <name> ADD REGION IF NOT EXISTS <name>", _alter("add_region", "true")),
    ("ALTER DATABASE <name> DROP REGION <name>", _alter("drop_region", "false")),
    ("ALTER DATABASE <name> DROP REGION IF EXISTS <name>", _alter("drop_region", "true")),
    ("ALTER DATABASE <name> SURVIVE(?: =)? (ZONE|REGION) FAILURE", _alter("survive")),
    ("ALTER TABLE <table> SET LOCALITY GLOBAL", _locality("GLOBAL")),
    ("ALTER TABLE <table> SET LOCALITY REGIONAL BY ROW", _locality("REGIONAL BY ROW")),
    (
        "ALTER TABLE <table> SET LOCALITY REGIONAL(?: BY TABLE)?(?: IN PRIMARY REGION)?",
        _locality("REGIONAL BY TABLE IN PRIMARY REGION"),
    ),
    ("ALTER TABLE <table> SET LOCALITY REGIONAL(?: BY TABLE)? IN <name>", _locality("REGIONAL BY TABLE")),
    ("SHOW REGIONS FROM CLUSTER", _show("regions_of_cluster")),
    ("SHOW REGIONS FROM DATABASE <name>", _show("show_regions")),
    ("SHOW SURVIVAL GOAL FROM DATABASE <name>", _show("show_survival_goal")),
    ("SHOW TABLES", _show("show_tables")),
    ("SHOW (?:ALL )?(?:CLUSTER )?SESSIONS", lambda: f"{_ROWS}crdb_internal.show_sessions(false)"),
    ("SHOW (?:ALL )?LOCAL SESSIONS", lambda: f"{_ROWS}crdb_internal.show_sessions(true)"),
    ("CREATE (USER|ROLE) IF NOT EXISTS <name>(.*)", _create_role),
    (
        "SHOW CLUSTER SETTING <setting>",
        lambda name: f'SELECT crdb_internal.cluster_setting({_literal(name)}) AS "{name}"',
    ),
    (
        "SET CLUSTER SETTING <setting> (?:=|TO) <value>",
        lambda name, value: f"CALL crdb_internal.set_cluster_setting({_literal(name)}, {_value(value)})",
    ),
    (
        "RESET CLUSTER SETTING <setting>",
        lambda name: f"CALL crdb_internal.set_cluster_setting({_literal(name)}, NULL)",
    ),
]


def _pattern(words: str) -> re.Pattern[str]:
    for place, expression in _PLACES.items():
        words = words.replace(place, expression)
    return re.compile(words.replace(" =", r"\s*=").replace(" ", r"\s+"), re.IGNORECASE | re.DOTALL)


_KNOWN = [(_pattern(words), translated) for words, translated in _STATEMENTS]


def translate(text: str) -> str:
    """Say one or several statements so that PostgreSQL understands them."""
    return "".join(_translate(statement) for statement in _statements(text))


def _statements(text: str) -> Iterator[str]:
    """Split at the semicolons that end statements; each piece keeps its own."""
    statement = ""
    for piece in _PIECES.finditer(text):
        statement += _rows(piece["shown"]) or piece[0]
        if piece[0] == ";":
            yield statement
            statement = ""
    yield statement


def _rows(shown: str | None) -> str:
    """Say what a SHOW in square brackets shows as a table, or nothing if that is not known."""
    said = _translate(shown or "")
    return said.removeprefix(_ROWS) if said.startswith(_ROWS) else ""


def _translate(statement: str) -> str:
    body = statement.rstrip().removesuffix(";").strip()
    for pattern, translated in _KNOWN:
        if found := pattern.fullmatch(body):
            return statement.replace(body, translated(*found.groups()))
    return statement


def translate_message(kind: bytes, payload: bytes) -> bytes:
    """Translate what a client's Query or Parse says; other messages stay as they are."""
    if kind == b"Q":
        return _encoded(translate(_decoded(payload[:-1])))
    if kind == b"P":
        name, query, types = payload.split(b"\0", 2)
        return name + b"\0" + _encoded(translate(_decoded(query))) + types
    return payload


def _decoded(text: bytes) -> str:
    return text.decode(errors="surrogateescape")


def _encoded(text: str) -> bytes:
    return text.encode(errors="surrogateescape") + b"\0"
