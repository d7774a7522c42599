"""OTLP as it is read: both encodings say the same, what is wrong is named by its path, and takes nothing else with it."""

import base64
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingress.async_log import AHEAD_S, BadLog
from ingress.otlp.json_spans import spans_of_json
from ingress.otlp.protobuf_spans import spans_of_protobuf
from ingress.otlp.spans import DEEPEST, MOST_ATTRIBUTES, MOST_EVENTS, Span
from tests.fakes.spans import BEGAN, PARENT, SPAN, TRACE, as_json, as_protobuf, event, export, pairs, span

NOW = BEGAN + 60.0
FIRST = "resourceSpans[0].scopeSpans[0].spans[0]"
EVERY_KIND = {
    "text": "é",
    "whole": -(1 << 62),
    "double": 0.5,
    "yes": True,
    "no": False,
    "bytes": b"\x00\xff",
    "list": ["a", 1, None],
    "object": {"a": {"b": [1.5]}},
    "nothing": None,
}
WHOLE = export(
    span(EVERY_KIND, parentSpanId=PARENT, events=[event("e", 1, a=1)], status={"code": 2, "message": "no"}, flags=1, unknown={"x": [1]}),
    resource={"service.name": "shop"},
)


def read(told: Any, now: float = NOW) -> list[Span]:
    found = spans_of_json(told if isinstance(told, bytes) else as_json(told), now)
    assert not found.refused, found.refused
    return list(found.spans)


def test_both_encodings_say_the_same() -> None:
    told = json.loads(as_json(WHOLE))
    del told["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["unknown"]
    (found,) = read(WHOLE)
    assert spans_of_protobuf(as_protobuf(told), NOW).spans == [found]
    assert (found.trace_id, found.span_id, found.parent_id, found.path) == (TRACE, SPAN, PARENT, FIRST)
    assert (found.began, found.ended, found.failed, found.message) == (BEGAN, BEGAN + 2.5, True, "no")
    assert (found.attributes, found.resource) == (EVERY_KIND, {"service.name": "shop"})
    assert [(each.name, each.at, each.attributes) for each in found.events] == [("e", BEGAN + 1, {"a": 1})]


def base64_of(hexadecimal: str) -> str:
    return base64.b64encode(bytes.fromhex(hexadecimal)).decode()


LENIENT: dict[str, tuple[dict[str, Any], str, Any]] = {
    "times as numbers": ({"startTimeUnixNano": BEGAN * 10**9}, "began", BEGAN),
    "times as fractions": ({"startTimeUnixNano": BEGAN * 1e9}, "began", BEGAN),
    "no end": ({"endTimeUnixNano": None}, "ended", BEGAN),
    "ids in base64": ({"traceId": base64_of(TRACE)}, "trace_id", TRACE),
    "ids in capitals": ({"spanId": SPAN.upper()}, "span_id", SPAN),
    "a parent that is none": ({"parentSpanId": "0" * 16}, "parent_id", None),
    "no parent": ({"parentSpanId": ""}, "parent_id", None),
    "a status by name": ({"status": {"code": "STATUS_CODE_ERROR"}}, "failed", True),
    "no status": ({"status": None}, "failed", False),
    "no attributes": ({"attributes": None}, "attributes", {}),
    "whole numbers as numbers": ({"attributes": [{"key": "a", "value": {"intValue": 7}}]}, "attributes", {"a": 7}),
    "doubles as text": ({"attributes": [{"key": "a", "value": {"doubleValue": "1.5"}}]}, "attributes", {"a": 1.5}),
    "an attribute without a value": ({"attributes": [{"key": "a"}]}, "attributes", {"a": None}),
    "one that is said twice": ({"attributes": [*pairs({"a": 1}), *pairs({"a": 2})]}, "attributes", {"a": 2}),
}


@pytest.mark.parametrize(("said", "field", "expected"), LENIENT.values(), ids=LENIENT)
def test_what_senders_spell_otherwise(said: dict[str, Any], field: str, expected: Any) -> None:
    (found,) = read(export(span(**said)))
    assert getattr(found, field) == expected


def test_half_a_character_is_replaced() -> None:
    body = as_json(export(span({"a": "X"}))).replace(b'"X"', b'"\\ud83d"')
    assert read(body)[0].attributes == {"a": "\ufffd"}


def deep(levels: int) -> Any:
    return {"a": 1} if levels == 0 else [deep(levels - 1)]


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a trace id of nobody": ({"traceId": "0" * 32}, "traceId"),
    "a short trace id": ({"traceId": "ab"}, "traceId"),
    "no span id": ({"spanId": None}, "spanId"),
    "a parent id that is none": ({"parentSpanId": "xyz"}, "parentSpanId"),
    "no beginning": ({"startTimeUnixNano": None}, "startTimeUnixNano"),
    "a beginning before all": ({"startTimeUnixNano": "-5"}, "startTimeUnixNano"),
    "a beginning that is words": ({"startTimeUnixNano": "now"}, "startTimeUnixNano"),
    "more than 64 bits": ({"startTimeUnixNano": "9" * 30}, "startTimeUnixNano"),
    "an end before the beginning": ({"endTimeUnixNano": "1"}, "endTimeUnixNano"),
    "an end in the future": ({"endTimeUnixNano": str(int((NOW + AHEAD_S + 1) * 1e9))}, "endTimeUnixNano"),
    "a name of no kind": ({"name": 5}, "name"),
    "attributes of no kind": ({"attributes": {}}, "attributes"),
    "a key of no kind": ({"attributes": [{"key": 1}]}, "attributes[0].key"),
    "a number that is none": ({"attributes": [{"key": "a", "value": {"intValue": "x"}}]}, "attributes[0].value.intValue"),
    "bytes that are none": ({"attributes": [{"key": "a", "value": {"bytesValue": "!"}}]}, "attributes[0].value.bytesValue"),
    "values without end": ({"attributes": pairs({"a": deep(DEEPEST + 2)})}, "attributes[0].value.arrayValue"),
    "attributes without end": ({"attributes": [{"key": str(n)} for n in range(MOST_ATTRIBUTES + 1)]}, "attributes"),
    "events without end": ({"events": [{}] * (MOST_EVENTS + 1)}, "events"),
}


