"""Where MovR's rows live, and what is said to have them there."""

from roachmesh.movr import LOCALITIES, missing_localities


def test_tables_without_a_locality_get_theirs_and_codes_are_read_everywhere() -> None:
    found = dict.fromkeys(LOCALITIES, "REGIONAL BY TABLE IN PRIMARY REGION")

    statements = missing_localities(found)

    assert "ALTER TABLE promo_codes SET LOCALITY GLOBAL" in statements
    assert "ALTER TABLE rides SET LOCALITY REGIONAL BY ROW" in statements
    assert len(statements) == len(LOCALITIES) == 6


def test_tables_in_their_places_stay_there_and_those_of_others_are_nobodys_business() -> None:
    assert missing_localities({**LOCALITIES, "invoices": "GLOBAL"}) == []
    assert missing_localities({**LOCALITIES, "rides": "GLOBAL"}) == [
        "ALTER TABLE rides SET LOCALITY REGIONAL BY ROW"
    ]
