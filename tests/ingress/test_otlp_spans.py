"""OTLP as it is read: both encodings say the same, what is wrong is named by its path, and takes nothing else with it."""

import base64
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1 import trace_pb2

from ingress.async_log import AHEAD_S, BadLog
from ingress.otlp.json_spans import MOST_OBJECTS, spans_of_json
from ingress.otlp.protobuf_spans import spans_of_protobuf
from ingress.otlp.spans import DEEPEST, MOST_ATTRIBUTES, MOST_EVENTS, MOST_SPANS, MOST_VALUES, Export, Span
from ingress.otlp.wire import Patience, fields_of
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


def test_a_text_that_is_no_utf8_refuses_its_span_alone() -> None:
    body = as_protobuf(export(span(name="wrong"), span(spanId=PARENT))).replace(b"wrong", b"wr\xff\xfeg")
    found = spans_of_protobuf(body, NOW)
    assert ([each.span_id for each in found.spans], [each.field for each in found.refused]) == ([PARENT], [FIRST])


def message(number: int, *contents: bytes) -> bytes:
    """Fields of one number, as Protobuf writes them."""
    told = b""
    for content in contents:
        length, size = len(content), b""
        while length > 127:
            size, length = size + bytes([length & 127 | 128]), length >> 7
        told += bytes([number << 3 | 2]) + size + bytes([length]) + content
    return told


BOMBS: dict[str, tuple[Callable[[bytes, float], Export], bytes, str]] = {
    "spans in JSON": (spans_of_json, as_json(export(*(MOST_SPANS + 1) * [{}])), "resourceSpans"),
    "objects in JSON": (spans_of_json, b'{"x":[' + b"{}," * MOST_OBJECTS + b"{}]}", "resourceSpans"),
    "spans": (spans_of_protobuf, message(1, message(2, b"\x12\x00" * (MOST_SPANS + 1))), "resourceSpans"),
    "resources": (spans_of_protobuf, b"\x0a\x00" * (MOST_SPANS + 1), "resourceSpans"),
    "attributes of a resource": (
        spans_of_protobuf,
        message(1, message(1, b"\x0a\x00" * (1 << 20))),
        "resourceSpans[0].resource.attributes",
    ),
}


@pytest.mark.parametrize(("reader", "body", "field"), BOMBS.values(), ids=BOMBS)
def test_a_bomb_is_refused_before_it_is_read(reader: Callable[[bytes, float], Export], body: bytes, field: str) -> None:
    with pytest.raises(BadLog) as raised:
        reader(body, NOW)
    assert (raised.value.field, "more than" in str(raised.value)) == (field, True)


def test_a_span_of_many_small_fields_is_refused_alone() -> None:
    sound = as_protobuf(export(span()))
    many = message(1, message(2, message(2, b"\x4a\x00" * (1 << 20))))
    found = spans_of_protobuf(sound + many, NOW)
    assert ([each.span_id for each in found.spans], len(found.refused)) == ([SPAN], 1)
    assert found.refused[0].field == "resourceSpans[1].scopeSpans[0].spans[0].attributes"


def test_a_span_of_values_without_end_is_refused_alone() -> None:
    values = message(1, b"a") + message(2, message(5, b"\x0a\x00" * (MOST_VALUES + 1)))
    began = trace_pb2.Span(trace_id=b"t" * 16, span_id=b"s" * 8, start_time_unix_nano=BEGAN * 10**9).SerializeToString()
    found = spans_of_protobuf(message(1, message(2, message(2, began + message(9, values), began))), NOW)
    assert (len(found.spans), [each.field for each in found.refused]) == (1, [f"{FIRST}.attributes[0].value"])


NO_PROTOBUF = {
    "a length beyond the end": b"\x0a\x05a",
    "a tag without an end": b"\xff" * 11,
    "a kind that there is not": b"\x0f",
    "half a fixed number": b"\x09\x00",
    "the same within": message(1, message(2, b"\x12\x05a")),
}


@pytest.mark.parametrize("body", NO_PROTOBUF.values(), ids=NO_PROTOBUF)
def test_what_is_no_protobuf_is_refused_whole(body: bytes) -> None:
    with pytest.raises(BadLog) as raised:
        spans_of_protobuf(body, NOW)
    assert raised.value.field == "body"


def test_fields_that_nobody_reads_are_bounded() -> None:
    inside = b"\x08\x01" * 100_001
    with pytest.raises(BadLog):
        spans_of_protobuf(message(1, inside), NOW)


@given(st.lists(st.binary(max_size=300), max_size=4), st.integers(1, 15))
def test_the_wire_gives_what_was_put_on_it(contents: list[bytes], number: int) -> None:
    passed_over = b"\x08\x96\x01" + b"\x09" + bytes(8) + b"\x0d" + bytes(4)
    found = [(each, bytes(content)) for each, content in fields_of(memoryview(passed_over + message(number, *contents)), Patience())]
    assert found == [(number, content) for content in contents]


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
