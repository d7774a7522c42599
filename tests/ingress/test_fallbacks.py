"""`Helicone-Fallbacks` as it is written, and what is wrong with what is written."""

import base64
import json
from typing import Any

import pytest

from ingress.edits import merged, with_stream_usage
from ingress.errors import BadDirective, BadRequest
from ingress.fallbacks import EXAMPLE, parse_fallbacks

ONE = {"target-url": "https://a.example", "headers": {"Authorization": "Bearer A"}, "onCodes": [401]}


def but(**other: Any) -> list[dict[str, Any]]:
    return [ONE | {name.replace("_", "-"): value for name, value in other.items()}]


def test_what_is_written() -> None:
    first, second = parse_fallbacks(
        json.dumps([ONE, ONE | {"onCodes": [{"from": 500, "to": 599}, 429], "bodyKeyOverride": {"model": "m"}}])
    )
    assert (first.url, first.headers, first.codes, first.override) == (
        "https://a.example",
        ((b"authorization", b"Bearer A"),),
        ((401, 401),),
        {},
    )
    assert (second.codes, second.override) == (((500, 599), (429, 429)), {"model": "m"})
    assert len(parse_fallbacks(EXAMPLE)) == 1


def test_headers_that_never_go_on() -> None:
    headers = {
        "Helicone-Auth": "x",
        "Host": "evil",
        "Connection": "x",
        "Transfer-Encoding": "chunked",
        "Content-Length": "3",
        "X-Mine": " y ",
    }
    assert parse_fallbacks(json.dumps(but(headers=headers)))[0].headers == ((b"x-mine", b"y"),)


def test_a_tab_and_letters_of_any_script_may_be_in_a_value() -> None:
    assert parse_fallbacks(json.dumps(but(headers={"X-Mine": "a\tö"})))[0].headers == ((b"x-mine", "a\tö".encode()),)


OURS = "sk-helicone-aaaaaaa-bbbbbbb-ccccccc-ddddddd"
TAKEN_OUT: dict[str, tuple[dict[str, str], tuple[tuple[bytes, bytes], ...]]] = {
    "alone": ({"Authorization": f"Bearer {OURS}"}, ()),
    "beside a provider's": ({"Authorization": f"Bearer sk-1, Bearer {OURS}"}, ((b"authorization", b"Bearer sk-1"),)),
    "in Base64": ({"Authorization": f"Basic {base64.b64encode(OURS.encode()).decode()}"}, ()),
    "in another header": ({"X-Api-Key": OURS, "X-Mine": "y"}, ((b"x-mine", b"y"),)),
}


@pytest.mark.parametrize(("said", "kept"), TAKEN_OUT.values(), ids=TAKEN_OUT)
@pytest.mark.parametrize("escaped", [False, True])
def test_a_key_of_ours_goes_nowhere(*, said: dict[str, str], kept: tuple[tuple[bytes, bytes], ...], escaped: bool) -> None:
    text = json.dumps(but(headers=said, target_url=f"https://a.example/{OURS}", bodyKeyOverride={"a": [OURS]}))
    (fallback,) = parse_fallbacks(text.replace("-helicone", "\\u002dhelicone") if escaped else text)
    assert fallback.headers == kept
    assert (fallback.url, fallback.override) == ("https://a.example/***", {"a": ["***"]})


def test_what_the_body_is_stays_known() -> None:
    """Whoever lists no content type does not mean a body without one."""
    forwarded = [(b"authorization", b"mine"), (b"content-type", b"application/json"), (b"content-encoding", b"gzip")]
    fallback = parse_fallbacks(json.dumps([ONE]))[0]
    assert fallback.headers_for(forwarded) == [(b"authorization", b"Bearer A"), *forwarded[1:]]
    own = parse_fallbacks(json.dumps(but(headers={"Content-Type": "text/plain"})))[0]
    assert own.headers_for(forwarded) == [(b"content-type", b"text/plain"), (b"content-encoding", b"gzip")]


