"""Whether some text matches two patterns: that there is one, or that none of the short ones is."""

from itertools import product

from hypothesis import given
from hypothesis import strategies as some

from eventlog.own_prices import OwnPrice, both_match

PATTERNS = some.text("ab*?", min_size=1, max_size=4)
TEXTS = ["".join(letters) for length in range(7) for letters in product("ab", repeat=length)]


@given(PATTERNS, PATTERNS)
def test_both_match_where_a_text_does(one: str, other: str) -> None:
    """Two of so few signs that match any text in common match a short one."""
    prices = [OwnPrice(model=pattern, rates={}) for pattern in (one, other)]
    common = [text for text in TEXTS if all(price.fits("", "", text) for price in prices)]  # type: ignore[arg-type]
    assert both_match(one, other) == both_match(other, one) == bool(common)


def test_the_longest_need_no_deep_stack() -> None:
    assert both_match("*" + "a" * 255, "b" * 255 + "*")
    assert not both_match("a" + "*a" * 4 + "b" * 247, "*b" * 4 + "?" * 247 + "a")
