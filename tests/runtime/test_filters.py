"""Which events a filter lets through."""

import pytest
from msgspec.structs import replace

from eventlog.events import CallPriced, CallScored, Event, RequestReceived
from eventlog.examples import EXAMPLES
from runtime.filters import BadFilter, all_match, parse_filter

PRICED = EXAMPLES["llm.calls.v1"]
assert isinstance(PRICED, CallPriced)
LOST = replace(PRICED, cost_usd=None, error="the provider: Timeout after 30 s")

MATCHES = {
    "a field of its own": ("outcome=completed", PRICED, True),
    "a word that it is not": ("outcome!=completed", PRICED, False),
    "the end of a path": ("user_id=user-123", PRICED, True),
    "the whole path": ("call.user_id=user-123", PRICED, True),
    "deep in a scored call": ("user_id=user-123", EXAMPLES["llm.scored-calls.v1"], True),
    "the nearest of two": ("model=gpt-4o-mini", PRICED, True),
    "a property": ("properties.feature=support-chat", PRICED, True),
    "a property that is not there": ("properties.team=search", PRICED, False),
    "a property with dots": ("properties.a.b=1", replace(PRICED, call=replace(PRICED.call, properties={"a.b": "1"})), True),
    "a score": ("scores.helpfulness>=0.9", EXAMPLES["llm.feedback.v1"], True),
    "a number": ("status>=400", PRICED, False),
    "a number, spaced": (" latency_ms < 1000 ", PRICED, True),
    "money": ("cost_usd>0.000006", PRICED, True),
    "tokens": ("prompt=9", PRICED, True),
    "a default that was left out": ("cache_hit=false", PRICED, True),
    "not known": ("cost_usd=null", LOST, True),
    "not known is no number": ("cost_usd<1", LOST, False),
    "part of a text, in any case": ("error~timeout", LOST, True),
    "part of what is not there": ("error~timeout", PRICED, False),
    "a field that this event has not": ("status=200", EXAMPLES["llm.requests.v1"], False),
    "not a field that this event has not": ("status!=200", EXAMPLES["llm.requests.v1"], True),
    "a time": ("created_at~2026-11-24T03", PRICED, True),
    "an equals sign in the value": ("user_id=a=b", replace(PRICED, call=replace(PRICED.call, user_id="a=b")), True),
    "an empty value": ("user_id=", PRICED, False),
}


@pytest.mark.parametrize(("text", "event", "matches"), MATCHES.values(), ids=MATCHES)
def test_matches(text: str, event: Event, matches: bool) -> None:
    assert parse_filter(text).matches(event) is matches


def test_all_must_hold() -> None:
    assert all_match([parse_filter("status=200"), parse_filter("stream=false")], PRICED)
    assert not all_match([parse_filter("status=200"), parse_filter("stream=true")], PRICED)
    assert all_match([], PRICED)


BAD = {
    "no comparison": ("outcome", "is no filter: write NAME=VALUE"),
    "nothing": ("", "is no filter"),
    "a name misspelt": ("usr_id=a", "Did you mean user_id?"),
    "a name of nothing": ("xyzzy=a", "docs/events.md lists them"),
    "more than a word": ("status>many", "compares numbers"),
}


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD)
def test_what_is_no_filter_is_told(text: str, message: str) -> None:
    with pytest.raises(BadFilter, match=message.replace("?", r"\?")):
        parse_filter(text)


def test_an_end_is_looked_for_in_the_call() -> None:
    request, scored = EXAMPLES["llm.requests.v1"], EXAMPLES["llm.scored-calls.v1"]
    assert isinstance(request, RequestReceived)
    assert isinstance(scored, CallScored)
    assert not parse_filter("outcome=completed").matches(request)
    assert parse_filter("outcome=completed").matches(scored)  # of the call that was judged
    assert not parse_filter("outcome=completed").matches(replace(scored, call=None))
