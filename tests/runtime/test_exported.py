"""What an export says of a call, as a line that the log takes; and an export's elements, out of any bytes."""

import gzip
import io
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from ingress.log_line import parse_line
from runtime.export_files import MOST_BYTES, Element, ExportFile, Unreadable, decompressed, elements_of
from runtime.exported import BadElement, Exported, exported_of, keys_of
from tests.fakes.helicone_export import CALLS, NOT_HERE, call, uuid

NOW = 1_790_000_000.0
MS = 1_740_823_200_000
"""When call 0 began."""


def exported(told: dict[str, Any]) -> Exported:
    return exported_of(json.dumps(told).encode())


@pytest.mark.parametrize("told", CALLS, ids=map(str, range(len(CALLS))))
def test_each_is_a_line_that_the_log_takes(told: dict[str, Any]) -> None:
    logged = parse_line(exported(told).line, [], NOW)
    assert logged.stated.once
    assert dict(logged.headers)[b"helicone-request-id"].decode() == told["request_id"]


def test_a_body_that_was_written_on_many_lines_is_on_one() -> None:
    told = CALLS[0] | {"request_body": {"model": "m"}}
    raw = json.dumps(told).replace('{"model": "m"}', '{\n  "model": "m"\n}').encode()
    assert b"\n" in raw
    assert b"\n" not in exported_of(raw).line


# Field by field

SAID: dict[str, tuple[dict[str, Any], str, Any]] = {
    "a URL": ({}, "providerRequest.url", "https://api.openai.com/v1/chat/completions"),
    "a path alone": ({"target_url": None, "request_path": "custom"}, "providerRequest.url", "custom"),
    "nowhere": ({"target_url": "", "request_path": "async-unknown-path"}, "providerRequest.url", None),
    "no HTTP status": ({"response_status": None}, "providerResponse.status", -100),
    "a status of Helicone's": ({"response_status": -2}, "providerResponse.status", -2),
    "a status of nobody's": ({"response_status": -1}, "providerResponse.status", -100),
    "a status as text": ({"response_status": "404"}, "providerResponse.status", 404),
    "a cost": ({"cost": 0.25, "costUSD": 7}, "providerResponse.cost", 0.25),
    "a cost by its other name": ({"cost": None, "costUSD": 0.5}, "providerResponse.cost", 0.5),
    "no cost": ({"cost": None, "costUSD": None}, "providerResponse.cost", None),
    "an answer that is text": ({"response_body": "data: {}\n\n"}, "providerResponse.textBody", "data: {}\n\n"),
    "an answer that is a number": ({"response_body": 7}, "providerResponse.textBody", "7"),
    "no answer": ({"response_body": NOT_HERE}, "providerResponse.json", None),
    "an answer that has such a field": (
        {"response_body": {"helicone_message": "x", "id": 1}},
        "providerResponse.json",
        {"helicone_message": "x", "id": 1},
    ),
    "no request": ({"request_body": None}, "providerRequest.json", {"model": "gpt-4o-mini-2024-07-18"}),
    "no request, and it says so": ({"request_body": None}, "providerRequest.meta.Helicone-Omit-Request", "true"),
    "a request that is text": ({"request_body": "a=1"}, "stated.requestText", "a=1"),
    "a request that is a list": ({"request_body": [1]}, "stated.requestText", "[1]"),
    "a session": ({"properties": {"helicone-session-id": "s"}}, "providerRequest.meta.helicone-session-id", "s"),
    "a property": ({"properties": {"Team": "x y"}}, "providerRequest.meta.Helicone-Property-Team", "x y"),
    "a property that is no text": ({"properties": {"n": 1.50}}, "providerRequest.meta.Helicone-Property-n", "1.5"),
    "a prompt among the properties": ({"properties": {"Helicone-Prompt-Id": "p"}}, "providerRequest.meta.Helicone-Prompt-Id", "p"),
    "the end before the beginning": ({"response_created_at": "2001-01-01T00:00:00Z"}, "timing.endTime.seconds", MS / 1000 + 1),
    "no end": ({"response_created_at": None, "delay_ms": 250}, "timing.endTime.seconds", MS / 1000 + 0.25),
    "nothing of how long it took": ({"response_created_at": None, "delay_ms": None}, "timing.endTime.seconds", MS / 1000),
    "digits for a time": ({"request_created_at": MS + 5}, "timing.startTime.seconds", MS / 1000 + 0.005),
    "tokens as Helicone counts them": (
        {"prompt_tokens": 10, "completion_tokens": 5, "prompt_cache_read_tokens": 3, "prompt_cache_write_tokens": 2, "reasoning_tokens": 4},
        "stated.usage",
        {"prompt": 15, "completion": 9, "cacheRead": 3, "cacheWrite": 2, "reasoning": 4},
    ),
    "tokens that nobody knows": ({"prompt_tokens": -1, "completion_tokens": -1}, "stated.usage", ...),
    "zero where nobody knows": ({"prompt_tokens": 0, "completion_tokens": 0}, "stated.usage", ...),
    "a hit of the cache": ({"cache_reference_id": uuid("x")}, "stated.cacheReferenceId", uuid("x")),
    "no hit": ({}, "stated.cacheReferenceId", ...),
    "inputs": ({"inputs": {"city": "Rome"}}, "stated.inputs", {"city": "Rome"}),
}


