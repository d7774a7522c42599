"""The state of a view and its address: each other's inverse, and never a fault, whatever an address says."""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.dashboard.filters import FIELDS, PROPERTY, Filter
from storage.dashboard.span import LONGEST, PRESETS, Span
from storage.dashboard.state import View, read

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Apia")
OWN = ("sort", "column")

texts = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1, max_size=30)
plain = [name for name, field in FIELDS.items() if field.column]
filters = st.one_of(
    st.builds(Filter, st.sampled_from(plain), texts, st.just(""), st.booleans()),
    st.builds(Filter, st.sampled_from([*plain, "status", "rating", "outcome"]), st.none(), st.just(""), st.booleans()),
    st.builds(Filter, st.just(PROPERTY), st.one_of(st.none(), texts), texts.map(str.lower), st.booleans()),
    st.builds(Filter, st.just("status"), st.sampled_from(["429", "5xx"]), st.just(""), st.booleans()),
    st.builds(Filter, st.just("cache"), st.sampled_from(["hit", "miss"]), st.just(""), st.booleans()),
).filter(lambda each: each.key == each.key.lower())
moments = st.integers(631_200_000, 6_940_000_000).map(lambda at: datetime.fromtimestamp(at, UTC))


@st.composite
def spans(draw: st.DrawFn) -> Span:
    if draw(st.booleans()):
        return Span(preset=draw(st.sampled_from(list(PRESETS))))
    since = draw(moments)
    length = draw(st.one_of(st.none(), st.timedeltas(timedelta(microseconds=1), LONGEST)))
    return Span(since=since, until=None if length is None else since + length, zone=draw(st.sampled_from(ZONES)))


views = st.builds(
    View,
    span=spans(),
    filters=st.lists(filters, max_size=8, unique=True).map(tuple),
    search=texts.map(str.strip),
    compare=st.booleans(),
    organization=st.one_of(st.just(""), texts),
    own=st.lists(st.tuples(st.sampled_from(OWN), texts), max_size=4).map(tuple),
)


@given(views)
def test_what_is_written_is_read(view: View) -> None:
    found = read(parse_qsl(view.query(), keep_blank_values=True), ZoneInfo("Asia/Tokyo"), OWN)
    assert found.view == view
    assert not found.troubles


@given(
    st.lists(
        st.tuples(st.one_of(st.sampled_from(["since", "until", "zone", "range", "status", "without", "property.x"]), st.text()), st.text())
    )
)
def test_any_address_shows_a_view(pairs: list[tuple[str, str]]) -> None:
    found = read(pairs, BERLIN, OWN)
    again = read(parse_qsl(found.view.query(), keep_blank_values=True), BERLIN, OWN)
    assert again.view == found.view


WRONG = {
    "a preset there is not": ("range=2w", "range"),
    "a thousand years": ("since=1991-01-01T00:00&until=2199-01-01T00:00", "since"),
    "times beyond the calendar": ("since=0001-01-01T00:00", "since"),
    "no time": ("since=yesterday", "since"),
    "an end alone": ("until=2026-01-01T00:00", "since"),
    "an end before the beginning": ("since=2026-01-02T00:00&until=2026-01-01T00:00", "until"),
    "no zone": ("since=2026-01-02T00:00&zone=Mars/Olympus", "zone"),
    "a path as a zone": ("since=2026-01-02T00:00&zone=../../etc/passwd", "zone"),
    "no status": ("status=teapot", "status"),
    "no outcome": ("outcome=fine", "outcome"),
    "no field": ("without=colour", "without"),
    "too long": ("user=" + "x" * 1001, "user"),
    "a NUL": ("model=a%00b", "model"),
    "a name nobody knows": ("colour=red", "colour"),
    "too long a search": ("search=" + "x" * 201, "search"),
}


@pytest.mark.parametrize(("query", "field"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_meant_is_told_and_left_out(query: str, field: str) -> None:
    found = read(parse_qsl(query), BERLIN)
    assert [each.field for each in found.troubles] == [field]
    assert all(each.message and each.fix for each in found.troubles)
    assert found.view == View()


def test_a_form_adds_a_filter_and_the_address_is_written_anew() -> None:
    found = read(parse_qsl("model=a&add.field=property&add.key=Plan&add.how=not&add.value=free"), BERLIN)
    assert found.view.filters == (Filter("model", "a"), Filter(PROPERTY, "free", "plan", negated=True))
    assert not found.canonical


def test_the_hour_that_comes_twice_is_written_with_its_offset() -> None:
    second = datetime(2026, 10, 25, 1, 30, tzinfo=UTC)  # 02:30 for the second time
    query = View(span=Span(since=second, zone="Europe/Berlin")).query()
    assert "02%3A30%3A00%2B01%3A00" in query
    assert read(parse_qsl(query), BERLIN).view.span.since == second


def test_other_pages_keep_the_filters_and_not_a_pages_own() -> None:
    view = View(filters=(Filter("user", "ada"),), own=(("sort", "cost"),))
    assert view.query(own=False) == "user=ada"
    assert view.query() == "user=ada&sort=cost"