@pytest.mark.parametrize(("said", "field"), WRONG.values(), ids=WRONG)
def test_a_span_that_is_wrong_names_the_field_and_spares_the_rest(said: dict[str, Any], field: str) -> None:
    found = spans_of_json(as_json(export(span(**said), span(spanId=PARENT))), NOW)
    assert [each.span_id for each in found.spans] == [PARENT]
    ((named, error),) = found.refused
    assert named.startswith(f"{FIRST}.{field}"), (named, error)
    assert error


IN_PROTOBUF = (
    "a trace id of nobody",
    "an end before the beginning",
    "an end in the future",
    "attributes without end",
    "events without end",
)


@pytest.mark.parametrize("name", IN_PROTOBUF)
def test_the_same_holds_in_protobuf(name: str) -> None:
    said, field = WRONG[name]
    found = spans_of_protobuf(as_protobuf(export(span(**said), span(spanId=PARENT))), NOW)
    assert [each.span_id for each in found.spans] == [PARENT]
    assert [each.field for each in found.refused] == [f"{FIRST}.{field}"]


NO_EXPORT = {
    "nothing": (b"", "body"),
    "no JSON": (b"{", "body"),
    "a list": (b"[]", "body"),
    "no UTF-8": (b'{"a":"\xff', "body"),
    "resource spans of no kind": (b'{"resourceSpans":{}}', "resourceSpans"),
    "spans of no kind": (b'{"resourceSpans":[{"scopeSpans":[{"spans":5}]}]}', "resourceSpans[0].scopeSpans[0].spans"),
    "nested without end": (b'{"x":' + b"[" * 100_000, "body"),
    "of another shape": (b'{"resourceSpans":[[]]}', "resourceSpans[0]"),
}


@pytest.mark.parametrize(("body", "field"), NO_EXPORT.values(), ids=NO_EXPORT)
def test_what_is_no_export_is_refused_whole(body: bytes, field: str) -> None:
    with pytest.raises(BadLog) as raised:
        spans_of_json(body, NOW)
    assert raised.value.field == field


@given(st.binary(max_size=200))
def test_no_bytes_are_more_than_refused(body: bytes) -> None:
    for reader in (spans_of_json, spans_of_protobuf):
        with suppress(BadLog):
            reader(body, NOW)


@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3))
)
def test_no_field_of_any_kind_is_more_than_refused(value: Any) -> None:
    for field in ("traceId", "startTimeUnixNano", "attributes", "events", "status", "name"):
        found = spans_of_json(as_json(export(span(**{field: value}))), NOW)
        assert len(found.spans) + len(found.refused) == 1