def at(line: Any, path: str) -> Any:
    """A value of it; `...` where there is none. The last name may have dots."""
    first, _, rest = path.partition(".")
    if path in line:
        return line[path]
    return at(line[first], rest) if first in line and rest else ...


@pytest.mark.parametrize(("more", "path", "expected"), SAID.values(), ids=SAID)
def test_a_field(more: dict[str, Any], path: str, expected: Any) -> None:
    assert at(json.loads(exported(call(0, **more)).line), path) == expected


def test_a_cost_keeps_its_digits() -> None:
    raw = json.dumps(call(0, cost=77.5)).replace("77.5", "0.00012345678901234567")
    assert b'"cost":0.00012345678901234567' in exported_of(raw.encode()).line


JUDGED: dict[str, tuple[dict[str, Any], bool | None, dict[str, float]]] = {
    "nothing": ({}, None, {}),
    "a rating": ({"feedback_rating": False}, False, {}),
    "a rating among the scores": ({"scores": {"helicone-score-feedback": 1}}, True, {}),
    "both": ({"feedback_rating": True, "scores": {"helicone-score-feedback": 0, "a": 1}}, True, {"a": 1.0}),
    "a score of true": ({"scores": {"ok-hcone-bool": 1, "plain": 0.5, "none": None}}, None, {"ok": 1.0, "plain": 0.5}),
}


@pytest.mark.parametrize(("more", "rating", "scores"), JUDGED.values(), ids=JUDGED)
def test_judgements(more: dict[str, Any], rating: bool | None, scores: dict[str, float]) -> None:
    found = exported(call(0, **more))
    assert (found.rating, found.scores) == (rating, scores)


HEX = f"{MS:012x}"
OURS = f"{HEX[:8]}-{HEX[8:]}-7abc-8def-0123456789ab"
LATER = f"{HEX[:8]}-ffff-7abc-8def-0123456789ab"


@pytest.mark.parametrize(
    ("response_id", "ours"),
    [(OURS, True), (uuid("x"), False), (None, False), ("no id", False), (LATER, False)],
    ids=["ours", "Helicone's", "none", "no UUID", "of another time"],
)
def test_a_call_of_ours_is_known_by_its_response_id(response_id: str | None, ours: bool) -> None:
    found = exported(call(0, response_id=response_id, reasoning_tokens=3, completion_tokens=9, prompt_tokens=9, prompt_cache_read_tokens=4))
    assert found.key == keys_of(found.request_id, MS)[ours]
    usage = json.loads(found.line)["stated"]["usage"]
    assert (usage["prompt"], usage["completion"]) == ((9, 9) if ours else (13, 12))


BROKEN: dict[str, tuple[bytes, str]] = {
    "no JSON": (b"{", "no JSON"),
    "no UTF-8": (b'{"request_id": "\xff"}', "no JSON"),
    "no object": (b"7", "the element: Expected `object`"),
    "no request id": (b'{"request_created_at": "2025-01-01"}', "request_id"),
    "a request id that is none": (json.dumps(call(0, request_id="r1")).encode(), "request_id: 'r1' is no UUID"),
    "a time that is none": (json.dumps(call(0, request_created_at="soon")).encode(), "request_created_at: 'soon'"),
    "a time after all": (json.dumps(call(0, request_created_at="2999-01-01T00:00:00Z")).encode(), "request_created_at: '2999"),
    "a number that is no time": (json.dumps(call(0, request_created_at=1e300)).encode(), "request_created_at: '1e+300'"),
    "a time before all": (json.dumps(call(0, request_created_at="0001-01-01T00:00:00+14:00")).encode(), "request_created_at: '0001"),
    "an end that is none": (json.dumps(call(0, response_created_at="late")).encode(), "response_created_at: 'late'"),
    "a status in words": (json.dumps(call(0, response_status="good")).encode(), "response_status: Expected `int | null`"),
    "properties of no shape": (json.dumps(call(0, properties=[1])).encode(), "properties: Expected `object | null`"),
    "a score in words": (json.dumps(call(0, scores={"a": "good"})).encode(), "scores[...]: Expected"),
    "deeper than anybody means": (b'{"request_body": ' + b"[" * 90_000, "no JSON"),
    "a body that is no UTF-8": (
        json.dumps(call(0, request_body="77")).replace('"77"', '"\udcff"').encode(errors="surrogateescape"),
        "UTF-8",
    ),
}


@pytest.mark.parametrize(("raw", "told"), BROKEN.values(), ids=BROKEN)
def test_what_is_no_call_is_told_by_its_field(raw: bytes, told: str) -> None:
    with pytest.raises(BadElement) as caught:
        exported_of(raw)
    assert told in str(caught.value)


def test_half_a_character_is_replaced() -> None:
    raw = json.dumps(call(0, request_body="a\ud83d", properties={"x": "\ude00"}, response_body=["\ud83d"])).encode()
    logged = parse_line(exported_of(raw).line, [], NOW)
    assert (logged.request.decode(), dict(logged.headers)[b"helicone-property-x"].decode()) == ("a\ufffd", "\ufffd")
    assert logged.response == b'["\\ufffd"]'


