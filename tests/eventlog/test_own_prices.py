"""Prices that people set: which one counts for a call, and which two contradict each other."""

import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from eventlog import own_prices
from eventlog.events import Organization
from eventlog.own_prices import (
    LONGEST,
    MOST,
    OwnPrice,
    OwnPrices,
    TooMany,
    both_match,
    checked_price,
    checked_together,
    contradiction,
    joined,
)

RATES = {"input": "2", "output": "8"}
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
SUMMER = datetime(2026, 7, 1, tzinfo=UTC)
MOMENT = timedelta(microseconds=1)
ACME, OTHER = Organization("acme"), Organization("other")
QUICK_S = 0.5


def price(model: str = "*", provider: str | None = None, organization: str | None = None, **more: datetime | None) -> OwnPrice:
    whose = None if organization is None else Organization(organization)
    return checked_price(OwnPrice(model=model, provider=provider, organization=whose, rates=RATES, **more))  # type: ignore[arg-type]


MORE_SPECIFIC = {
    "a model before all": (price("gpt-4o"), price()),
    "a pattern before all": (price("gpt*"), price()),
    "a name before a pattern that is longer": (price("gpt-4o"), price("gpt-4?*")),
    "a long pattern before a short one": (price("gpt-4o*"), price("gpt-4*")),
    "a sign that stands before one that may be any": (price("gpt-4o*"), price("gpt-4?*")),
    "a name before a provider's": (price("gpt-4o"), price("gpt-4*", "openai")),
    "a longer pattern before a provider's": (price("gpt-4o*"), price("gpt-4*", "openai")),
    "a provider's where the models are alike": (price("gpt-4*", "openai"), price("gpt-4*")),
    "an organization's before all else": (price(organization="acme"), price("gpt-4o", "openai")),
}


@pytest.mark.parametrize(("first", "second"), MORE_SPECIFIC.values(), ids=MORE_SPECIFIC)
def test_the_most_specific_counts_whatever_the_order(first: OwnPrice, second: OwnPrice) -> None:
    for sources in ([first, second],), ([second, first],), ([first], [second]), ([second], [first]):
        assert OwnPrices(*sources).find(ACME, "openai", "gpt-4o", NEW_YEAR) is first
    assert contradiction([first, second]) is None


FITS = {
    "everything": (price(), "openai", "m", True),
    "a call whose model has no name": (price(), "openai", "", True),
    "the name": (price("gpt-4o"), "openai", "gpt-4o", True),
    "in capitals": (price("GPT-4o"), "openai", "gpt-4O", True),
    "a longer name": (price("gpt-4o"), "openai", "gpt-4o-mini", False),
    "a star": (price("gpt-4o*"), "openai", "gpt-4o-mini", True),
    "a star for nothing": (price("gpt-4o*"), "openai", "gpt-4o", True),
    "a star in front": (price("*mini"), "openai", "gpt-4o-mini", True),
    "what follows a star comes twice": (price("*-a"), "openai", "x-a-a", True),
    "two stars": (price("*4o*"), "openai", "gpt-4o-mini", True),
    "a piece that is not there": (price("g*5*i"), "openai", "gpt-4o-mini", False),
    "pieces that would have to share": (price("ab*ba"), "openai", "aba", False),
    "one sign": (price("gpt-?o"), "openai", "gpt-4o", True),
    "no sign is not one": (price("gpt-?o"), "openai", "gpt-o", False),
    "a line end is a sign": (price("a?b*"), "openai", "a\nb\n", True),
    "what is special elsewhere is not here": (price("a.b[c]+"), "openai", "a.b[c]+", True),
    "a point is a point": (price("a.b"), "openai", "axb", False),
    "its provider": (price(provider="OpenAI "), "openai", "m", True),
    "another": (price(provider="openai"), "azure", "m", False),
    "a host": (price(provider="llm.example.com"), "llm.example.com", "m", True),
    "its organization": (price(organization="acme"), "openai", "m", True),
    "another's": (price(organization="other"), "openai", "m", False),
    "an organization in capitals is another": (price(organization="ACME"), "openai", "m", False),
}


