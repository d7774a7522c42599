"""Numbers as people read them."""

from decimal import Decimal

import pytest

from storage.dashboard import units
from storage.dashboard.units import THIN

WRITTEN = {
    "money that is tiny": (units.money(Decimal("0.000012")), "$0.000012"),
    "cents": (units.money(Decimal("0.1234")), "$0.123"),
    "dollars": (units.money(Decimal("12.345")), "$12.35"),
    "thousands": (units.money(1234.5), "$1,234"),
    "millions": (units.money(1_234_567), f"$1.23{THIN}M"),
    "nothing spent": (units.money(0), "$0"),
    "not known": (units.money(None), "–"),
    "a count": (units.count(12_345), "12,345"),
    "a large count": (units.count(1_234_567), f"1.23{THIN}M"),
    "a rounded step": (units.count(999_960), f"1{THIN}M"),
    "ms": (units.duration(843.2), f"843{THIN}ms"),
    "less than one": (units.duration(0.1234), f"0.12{THIN}ms"),
    "a second": (units.duration(999.6), f"1{THIN}s"),
    "seconds": (units.duration(12_340), f"12.3{THIN}s"),
    "minutes": (units.duration(123_000), f"2{THIN}min 03{THIN}s"),
    "hours": (units.duration(7_380_000), f"2{THIN}h 03{THIN}min"),
    "bytes": (units.octets(512), f"512{THIN}B"),
    "megabytes": (units.octets(5_240_000), f"5.24{THIN}MB"),
    "little is not nothing": (units.percent(0.00004), f"0.004{THIN}%"),
    "a share": (units.percent(0.1234), f"12.3{THIN}%"),
    "all": (units.percent(1), f"100{THIN}%"),
}


@pytest.mark.parametrize(("written", "expected"), WRITTEN.values(), ids=WRITTEN)
def test_units(written: str, expected: str) -> None:
    assert written == expected


def test_how_a_number_moved() -> None:
    grown = units.delta(150, 100, rising="bad")
    assert grown is not None
    assert (grown.text, grown.direction, grown.sense, grown.before) == (f"+50.0{THIN}%", "up", "bad", "100")
    fallen = units.delta(50, 100, rising="bad")
    assert fallen is not None
    assert (fallen.direction, fallen.sense) == ("down", "good")
    much = units.delta(5000, 5)
    assert much is not None
    assert much.text == f"×{THIN}1,000"
    assert units.delta(5, None) is None
    assert units.delta(None, 5) is None
    new = units.delta(5, 0)
    assert new is not None
    assert new.text == "new"


def test_numbers_without_a_unit_keep_three_digits() -> None:
    assert [units.decimal(each) for each in (0.91234, 1, 87.5, -0.5, 0, 1250, None)] == ["0.912", "1", "87.5", "−0.5", "0", "1,250", "–"]