@given(st.recursive(st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(), lambda inner: st.dictionaries(st.text(), inner)))
def test_nothing_else_comes_of_any_value_in_any_field(value: Any) -> None:
    for name in CALLS[0]:
        try:
            exported(CALLS[0] | {name: value})
        except BadElement:
            continue


# Elements


def elements(data: bytes) -> list[Element]:
    return list(elements_of(io.BufferedReader(io.BytesIO(data))))  # type: ignore[arg-type]


ONE, TWO = b'{"a":1}', '{"b":"ü,]"}'.encode()
FILES: dict[str, tuple[bytes, list[tuple[int, bytes]]]] = {
    "nothing": (b"", []),
    "blanks": (b" \n\n", []),
    "lines": (ONE + b"\n" + TWO + b"\n", [(1, ONE), (2, TWO)]),
    "lines of Windows, and blank ones": (b"\xef\xbb\xbf" + ONE + b"\r\n\r\n" + TWO, [(1, ONE), (3, TWO)]),
    "a broken line between": (ONE + b"\n{,\n" + TWO, [(1, ONE), (2, b"{,"), (3, TWO)]),
    "an array": (b"\n [" + ONE + b" ,\n" + TWO + b"]\n", [(1, ONE), (2, TWO)]),
    "an empty array": (b"[ ]", []),
    "an array of anything": (b'[1,"]",null,[2]]', [(1, b"1"), (2, b'"]"'), (3, b"null"), (4, b"[2]")]),
    "an answer": (b'{"data":[' + ONE + b"," + TWO + b'],"error":null}', [(1, ONE), (1, TWO)]),
    "answers, a page to a line": (b'{"data":[' + ONE + b']}\n{ "data": [' + TWO + b"]}\n", [(1, ONE), (2, TWO)]),
    "an answer over several lines": (b'{\n "data": [\n' + ONE + b",\n" + TWO + b"\n], \n" + b'"error": null\n}\n', [(1, ONE), (2, TWO)]),
    "an answer that is broken": (b'{"data":[1,]}\n' + ONE, [(1, b'{"data":[1,]}'), (2, ONE)]),
    "a call over several lines": (b'{\n"a": 1\n}\n', [(1, b'{\n"a": 1\n}')]),
}
PACKED = {"plain": lambda data: data, "gzip": gzip.compress, "zstd": zstandard.compress}


@pytest.mark.parametrize("how", PACKED)
@pytest.mark.parametrize(("data", "expected"), FILES.values(), ids=FILES)
def test_elements(data: bytes, expected: list[tuple[int, bytes]], how: str) -> None:
    stream = decompressed(io.BufferedReader(io.BytesIO(PACKED[how](data))))  # type: ignore[arg-type]
    assert [(each.number, each.raw) for each in elements_of(stream)] == expected


@pytest.mark.parametrize("data", [b"[" + ONE, b"[" + ONE + b" " + TWO + b"]", b"[" + ONE + b",{,}]", b'{\n"a": \n'])
def test_where_nothing_more_can_be_read_it_is_said(data: bytes) -> None:
    with pytest.raises(Unreadable):
        elements(data)


@pytest.mark.parametrize("how", ["gzip", "zstd"])
@pytest.mark.parametrize("lost", [1, 12])
def test_a_file_that_was_cut_off_is_no_whole_one(tmp_path: Path, how: str, lost: int) -> None:
    (tmp_path / "cut").write_bytes(PACKED[how](b"\n".join([ONE] * 9))[:-lost])
    export = ExportFile(str(tmp_path / "cut"))
    with closing(export), pytest.raises(Unreadable, match="damaged, or ends"):
        list(export.elements())


def test_frames_and_members_one_after_the_other(tmp_path: Path) -> None:
    for how in ("gzip", "zstd"):
        (tmp_path / how).write_bytes(PACKED[how](ONE + b"\n") + PACKED[how](TWO))
        with closing(ExportFile(str(tmp_path / how))) as export:
            assert [each.raw for each in export.elements()] == [ONE, TWO]
            assert export.read == (tmp_path / how).stat().st_size


def test_what_came_before_is_read() -> None:
    source = elements_of(io.BufferedReader(io.BytesIO(b"[1,2,{]")))  # type: ignore[arg-type]
    assert [next(source).raw, next(source).raw] == [b"1", b"2"]
    with pytest.raises(Unreadable, match="element 3"):
        next(source)


def test_an_array_of_long_elements_is_read_whole() -> None:
    long = [{"text": "x" * 700_000, "n": n} for n in range(5)]
    assert [json.loads(each.raw)["n"] for each in elements(json.dumps(long).encode())] == [0, 1, 2, 3, 4]


def test_a_line_that_is_too_long_is_passed_over() -> None:
    found = elements(b'{"a":"' + b"x" * (2 * MOST_BYTES) + b'"}\n' + ONE)
    assert [(each.number, each.wrong is None) for each in found] == [(1, False), (2, True)]