@pytest.mark.parametrize(("own", "provider", "model", "fits"), FITS.values(), ids=FITS)
def test_which_calls_a_price_is_for(own: OwnPrice, provider: str, model: str, fits: bool) -> None:
    assert own.fits(ACME, provider, model) is fits
    assert (OwnPrices([own]).find(ACME, provider, model, NEW_YEAR) is own) is fits


HOSTILE = {
    "long": "a" * 10_000_000,
    "of as": "a" * LONGEST,
    "nearly": "a" * (LONGEST - 1) + "c",
    "line ends": "\n" * LONGEST,
    "brackets": "[(" * 128,
    "lone surrogates": "\ud800" * LONGEST,
    "NUL": "\x00",
}


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_no_name_takes_long(name: str) -> None:
    began = time.perf_counter()
    for pattern in ("*a*a*a*b", "*a" * 120 + "*b", "?*" * 120 + "b", "*", "a*"):
        assert price(pattern).fits(ACME, "openai", name) is (pattern == "*" or (pattern == "a*" and name.startswith("a")))
    assert time.perf_counter() - began < QUICK_S


def test_a_span_begins_with_its_first_moment_and_ends_before_its_last() -> None:
    own = price(since=NEW_YEAR, until=SUMMER)
    assert [own.holds_at(at) for at in (NEW_YEAR - MOMENT, NEW_YEAR, SUMMER - MOMENT, SUMMER)] == [False, True, True, False]
    east = timezone(timedelta(hours=2))
    assert own.holds_at(NEW_YEAR.astimezone(east))
    assert not own.holds_at(datetime(2026, 1, 1, tzinfo=east))


def test_where_the_most_specific_does_not_hold_the_next_does() -> None:
    known = OwnPrices([price(), price("gpt-4o", since=NEW_YEAR, until=SUMMER)])
    found = [known.find(ACME, "openai", "gpt-4o", at) for at in (NEW_YEAR - MOMENT, NEW_YEAR, SUMMER)]
    assert [None if each is None else each.model for each in found] == ["*", "gpt-4o", "*"]


def test_a_later_source_counts_where_they_are_equally_specific() -> None:
    of_file, were_set = price("gpt-4o"), replace(price("gpt-4o"), rates={"request": "1"})
    assert OwnPrices([of_file], [were_set]).find(ACME, "openai", "gpt-4o", NEW_YEAR) is were_set
    assert OwnPrices([of_file], [price()]).find(ACME, "openai", "gpt-4o", NEW_YEAR) is of_file
    assert OwnPrices([of_file], [replace(were_set, since=SUMMER)]).find(ACME, "openai", "gpt-4o", NEW_YEAR) is of_file


texts = st.text("ab", max_size=6)
patterns = st.text("ab*?", min_size=1, max_size=6)
ALL_TEXTS = ["".join(each) for length in range(9) for each in product("ab", repeat=length)]