WRONG = {
    "no JSON": ("[", "is no JSON"),
    "deep": ("[" * 100_000, "is no JSON"),
    "no list": ("{}", "must be a JSON list"),
    "none": ("[]", "with at least one target"),
    "no object": ("[1]", "[0] must be an object"),
    "the second": (json.dumps([ONE, {}]), "[1].target-url"),
    "no headers": (json.dumps(but(headers=None)), "[0].headers must be"),
    "a header that is a number": (json.dumps(but(headers={"A": 1})), "[0].headers must be"),
    "a name that is none": (json.dumps(but(headers={"a b": "c"})), "[0].headers has a name"),
    "a value that breaks out": (json.dumps(but(headers={"a": "b\r\nc: d"})), "[0].headers has a value with control characters"),
    "a value with a control character": (json.dumps(but(headers={"a": "b\x01c"})), "[0].headers has a value with control characters"),
    "a value that is deleted": (json.dumps(but(headers={"a": "b\x7fc"})), "[0].headers has a value with control characters"),
    "a value that ends so": (json.dumps(but(headers={"a": "b\x0b"})), "[0].headers has a value with control characters"),
    "codes that are none": (json.dumps(but(onCodes="500")), "[0].onCodes must be a list"),
    "a code that is none": (json.dumps(but(onCodes=[99])), "[0].onCodes must hold statuses"),
    "a code that is a truth": (json.dumps(but(onCodes=[True])), "[0].onCodes must hold statuses"),
    "a range upside down": (json.dumps(but(onCodes=[{"from": 500, "to": 400}])), "[0].onCodes must hold statuses"),
    "a range without an end": (json.dumps(but(onCodes=[{"from": 500}])), "[0].onCodes must hold statuses"),
    "an override that is none": (json.dumps(but(bodyKeyOverride=[])), "[0].bodyKeyOverride must be an object"),
    "an override that is deep": (json.dumps(but(bodyKeyOverride=json.loads('{"a":' * 40 + "1" + "}" * 40))), "nested at most 32"),
    "a field of another name": (json.dumps(but(on_codes=[1])), "[0] has a field besides"),
}


@pytest.mark.parametrize(("text", "told"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_named(text: str, told: str) -> None:
    with pytest.raises(BadDirective) as caught:
        parse_fallbacks(text)
    assert caught.value.field == "Helicone-Fallbacks"
    assert told in str(caught.value)
    assert EXAMPLE in str(caught.value)
    assert "Bearer A" not in str(caught.value)


MERGES: dict[str, tuple[str, dict[str, Any], str]] = {
    "a value": ('{"model":"a","n":1}', {"model": "b"}, '{"model":"b","n":1}'),
    "nothing": ('{ "model" : "a" }', {}, '{ "model" : "a" }'),
    "a new one": ("{}", {"a": {"b": 1}}, '{"a":{"b":1}}'),
    "deep": ('{"a":{"b":1,"c":{"d":2}}}', {"a": {"c": {"e": 3}}}, '{"a":{"b":1,"c":{"d":2,"e":3}}}'),
    "a list replaces": ('{"a":[1,2]}', {"a": [3]}, '{"a":[3]}'),
    "an object in the place of a value": ('{"a":1}', {"a": {"b": 2}}, '{"a":{"b":2}}'),
    "what JavaScript would stumble over": ('{"a":1}', {"__proto__": {"x": 1}, "a": {"constructor": 1}}, '{"a":{}}'),
    "the rest to the byte": (
        '{"n": 1.50, "big": 123456789012345678901234567890, "s": "\\u00e9", "a": 1}',
        {"a": 2},
        '{"n":1.50,"big":123456789012345678901234567890,"s":"\\u00e9","a":2}',
    ),
}


@pytest.mark.parametrize(("body", "override", "expected"), MERGES.values(), ids=MERGES)
def test_merges(body: str, override: dict[str, Any], expected: str) -> None:
    assert merged(body.encode(), override, header="X").decode() == expected


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\x1f\x8b", b'{"a":' * 100_000])
def test_a_body_that_cannot_be_changed(body: bytes) -> None:
    with pytest.raises(BadRequest) as caught:
        merged(body, {"a": 1}, header="Helicone-Fallbacks")
    assert caught.value.field == "Helicone-Fallbacks"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('{"stream":true}', '{"stream":true,"stream_options":{"include_usage":true}}'),
        ('{"stream":true,"stream_options":{"x":1}}', '{"stream":true,"stream_options":{"x":1,"include_usage":true}}'),
        ('{"stream": false}', '{"stream": false}'),
        ('{"model": "a"}', '{"model": "a"}'),
    ],
)
def test_usage_of_streams(body: str, expected: str) -> None:
    assert with_stream_usage(body.encode(), header="X").decode() == expected
