"""The tables of MovR, the fictional ride sharing of CockroachDB's own workload, and where their rows live.

Source: "MovR" and "Table Localities", CockroachDB documentation.
"""

from collections.abc import Mapping

# Rows live where they were written; codes are read everywhere and hardly change.
LOCALITIES = {
    "users": "REGIONAL BY ROW",
    "vehicles": "REGIONAL BY ROW",
    "rides": "REGIONAL BY ROW",
    "vehicle_location_histories": "REGIONAL BY ROW",
    "promo_codes": "GLOBAL",
    "user_promo_codes": "REGIONAL BY ROW",
}


def missing_localities(found: Mapping[str, str | None]) -> list[str]:
    """List the statements after which every table has its locality.

    Args:
        found: The locality of each table that there is, as `SHOW TABLES` shows it.
    """
    return [
        f"ALTER TABLE {table} SET LOCALITY {locality}"
        for table, locality in LOCALITIES.items()
        if found.get(table) != locality
    ]