def match(pattern: str, text: str) -> bool:
    """By its definition, and as slow."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(match(pattern[1:], text[at:]) for at in range(len(text) + 1))
    return bool(text) and pattern[0] in {"?", text[0]} and match(pattern[1:], text[1:])


@given(patterns, texts)
def test_a_pattern_means_what_it_says(pattern: str, text: str) -> None:
    assert price(pattern).fits(ACME, "openai", text) is match(pattern, text)


small = st.text("ab*?", max_size=4)


@given(small, small)
def test_two_patterns_match_together_where_some_text_matches_both(one: str, other: str) -> None:
    """Two of four signs have a text of at most eight, if any."""
    assert both_match(one, other) is both_match(other, one) is any(match(one, text) and match(other, text) for text in ALL_TEXTS)


def test_what_matches_in_capitals_matches_both() -> None:
    assert both_match("GPT*", "gpt-4?")


LONG_PAIRS = {
    "equal": ("a" * LONGEST, "a" * LONGEST, True),
    "stars": ("*a" * 128, "a*" * 128, True),
    "marks and stars": ("?*" * 128, "*?" * 127 + "b*", True),
    "of other ends": ("*a" * 127 + "*b", "a*" * 127 + "*c", False),
    "of other middles": ("a?" + "c" * 200 + "*", "?b" + "d" * 200 + "*", False),
}


@pytest.mark.parametrize(("one", "other", "together"), LONG_PAIRS.values(), ids=LONG_PAIRS)
def test_long_patterns_are_compared_quickly(one: str, other: str, together: bool) -> None:
    began = time.perf_counter()
    assert both_match(one, other) is together
    assert time.perf_counter() - began < QUICK_S


def test_many_prices_are_compared_quickly() -> None:
    many = [price(f"model-of-my-own-{number:05}") for number in range(MOST)]
    began = time.perf_counter()
    checked_together(many)
    assert time.perf_counter() - began < QUICK_S
    assert contradiction([*many, many[7]]) == (many[7], many[7])
    with pytest.raises(TooMany, match=r"more than 1,000 prices"):
        checked_together([*many, price("one-more")])


CONTRADICT = {
    "the same": (price("gpt-4o"), price("gpt-4o")),
    "in capitals": (price("gpt-4o"), replace(price(), model="GPT-4o")),
    "patterns that overlap": (price("gpt*"), price("*4o-")),
    "marks": (price("gpt-?o"), price("gpt-4?")),
    "spans that overlap": (price("m", since=NEW_YEAR), price("m", until=SUMMER)),
    "a span within always": (price("m"), price("m", since=NEW_YEAR, until=SUMMER)),
    "a moment": (price("m", until=NEW_YEAR + MOMENT), price("m", since=NEW_YEAR)),
    "of one organization": (price(organization="acme"), price(organization="acme", since=SUMMER)),
}


@pytest.mark.parametrize(("one", "other"), CONTRADICT.values(), ids=CONTRADICT)
def test_two_that_contradict_each_other_are_refused(one: OwnPrice, other: OwnPrice) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(one.name)} and {re.escape(other.name)} are equally specific"):
        checked_together([price("unlike"), one, other])


DO_NOT = {
    "one ends as the other begins": (price("m", until=NEW_YEAR), price("m", since=NEW_YEAR)),
    "other models": (price("gpt-4o"), price("gpt-4p")),
    "patterns that never meet": (price("gpt*"), price("o1-*")),
    "patterns of one length alone": (price("ab?"), price("a?bc")),
    "other organizations": (price("m", organization="acme"), price("m", organization="other")),
    "an organization and all": (price("m", organization="acme"), price("m")),
    "other providers": (price("m", "openai"), price("m", "azure")),
    "a provider and all": (price("m", "openai"), price("m")),
    "one more specific": (price("gpt-4*"), price("gpt*")),
}


@pytest.mark.parametrize(("one", "other"), DO_NOT.values(), ids=DO_NOT)
def test_what_is_no_contradiction(one: OwnPrice, other: OwnPrice) -> None:
    assert contradiction([one, other]) is None
    assert contradiction([other, one]) is None


def test_the_same_price_again_takes_its_place() -> None:
    first, second = price("m"), replace(price("m"), rates={"request": "1"})
    assert joined([first, price()], second) == (price(), second)
    assert joined([price("m", until=SUMMER)], price("m", until=NEW_YEAR)) == (price("m", until=NEW_YEAR),)  # one begin, one price
    with pytest.raises(ValueError, match="End one before the other begins"):
        joined([first], price("m", since=NEW_YEAR))


some_models = st.sampled_from(["a", "b", "ab", "*", "a*", "*b", "a?", "?b", "?"])
some_times = st.sampled_from([None, NEW_YEAR, SUMMER])
some_prices = st.lists(
    st.builds(
        OwnPrice,
        organization=st.sampled_from([None, ACME, OTHER]),
        provider=st.sampled_from([None, "openai", "azure"]),
        model=some_models,
        since=some_times,
        until=st.sampled_from([None, SUMMER + timedelta(days=9)]),
        rates=st.sampled_from([RATES, {"request": "1"}]),
    ),
    max_size=8,
)
questions = st.tuples(
    st.sampled_from([ACME, OTHER]),
    st.sampled_from(["openai", "azure"]),
    st.sampled_from(["a", "b", "ab", "A", "zz"]),
    st.sampled_from([NEW_YEAR - MOMENT, NEW_YEAR, SUMMER]),
)


@given(some_prices, st.lists(questions, min_size=1, max_size=20))
def test_what_is_remembered_answers_as_what_is_looked_for(
    prices: list[OwnPrice], asked: Sequence[tuple[Organization, str, str, datetime]]
) -> None:
    known = OwnPrices(prices)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(own_prices, "MEMO_LIMIT", 3)
        for each in [*asked, *asked]:
            assert known.find(*each) is OwnPrices(prices).find(*each)


@given(some_prices, questions)
def test_without_a_contradiction_one_counts_and_no_order_matters(
    prices: list[OwnPrice], asked: tuple[Organization, str, str, datetime]
) -> None:
    if contradiction(prices) is None:
        fitting = [each for each in prices if each.fits(*asked[:3]) and each.holds_at(asked[3])]
        assert len({each.specificity for each in fitting}) == len(fitting)
        assert OwnPrices(prices).find(*asked) == OwnPrices(prices[::-1]).find(*asked)


def test_it_is_kept_in_one_way_of_writing() -> None:
    east = timezone(timedelta(hours=2))
    kept = checked_price(
        OwnPrice(
            organization=Organization("*"),
            provider=" OpenAI",
            model=" GPT-4o** ",
            since=NEW_YEAR.astimezone(east),
            rates={"output": "8", "input": "2"},
        )
    )
    assert (kept.organization, kept.provider, kept.model) == (None, "openai", "gpt-4o*")
    assert kept.since is not None
    assert (kept.since, kept.since.tzinfo, list(kept.rates)) == (NEW_YEAR, UTC, ["input", "output"])
    assert checked_price(kept) == kept
    assert kept.name == "openai/gpt-4o* from 2026-01-01"
    assert kept.source == "own price for openai/gpt-4o* from 2026-01-01: input=2,output=8"
    assert price("m", organization="acme", until=NEW_YEAR + timedelta(hours=1)).name == "*/m of acme until 2026-01-01T01:00:00Z"


REFUSED = {
    "no model": (OwnPrice(model=" ", rates=RATES), "^model is a name"),
    "a long one": (OwnPrice(model="m" * (LONGEST + 1), rates=RATES), "^model is a name"),
    "blanks in it": (OwnPrice(model="my model", rates=RATES), "^model is a name"),
    "no provider": (OwnPrice(provider="", rates=RATES), "^provider is a lower-case name"),
    "a long provider": (OwnPrice(provider="p" * (LONGEST + 1), rates=RATES), "^provider is a lower-case name"),
    "no organization": (OwnPrice(organization=Organization(""), rates=RATES), "^organization is a name"),
    "no span": (OwnPrice(since=NEW_YEAR, until=NEW_YEAR, rates=RATES), "^from has to lie before until"),
    "backwards": (OwnPrice(since=SUMMER, until=NEW_YEAR, rates=RATES), "^from has to lie before until"),
    "before all years": (OwnPrice(since=datetime.min.replace(tzinfo=timezone(timedelta(hours=1))), rates=RATES), "^from lies beyond"),
    "after all years": (OwnPrice(until=datetime.max.replace(tzinfo=timezone(-timedelta(hours=1))), rates=RATES), "^until lies beyond"),
    "no rates": (OwnPrice(rates={}), "^rates: the price says no rate"),
    "half of them": (OwnPrice(rates={"input": "1"}), "^rates: the price needs both"),
    "an unknown one": (OwnPrice(rates={"prompt": "1"}), "^rates: the price has no rate named 'prompt'; names are input, "),
    "no amount": (OwnPrice(rates={"request": "1e3"}), "^rates: the price has '1e3' for request"),
}


@pytest.mark.parametrize(("said", "why"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_names_its_field(said: OwnPrice, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        checked_price(said)
