"""MovR's tables, and the rows that they begin with.

Rows are the real ones' in number, keys, cities and references; names, addresses and texts are our own.
"""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import NamedTuple
from uuid import UUID

CITIES = ("new york", "boston", "washington dc", "seattle", "san francisco", "los angeles", "amsterdam",
          "paris", "rome")  # fmt: skip
CREATED_AT = datetime(2019, 1, 2, 3, 4, 5)
RULES = '{"type": "percent_discount", "value": "10%"}'
_TYPES = ("skateboard", "bike", "scooter")
_COLOURS = ("red", "yellow", "blue", "green", "black")
_BRANDS = ("Merida", "Fuji", "Cervelo", "Pinarello", "Santa Cruz", "Kona", "Schwinn")
_WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "haven", "inlet", "jade", "knoll",
          "lotus", "maple", "north", "ocean", "pearl", "quartz", "river", "stone", "tulip")  # fmt: skip
Row = tuple[object, ...]


class Table(NamedTuple):
    """A table: its columns with its primary key, and what comes after its rows are in."""

    name: str
    columns: str
    indexes: tuple[str, ...] = ()
    references: tuple[str, ...] = ()


TABLES = (
    Table(
        "users",
        "id UUID NOT NULL, city VARCHAR NOT NULL, name VARCHAR, address VARCHAR, credit_card VARCHAR, "
        "PRIMARY KEY (city, id)",
    ),
    Table(
        "vehicles",
        "id UUID NOT NULL, city VARCHAR NOT NULL, type VARCHAR, owner_id UUID, creation_time TIMESTAMP, "
        "status VARCHAR, current_location VARCHAR, ext JSONB, PRIMARY KEY (city, id)",
        indexes=("vehicles_auto_index_fk_city_ref_users ON vehicles (city, owner_id)",),
        references=("(city, owner_id) REFERENCES users (city, id)",),
    ),
    Table(
        "rides",
        "id UUID NOT NULL, city VARCHAR NOT NULL, vehicle_city VARCHAR, rider_id UUID, vehicle_id UUID, "
        "start_address VARCHAR, end_address VARCHAR, start_time TIMESTAMP, end_time TIMESTAMP, "
        "revenue DECIMAL(10,2), PRIMARY KEY (city, id), "
        "CONSTRAINT check_vehicle_city_city CHECK (vehicle_city = city)",
        indexes=(
            "rides_auto_index_fk_city_ref_users ON rides (city, rider_id)",
            "rides_auto_index_fk_vehicle_city_ref_vehicles ON rides (vehicle_city, vehicle_id)",
        ),
        references=(
            "(city, rider_id) REFERENCES users (city, id)",
            "(vehicle_city, vehicle_id) REFERENCES vehicles (city, id)",
        ),
    ),
    Table(
        "vehicle_location_histories",
        'city VARCHAR NOT NULL, ride_id UUID NOT NULL, "timestamp" TIMESTAMP NOT NULL, lat FLOAT8, '
        'long FLOAT8, PRIMARY KEY (city, ride_id, "timestamp")',
        references=("(city, ride_id) REFERENCES rides (city, id)",),
    ),
    Table(
        "promo_codes",
        "code VARCHAR NOT NULL, description VARCHAR, creation_time TIMESTAMP, expiration_time TIMESTAMP, "
        "rules JSONB, PRIMARY KEY (code)",
    ),
    Table(
        "user_promo_codes",
        'city VARCHAR NOT NULL, user_id UUID NOT NULL, code VARCHAR NOT NULL, "timestamp" TIMESTAMP, '
        "usage_count INT8, PRIMARY KEY (city, user_id, code)",
        references=("(city, user_id) REFERENCES users (city, id)",),
    ),
)


@dataclass(frozen=True)
class Sizes:
    """How many rows there are at first."""

    users: int = 50
    vehicles: int = 15
    rides: int = 500
    histories: int = 1000
    promo_codes: int = 1000


