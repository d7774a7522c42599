"""What a column can hold, and what it cannot: that is not known, and stops nobody."""

from decimal import Decimal

import pyarrow as pa
import pytest

from storage import schema
from storage.rows import money, seconds


@pytest.mark.parametrize("text", ["999999.9999999999996", "1000000", "999999.9999999999994", "-1000000", "1E+20"])
def test_money_beyond_its_column_is_not_known_and_stops_nobody(text: str) -> None:
    kept = money(text)
    assert kept == (Decimal("999999.999999999999") if text.endswith("4") else None)
    assert pa.array([kept], schema.MONEY).to_pylist() == [kept]


def test_a_length_beyond_its_column_is_not_known() -> None:
    lengths = [seconds("999999999.9999999996"), seconds("999999999.5"), seconds(None)]
    assert pa.array(lengths, schema.SECONDS).to_pylist() == [None, Decimal("999999999.5"), None]
