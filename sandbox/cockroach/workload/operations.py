"""What MovR's users do: mostly they look for vehicles, and now and then they write."""

import uuid
from collections.abc import Callable
from random import Random
from typing import Protocol

from sandbox.cockroach.workload import movr
from sandbox.cockroach.workload.connection import Row

READS = 0.95
AT_ONCE = 10  # active rides whose places are written at a time

_ANY_IN_CITY = """SELECT coalesce(
  (SELECT id FROM {table} WHERE city = $1 AND id > $2 ORDER BY id LIMIT 1),
  (SELECT id FROM {table} WHERE city = $1 ORDER BY id LIMIT 1))"""
_ANY_PROMO_CODE = """SELECT coalesce(
  (SELECT code FROM promo_codes WHERE code > $1 ORDER BY code LIMIT 1),
  (SELECT code FROM promo_codes ORDER BY code LIMIT 1))"""
_PLACE_OF_RIDE = """INSERT INTO vehicle_location_histories (city, ride_id, "timestamp", lat, long)
  VALUES ($1, $2, now(), $3, $4)
  ON CONFLICT (city, ride_id, "timestamp") DO UPDATE SET lat = excluded.lat, long = excluded.long"""


class Database(Protocol):
    """Where statements go."""

    def run(self, statement: str, *values: object) -> list[Row]:
        """Run a statement and return its rows."""


Record = Callable[[str, Callable[[], None]], None]


class Operations:
    """One worker's operations, with the rides that it has begun."""

    def __init__(self, database: Database, rng: Random) -> None:
        self._run = database.run
        self._rng = rng
        self._active: list[tuple[str, str]] = []
        self._writes: dict[str, tuple[float, Callable[[str, str], None]]] = {
            "createPromoCode": (0.03, self._create_promo_code),
            "applyPromoCode": (0.1, self._apply_promo_code),
            "addUser": (0.3, self._add_user),
            "addVehicle": (0.1, self._add_vehicle),
            "startRide": (0.4, self._start_ride),
            "endRide": (0.07, self._end_ride),
        }

    def once(self, record: Record) -> None:
        """Do one thing: a read, or the places of active rides and one of the writes by its weight.

        Args:
            record: Runs a part of it under its name, and notes how long it took.
        """
        city = self._rng.choice(movr.CITIES)
        if self._rng.random() <= READS:
            record("readVehicles", lambda: self._read_vehicles(city))
            return
        record("updateActiveRides", self._update_active_rides)
        weights = [weight for weight, _ in self._writes.values()]
        name = self._rng.choices(list(self._writes), weights)[0]
        record(name, lambda: self._writes[name][1](str(uuid.uuid4()), city))

    def _read_vehicles(self, city: str) -> None:
        self._run("SELECT city, id FROM vehicles WHERE city = $1", city)

    def _update_active_rides(self) -> None:
        for city, ride in self._active[:AT_ONCE]:
            self._run(_PLACE_OF_RIDE, city, ride, *movr.place(self._rng))

    def _create_promo_code(self, identifier: str, _city: str) -> None:
        self._run("INSERT INTO promo_codes VALUES ($1, $2, $3, $4, $5)", identifier,
                  *movr.promo_code(self._rng))  # fmt: skip

    def _apply_promo_code(self, _identifier: str, city: str) -> None:
        user = self._any("users", city)
        code = self._run(_ANY_PROMO_CODE, uuid.uuid4())[0][0]
        used = "SELECT count(*) FROM user_promo_codes WHERE city = $1 AND user_id = $2 AND code = $3"
        if self._run(used, city, user, code)[0][0] == "0":
            self._run("INSERT INTO user_promo_codes VALUES ($1, $2, $3, now(), 1)", city, user, code)

    def _add_user(self, identifier: str, city: str) -> None:
        rng = self._rng
        self._run("INSERT INTO users VALUES ($1, $2, $3, $4, $5)", identifier, city, movr.words(rng, 2),
                  movr.address(rng), movr.digits(rng))  # fmt: skip

    def _add_vehicle(self, identifier: str, city: str) -> None:
        self._run("INSERT INTO vehicles VALUES ($1, $2, $3, $4, $5, $6, $7, $8)", identifier, city,
                  *movr.vehicle(self._rng, self._any("users", city)))  # fmt: skip

    def _start_ride(self, identifier: str, city: str) -> None:
        self._run(
            "INSERT INTO rides VALUES ($1, $2, $2, $3, $4, $5, NULL, now(), NULL, $6)", identifier, city,
            self._any("users", city), self._any("vehicles", city), movr.address(self._rng),
            self._rng.randrange(100),
        )  # fmt: skip
        self._active.append((city, identifier))

    def _end_ride(self, _identifier: str, _city: str) -> None:
        if len(self._active) > 1:
            city, ride = self._active.pop(0)
            done = "UPDATE rides SET end_address = $3, end_time = now() WHERE city = $1 AND id = $2"
            self._run(done, city, ride, movr.address(self._rng))

    def _any(self, table: str, city: str) -> str | None:
        return self._run(_ANY_IN_CITY.format(table=table), city, uuid.uuid4())[0][0]