class Rows:
    """The first rows; the same seed and sizes give the same."""

    def __init__(self, sizes: Sizes, seed: int) -> None:
        self._sizes = sizes
        self._seed = seed

    def of(self, table: str) -> Iterator[Row]:
        """Yield a table's rows."""
        kinds: dict[str, tuple[int, Callable[[Random, int], Row]]] = {
            "users": (self._sizes.users, self._user),
            "vehicles": (self._sizes.vehicles, self._vehicle),
            "rides": (self._sizes.rides, self._ride),
            "vehicle_location_histories": (self._sizes.histories, self._history),
            "promo_codes": (self._sizes.promo_codes, self._promo_code),
        }
        size, make = kinds.get(table, (0, self._user))
        for number in range(size):
            yield make(Random(self._seed + number), number)  # noqa: S311 -- made-up data

    def _user(self, rng: Random, number: int) -> Row:
        city = CITIES[_city(number, self._sizes.users)]
        return spread(number, self._sizes.users), city, words(rng, 2), address(rng), digits(rng)

    def _vehicle(self, rng: Random, number: int) -> Row:
        city = _city(number, self._sizes.vehicles)
        owner = _any_in_city(rng, city, self._sizes.users)
        identifier = spread(number, self._sizes.vehicles)
        return (identifier, CITIES[city], *vehicle(rng, owner))

    def _ride(self, rng: Random, number: int) -> Row:
        city = _city(number, self._sizes.rides)
        rider = _any_in_city(rng, city, self._sizes.users)
        ridden = _any_in_city(rng, city, self._sizes.vehicles)
        begun = CREATED_AT - timedelta(days=rng.randrange(30))
        ended = begun + timedelta(hours=rng.randrange(60))
        return (spread(number, self._sizes.rides), CITIES[city], CITIES[city], rider, ridden, address(rng),
                address(rng), begun, ended, rng.randrange(100))  # fmt: skip

    def _history(self, rng: Random, number: int) -> Row:
        city = _city(number, self._sizes.histories)
        ride = _any_in_city(rng, city, self._sizes.rides)
        return (CITIES[city], ride, CREATED_AT + timedelta(milliseconds=number), *place(rng))

    def _promo_code(self, rng: Random, number: int) -> Row:
        return f"{number}_{words(rng, 3, '_')}", *promo_code(rng)


def spread(number: int, size: int) -> UUID:
    """Return one of `size` UUIDs in order, evenly spread, the same as the real one's."""
    high = int(float(number) * float(2**64 - 1) / float(size)).to_bytes(8, "big")
    return UUID(bytes=high + number.to_bytes(8, "big"), version=4)


def vehicle(rng: Random, owner: object) -> Row:
    """Make up a vehicle's columns after its city."""
    kind = rng.choice(_TYPES)
    ext = {"brand": rng.choice(_BRANDS)} if kind == "bike" else {}
    ext["color"] = rng.choice(_COLOURS)
    status = rng.choices(("available", "in_use", "lost"), (40, 55, 5))[0]
    return kind, owner, CREATED_AT, status, address(rng), json.dumps(ext)


def promo_code(rng: Random) -> Row:
    """Make up a promo code's columns after its code."""
    expires = CREATED_AT + timedelta(days=rng.randrange(30))
    return words(rng, 12), expires - timedelta(days=rng.randrange(30)), expires, RULES


def words(rng: Random, count: int, between: str = " ") -> str:
    """Make up some words."""
    return between.join(rng.choices(_WORDS, k=count))


def address(rng: Random) -> str:
    """Make up a street address."""
    return f"{rng.randrange(1, 99999)} {rng.choice(_WORDS).title()} Street"


def digits(rng: Random) -> str:
    """Make up a credit card's number, which is none."""
    return "".join(rng.choices("0123456789", k=10))


def place(rng: Random) -> tuple[float, float]:
    """Make up a latitude and a longitude, in this order and with the real one's mistaken ranges."""
    return float(rng.randrange(-180, 180)), float(rng.randrange(-90, 90))


def _city(number: int, size: int) -> int:
    return int(number / (size / len(CITIES)))


def _any_in_city(rng: Random, city: int, size: int) -> UUID:
    first, end = (math.ceil(bound * (size / len(CITIES))) for bound in (city, city + 1))
    return spread(rng.randrange(first, min(end, size)), size)
