"""What is found in a body and replaced in its stored copy: in JSON, in streams cut anywhere, in text; and that all else stays."""

import asyncio
import base64
import json
import re
import subprocess
import sys
import threading
import tracemalloc
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from prometheus_client import REGISTRY

from eventlog.events import Body, Organization
from eventlog.redaction import Detector, Redaction, Unheard
from ingress.budget import LARGE, SLOW, Budget, GivenUp
from ingress.config import Durability, EmitterLimits
from ingress.detectors import BadPattern, Rule
from ingress.prompts import LONGEST_INPUT
from ingress.redaction import BORDER_RAW, Cut, is_clean, redacted, redacted_body, redacted_inputs
from ingress.redactor import FAILED, most_at_once, searched
from processors.assembled import assemble
from tests.fakes.ingress import World, running
from tests.fakes.provider import sized

AT = datetime(2026, 11, 26, tzinfo=UTC)
KEY = "sk-proj-Ab1cD2eF3gH4iJ5kL6mN7oP8"
SSE = "text/event-stream"


def said(*detectors: str, **patterns: str) -> Redaction:
    return Redaction(organization=Organization("default"), detectors=detectors, patterns=patterns, set_at=AT)


ALL = said(*Detector, employee=r"EMP-[0-9]+")
RULE = Rule(ALL)


def stored(text: str, content_type: str | None = None, rule: Rule = RULE, cut: Cut = Cut.NOWHERE) -> str:
    return redacted(text.encode(), rule, content_type, cut, Counter()).decode()


FOUND = {
    "an address": ("to a.b+c@ex-a.co.uk.", "to [redacted:email]."),
    "an address with letters of other alphabets": ("jürgen@müller.de", "[redacted:email]"),
    "an address among words without blanks": ("写给bob@x.com谢谢", "写给[redacted:email]谢谢"),
    "a card": ("4111 1111 1111 1111", "[redacted:card]"),
    "a card with dashes, behind a number": ("order 12 4111-1111-1111-1111", "order 12 [redacted:card]"),
    "a card and its date": ("4111111111111111 12/27", "[redacted:card] 12/27"),
    "two cards": ("5500005555555559,378282246310005", "[redacted:card],[redacted:card]"),
    "a card at the end of a sentence": ("It is 4111111111111111.", "It is [redacted:card]."),
    "a telephone, international": ("call +1 (555) 123-4567 now", "call [redacted:phone] now"),
    "a telephone with a zero": ("+49 (0) 30 123456", "[redacted:phone]"),
    "a telephone of the United States": ("(555) 123-4567, 555-123-4567", "[redacted:phone], [redacted:phone]"),
    "a telephone of Germany": ("030 1234567", "[redacted:phone]"),
    "a telephone of France": ("01 23 45 67 89", "[redacted:phone]"),
    "OpenAI's keys": (f"key={KEY}", "key=[redacted:provider-keys]"),
    "Anthropic's": ("sk-ant-api03-AAAAAAAAAAAAA-B1", "[redacted:provider-keys]"),
    "Google's": ("AIzaSyA1234567890abcdefghijklmnopqrstu-v", "[redacted:provider-keys]"),
    "Groq's": ("gsk_abcdefghij1234567890", "[redacted:provider-keys]"),
    "AWS's": ("AKIAIOSFODNN7EXAMPLE", "[redacted:provider-keys]"),
    "Hugging Face's": ("hf_abcdefghij1234567890", "[redacted:provider-keys]"),
    "xAI's, Perplexity's": ("xai-abcdefghij1234567890 pplx-abcdefghij1234567890", "[redacted:provider-keys] [redacted:provider-keys]"),
    "GitHub's, Slack's": ("ghp_abcdefghij1234567890/xoxb-1234567890-abc", "[redacted:provider-keys]/[redacted:provider-keys]"),
    "Heliograph's own": ("sk-helicone-abcdef1-abcdef2-abcdef3-abcdef4", "[redacted:provider-keys]"),
    "one's own": ("EMP-1234 left", "[redacted:employee] left"),
    "an address within a pattern of one's own": ("EMP-12@x.com", "[redacted:email]"),
}


@pytest.mark.parametrize(("text", "expected"), FOUND.values(), ids=FOUND)
def test_what_is_found(text: str, expected: str) -> None:
    assert stored(text) == expected
    assert json.loads(stored(json.dumps({"a": [text]}))) == {"a": [expected]}


LEFT = {
    "a check digit that is wrong": "4111 1111 1111 1112",
    "milliseconds since 1970": "1732631234567",
    "nanoseconds since 1970": "1732631234567890123",
    "a fraction": "-0.4111111111111111",
    "a longer number": "94111111111111111199999",
    "a table of numbers": "512 234 991 203 411 118 305",
    "a table of years": "2019 2020 2021 2022",
    "a call's id": "0190f5c2-4111-7111-8111-111111111111",
    "a date": "2026-11-26 10:11:12, 02-11-2026",
    "an address of a machine": "192.168.100.200:8787",
    "a name in words and dashes": "task-sk-learn-contrib-somethings sk-learn-contrib-something",
    "a decorator": "@dataclass user@host",
    "an expression": "x+12345678901",
}


@pytest.mark.parametrize("text", LEFT.values(), ids=LEFT)
def test_what_is_left(text: str) -> None:
    assert stored(text) == text


JSON = {
    "escaped": (r'{"a": "x\u0040y.com"}', '{"a": "[redacted:email]"}'),
    "escaped behind a line's end": (r'{"a": "hi\nbob@x.com\tEMP-1"}', r'{"a": "hi\n[redacted:email]\t[redacted:employee]"}'),
    "with slashes": (r'{"a": "\/bob@x.com\/"}', r'{"a": "\/[redacted:email]\/"}'),
    "JSON within": (r'{"a": "{\"m\": \"hi\\nbob\\u0040x.com\"}"}', r'{"a": "{\"m\": \"hi\\n[redacted:email]\"}"}'),
    "a surrogate pair before": (r'{"a": "\ud83d\ude00 bob@x.com"}', r'{"a": "\ud83d\ude00 [redacted:email]"}'),
    "a key": ('{"bob@x.com": 1}', '{"[redacted:email]": 1}'),
    "a number": ('{"a": 4111111111111111, "b": 1.5}', '{"a": "[redacted:card]", "b": 1.5}'),
    "not over strings": ('["+1", "5551234567890"]', '["+1", "5551234567890"]'),
    "written with blanks": ('{ "a" :\n "bob@x.com" }', '{ "a" :\n "[redacted:email]" }'),
    "cut": ('{"a": "x\\u0040y.com", "b', '{"a": "[redacted:email]", "b'),
}


@pytest.mark.parametrize(("text", "expected"), JSON.values(), ids=JSON)
def test_json(text: str, expected: str) -> None:
    assert stored(text) == expected


def test_anchors_are_those_of_each_string() -> None:
    rule = Rule(said(whole="^secret$"))
    assert stored('["secret", "no secret"]', rule=rule) == '["[redacted:whole]", "no secret"]'


def test_a_number_is_replaced_as_a_whole() -> None:
    assert stored('{"a": 123456789}', rule=Rule(said(five="^12345"))) == '{"a": "[redacted:five]"}'


REFUSED = {
    "look-around": ({"a": "(?=x)"}, "look-around"),
    "nothing": ({"a": "x*"}, "matches where nothing is"),
    "a border": ({"a": r"\b"}, "matches where nothing is"),
    "empty": ({"a": ""}, "0 characters"),
    "too long": ({"a": "x" * 1001}, "1001 characters"),
    "too many": ({f"a{number}": "x" for number in range(33)}, "at most 32"),
    "too much": ({"a": "[a-z]{999}", "b": "[a-z]{1,999}x{999}", "c": r"\pL{9}"}, "steps"),
    "a name with blanks": ({"a b": "x"}, "no name"),
    "a detector's name": ({"email": "x"}, "no name"),
    "what marks a border": ({"cut": "x"}, "no name"),
}


@pytest.mark.parametrize(("patterns", "why"), REFUSED.values(), ids=REFUSED)
def test_patterns_that_are_refused(patterns: dict[str, str], why: str) -> None:
    with pytest.raises(BadPattern, match=why):
        Rule(said(**patterns))


def test_a_detector_of_a_later_version_is_refused() -> None:
    with pytest.raises(BadPattern, match="no detector"):
        Rule(said("iban"))


# Streams


def chat(piece: str) -> str:
    return "data: " + json.dumps({"id": "c-1", "choices": [{"index": 0, "delta": {"content": piece}}]})


def arguments(piece: str) -> str:
    call = {"index": 1, "function": {"arguments": piece}}
    return "data: " + json.dumps({"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]}, ensure_ascii=False)


def anthropic(piece: str) -> str:
    said_ = {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": piece}}
    return f"event: content_block_delta\ndata: {json.dumps(said_)}"


def responses(piece: str) -> str:
    said_ = {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": piece, "obfuscation": "x8Zq1"}
    return f"event: response.output_text.delta\ndata: {json.dumps(said_)}"


def gemini(piece: str) -> str:
    return "data: " + json.dumps({"candidates": [{"content": {"parts": [{"text": piece}], "role": "model"}}]})


def on_lines(piece: str) -> str:
    return "\n".join(f"data: {line}" for line in json.dumps({"choices": [{"index": 0, "text": piece}]}, indent=1).split("\n"))


def texts_in(value: Any) -> list[str]:
    if isinstance(value, dict):
        named = [inner for name, inner in value.items() if name in {"content", "arguments", "text", "delta"} and isinstance(inner, str)]
        return named + [text for inner in value.values() for text in texts_in(inner)]
    return [text for inner in value for text in texts_in(inner)] if isinstance(value, list) else []


def heard(stream: str) -> str:
    """What a reader of the stream puts together."""
    events = ("\n".join(line[5:] for line in event.splitlines() if line.startswith("data:")) for event in stream.split("\n\n"))
    return "".join(text for event in events if event.strip() and event.strip() != "[DONE]" for text in texts_in(json.loads(event)))


SHAPES = {each.__name__: each for each in (chat, arguments, anthropic, responses, gemini, on_lines)}
SECRETS = {"email": "bob.builder@example.com", "card": "4111 1111 1111 1111", "provider-keys": KEY, "employee": "EMP-123456"}
words = st.text(st.sampled_from('ab é\n"\\/{}:,漢😀'), max_size=12)


@st.composite
def spoken(draw: st.DrawFn) -> tuple[list[str], str, list[str]]:
    """A text with secrets in it, cut into pieces anywhere; what is to be stored; the secrets."""
    text = expected = draw(words)
    planted = draw(st.lists(st.sampled_from(sorted(SECRETS)), max_size=3))
    for name in planted:
        more = draw(words)
        text += f" <{SECRETS[name]}> {more}"
        expected += f" <[redacted:{name}]> {more}"
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=12)))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    return pieces, expected, [SECRETS[name] for name in planted]


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@given(spoken())
def test_any_text_cut_anywhere(shape: Any, spoken: tuple[list[str], str, list[str]]) -> None:
    pieces, expected, secrets = spoken
    stream = "".join(f"{shape(piece)}\n\n" for piece in pieces) + "data: [DONE]\n\n"
    kept = stored(stream, SSE)
    assert heard(kept) == expected
    assert not [part for secret in secrets for part in parts_of(secret) if part in kept]
    if not secrets:
        assert kept == stream


def parts_of(secret: str) -> set[str]:
    return {secret[start : start + 6] for start in range(len(secret) - 5)}


@given(spoken())
def test_any_document(spoken: tuple[list[str], str, list[str]]) -> None:
    pieces, expected, secrets = spoken
    text = "".join(pieces)
    for ascii_ in (True, False):
        body = json.dumps({"model": "m", "messages": [{"content": text, "n": [1.5, None]}]}, ensure_ascii=ascii_)
        kept = stored(body)
        assert json.loads(kept)["messages"][0] == {"content": expected, "n": [1.5, None]}
        assert secrets or kept == body


def test_choices_are_not_mixed() -> None:
    pieces = [(0, "bob@"), (1, "EMP"), (0, "x.com"), (1, "-1 and bob@")]
    events = [{"choices": [{"index": index, "delta": {"content": piece}}]} for index, piece in pieces]
    kept = stored("".join(f"data: {json.dumps(event)}\n\n" for event in events), SSE)
    contents = [json.loads(line[5:])["choices"][0]["delta"]["content"] for line in kept.splitlines() if line]
    assert contents == ["[redacted:email]", "[redacted:employee]", "", " and bob@"]


def test_an_input_that_was_cut_leaves_no_half() -> None:
    text = "x" * (LONGEST_INPUT - len(KEY) // 2) + KEY
    kept = redacted_inputs({"a": text[:LONGEST_INPUT]}, RULE, Counter())["a"]
    assert KEY[:6] not in kept
    assert kept.startswith("x" * 3_000)


def test_names_of_inputs_are_redacted_too() -> None:
    """Those that are alike then are numbered."""
    counts: Counter[str] = Counter()
    kept = redacted_inputs({"bob@x.com": "Oslo", "to": "bob@x.com", "eve@x.com": "Rome", "who": "Eve"}, RULE, counts)
    assert kept == {"[redacted:email]": "Oslo", "to": "[redacted:email]", "[redacted:email] 2": "Rome", "who": "Eve"}
    assert counts == {"email": 3}


def test_lines_of_json() -> None:
    lines = "".join(json.dumps({"model": "llama", "message": {"content": piece}}) + "\n" for piece in ("bob@", "x", ".com!"))
    assert [json.loads(line)["message"]["content"] for line in stored(lines).splitlines()] == ["[redacted:email]", "", "!"]


def spoken_on_lines(piece: str) -> str:
    return json.dumps({"message": {"content": piece}, "done": False}) + "\n"


BROKEN = {
    "the last line, known by its type": ("application/x-ndjson", [], ['{"mess']),
    "the last line": (None, [], ['{"mess']),
    "the second of two lines": (None, ["bob@x.com and "], ['{"message": {"content": "sk-proj-Ab1']),
    "a line in the middle": (None, [], ['{"mess\n', spoken_on_lines("more"), "no JSON\n", spoken_on_lines("still more")]),
}


@pytest.mark.parametrize(("content_type", "before", "after"), BROKEN.values(), ids=BROKEN)
def test_a_broken_line_spoils_no_other(content_type: str | None, before: list[str], after: list[str]) -> None:
    pieces = before or ["my key is ", "sk-proj-", "Ab1cD2eF3", "gH4iJ5kL6mN7oP8", " ok"]
    kept = stored("".join([*map(spoken_on_lines, pieces), *after]), content_type)
    assert not [part for part in parts_of(KEY) if part in kept]
    assert "[redacted:cut]" in kept
    assert '{"mess' + "\n" not in kept
    assert ("[redacted:email]" if before else "[redacted:provider-keys]") in kept


def test_a_document_is_no_lines_whatever_it_is_called() -> None:
    assert stored('{\n "a": "bob@x.com"\n}\n', "application/x-ndjson") == '{\n "a": "[redacted:email]"\n}\n'


OTHER_EVENTS = {
    "strings of JSON": json.dumps,
    "arrays": lambda piece: json.dumps([{"content": piece}]),
    "tokens as they are": lambda piece: piece,
}


@pytest.mark.parametrize("written", OTHER_EVENTS.values(), ids=OTHER_EVENTS)
def test_pieces_in_other_events(written: Any) -> None:
    pieces = ["my key is ", "sk-proj-", "Ab1cD2eF3", "gH4iJ5kL6mN7oP8", " ok"]
    said_, expected = (
        "".join(f"data: {written(piece)}\n\n" for piece in each) + "data: [DONE]\n\n"
        for each in (pieces, ["my key is ", "[redacted:provider-keys]", "", "", " ok"])
    )
    assert stored(said_, SSE) == expected


PLAIN_EVENTS = {
    "texts for themselves": ("data: 4111 1111 1111 1111\n\ndata: 22\n\n", "data: [redacted:card]\n\ndata: 22\n\n"),
    "lines of one event": ("data: bob@x.co\ndata: mpany\n\n", "data: [redacted:email]\ndata: mpany\n\n"),
    "half a string": ('data: "sk-proj-"\n\ndata: "Ab1cD2eF3gH4', 'data: "sk-proj-"\n\ndata: [redacted:cut]'),
    "a quote that is no JSON": ('data: "\n\ndata: bob@\n\ndata: x.com"\n\n', 'data: "\n\ndata: [redacted:email]\n\ndata: "\n\n'),
    "half an event on several lines": ('data: {\ndata: "text": "Ab1cD2eF\n', "data: [redacted:cut]\ndata: [redacted:cut]\n"),
}


@pytest.mark.parametrize(("text", "expected"), PLAIN_EVENTS.values(), ids=PLAIN_EVENTS)
def test_events_that_are_no_json(text: str, expected: str) -> None:
    assert stored(text, SSE) == expected


TOKENS = [{"token": token, "bytes": list(token.encode()), "logprob": -1.0} for token in ("bob", "@x", ".com")]
REPEATED = {
    "chat": {"choices": [{"message": {"content": "bob@x.com"}, "logprobs": {"content": TOKENS}}]},
    "completions": {"choices": [{"text": "bob@x.com", "logprobs": {"tokens": ["bob", "@x", ".com"]}}]},
    "responses": {"output": [{"content": [{"type": "output_text", "text": "bob@x.com", "logprobs": TOKENS}]}]},
    "Gemini's": {"candidates": [{"content": {"parts": [{"text": "bob@x.com"}]}, "logprobsResult": {"chosenCandidates": TOKENS}}]},
}


@pytest.mark.parametrize("answer", REPEATED.values(), ids=REPEATED)
def test_what_tells_a_text_token_by_token_goes_with_it(answer: dict[str, Any]) -> None:
    counts: Counter[str] = Counter()
    kept = redacted(json.dumps(answer).encode(), RULE, None, Cut.NOWHERE, counts).decode()
    json.loads(kept)
    assert "bob" not in kept
    assert str(list(b"bob")) not in kept
    assert counts == {"email": 1}
    clean = json.dumps(answer).replace("@", "")
    assert stored(clean) == clean


def test_tokens_of_a_stream_go_with_its_text() -> None:
    events = [{"choices": [{"index": 0, "delta": {"content": each["token"]}, "logprobs": {"content": [each]}}]} for each in TOKENS]
    counts: Counter[str] = Counter()
    kept = redacted("".join(f"data: {json.dumps(event)}\n\n" for event in events).encode(), RULE, SSE, Cut.NOWHERE, counts).decode()
    assert heard(kept) == "[redacted:email]"
    assert "bob" not in kept
    assert kept.count('"logprobs": "[redacted:cut]"') == 3
    assert counts == {"email": 1}


def test_an_array_of_events_that_broke_off() -> None:
    events = [json.dumps({"candidates": [{"content": {"parts": [{"text": piece}]}}]}) for piece in ("a ", "sk-proj-Ab1cD2eF3")]
    kept = stored("[" + ",\n".join([*events, '{"candidates": [{"content": {"parts": [{"text": "gH4iJ5kL6m']))
    assert kept.endswith(",\n[redacted:cut]")
    assert "gH4iJ5" not in kept


def test_an_array_of_events() -> None:
    body = json.dumps([{"candidates": [{"content": {"parts": [{"text": piece}]}}]} for piece in ("bob@", "x.com", "!")], indent=1)
    assert [each["candidates"][0]["content"]["parts"][0]["text"] for each in json.loads(stored(body))] == ["[redacted:email]", "", "!"]


def test_other_lines_of_a_stream() -> None:
    assert stored(": from bob@x.com\n\nevent: x\nid: EMP-1\n\n", SSE) == ": from [redacted:email]\n\nevent: x\nid: [redacted:employee]\n\n"


def test_an_event_that_broke_off_is_given_up() -> None:
    kept = stored(f'{chat("bob@")}\n\n{chat("exam")}\n\ndata: {{"choices": [{{"index": 0, "delta": {{"content": "ple.com', SSE)
    assert kept.endswith("data: [redacted:cut]")


def test_a_streams_events_without_a_blank_line() -> None:
    assert heard(stored(f"{chat('bob@')}\n{chat('x.com')}\n", SSE).replace("\n", "\n\n")) == "[redacted:email]"


# What a search may take

QUADRATIC = Rule(said(own="(?s)x.*y|x"))
HEAVY = {
    "addresses": "a@b.cc " * 10_000,
    "addresses in JSON": json.dumps(["a@b.cc"] * 10_000),
    "escapes": '"' + "\\n" * 500_000 + 'a@b.cc"',
    "pieces": 'data: {"text":"a"}\n\n' * 5_000,
    "texts in pieces": "".join(f'data: {{"text":"a","index":{index}}}\n\n' for index in range(2_000)),
    "an event of many lines": "data: a\n" * 10_000,
}
LAZY = {
    "digits": "1 " * 40_000,
    "events without data": ":\n\n" * 30_000,
    "lines": "{}\n" * 30_000,
    "line ends": json.dumps("\n" * 60_000 + "a@b.cc"),
    "elements": '[{"candidates":1}' + ",{}" * 30_000 + "]",
    "one large event": 'data: {"a":[' + "{}," * 60_000 + "{}]}\n\n",
}


def test_a_search_is_given_up_when_its_time_is_spent() -> None:
    """Each search is linear, and all of them are the square."""
    with pytest.raises(GivenUp, match=SLOW):
        redacted(b"x" * 200_000, QUADRATIC, None, Cut.NOWHERE, Counter(), Budget(0.05))


@pytest.mark.parametrize("text", HEAVY.values(), ids=HEAVY)
def test_a_search_is_given_up_when_it_remembers_too_much(text: str) -> None:
    with pytest.raises(GivenUp, match=LARGE):
        redacted(text.encode(), RULE, None, Cut.NOWHERE, Counter(), Budget(60, held=500_000))


@pytest.mark.parametrize("text", LAZY.values(), ids=LAZY)
def test_a_search_takes_little_more_than_the_body(text: str) -> None:
    data = text.encode()
    tracemalloc.start()
    try:
        redacted(data, RULE, None, Cut.NOWHERE, Counter(), Budget(60))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10 * len(data) + 100_000


# Bodies


def body(text: str | None = None, **more: Any) -> Body:
    return Body(**({"text": text, "size": len((text or "").encode())} | more))


@given(st.integers(0, 60))
def test_a_border_leaves_no_half(at: int) -> None:
    text = "x " * 2_000 + f"<{KEY}>" + " y" * 2_000
    border = 4_000 + at
    for side in ("text", "tail"):
        whole = (
            body(text[:border], tail="", truncated=True, size=10**6)
            if side == "text"
            else body("z", tail=text[border:], truncated=True, size=10**6)
        )
        kept = redacted_body(whole, RULE).body
        assert not [part for part in parts_of(KEY) if part in (kept.text or "") + (kept.tail or "")]
        assert len(getattr(kept, side)) > 2_000


def google(piece: str) -> str:
    return ",\n" + json.dumps({"candidates": [{"content": {"parts": [{"text": piece}], "role": "model"}}]})


CUT_STREAMS = {
    "sent": (SSE, "", lambda piece: f"{chat(piece)}\n\n"),
    "lines": (None, "", spoken_on_lines),
    "lines, known by their type": ("application/x-ndjson", "", spoken_on_lines),
    "an array": ("application/json", '[{"candidates": []}', google),
}


@pytest.mark.parametrize(("content_type", "first", "written"), CUT_STREAMS.values(), ids=CUT_STREAMS)
def test_a_border_within_a_stream_leaves_no_half(content_type: str | None, first: str, written: Any) -> None:
    stream = first + "".join(written(piece) for piece in [*["word "] * 400, *KEY, *[" word"] * 400])
    begins = stream.index(written(KEY[0]))
    for middle in range(begins, begins + 70 * len(KEY), 97):
        told = body(stream[:middle], tail=stream[middle:], truncated=True, size=10**6, content_type=content_type)
        kept = redacted_body(told, RULE).body
        for side in (kept.text, kept.tail):
            assert side is not None
            said_ = "".join(re.findall(r'"(?:content|text)": "([^"]*)"', side))
            assert not [part for part in parts_of(KEY) if part in said_]
            assert "word" in said_


def test_head_and_tail_that_adjoin_are_one() -> None:
    text = f'{{"a": "{"x " * 2_000}{KEY}{" y" * 2_000}"}}'
    kept = redacted_body(body(text[:4_015], tail=text[4_015:], truncated=True, size=len(text)), RULE).body
    assert (kept.text, kept.tail, kept.truncated) == (text.replace(KEY, "[redacted:provider-keys]"), None, False)


def test_a_long_plain_head_keeps_what_is_before_its_border() -> None:
    kept = redacted_body(body("bob@x.com" + " x" * 5_000, truncated=True, size=10**6), RULE)
    assert kept.body.text is not None
    assert kept.body.text.startswith("[redacted:email] x")
    assert kept.body.text.endswith("[redacted:cut]")
    assert len(kept.body.text) > 10_000 - BORDER_RAW
    assert kept.counts == {"email": 1}


def test_bytes_that_are_no_text_are_searched_as_they_are() -> None:
    raw = b"\xff\xfe bob@x.com \x00"
    kept = redacted_body(Body(base64=base64.b64encode(raw).decode(), size=len(raw)), RULE)
    assert base64.b64decode(kept.body.base64 or "") == b"\xff\xfe [redacted:email] \x00"


def test_what_cannot_be_searched_is_not_kept() -> None:
    kept = redacted_body(Body(base64="AAAA", size=3, undecodable="br: broken", content_type="x"), RULE).body
    assert (kept.base64, kept.text, kept.size, kept.content_type) == (None, None, 3, "x")
    assert kept.undecodable is not None
    assert kept.undecodable.startswith("br: broken; not kept")


# The whole way

ASKED = json.dumps({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": f"I am bob@x.com, key {KEY}"}]}).encode()
ANSWERED = json.dumps(
    {
        "model": "gpt-4o-mini",
        "choices": [{"message": {"content": "EMP-1 and EMP-2"}}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 4},
    }
).encode()


def rule_for(organization: Organization) -> Redaction | None:
    return ALL if organization == "default" else None


async def seen(world: World) -> tuple[Any, Any]:
    (request,), (response,) = await world.requests(), await world.responses()
    return request, response


@pytest.mark.parametrize("durability", Durability)
@pytest.mark.parametrize("filler", ["", "x" * 100_000], ids=["small", "large"])
async def test_the_copy_is_redacted_and_the_call_is_not(durability: Durability, filler: str) -> None:
    asked, answered = ASKED.replace(b"I am", f"{filler} I am".encode()), ANSWERED.replace(b" and ", f" {filler} ".encode())
    async with running(sized(answered), redaction_for=rule_for, durability=durability) as world:
        answer = await world.post(body=asked)
        assert answer.partition(b"\r\n\r\n")[2] == answered
        assert world.provider.requests[0].partition(b"\r\n\r\n")[2] == asked
        request, response = await seen(world)
        assert request.request.text == asked.decode().replace("bob@x.com", "[redacted:email]").replace(KEY, "[redacted:provider-keys]")
        assert response.response.text == answered.decode().replace("EMP-1", "[redacted:employee]").replace("EMP-2", "[redacted:employee]")
        assert request.redactions == {"email": 1, "provider-keys": 1}
        assert response.redactions == {"email": 1, "provider-keys": 1, "employee": 2}
        assert response.response.size == len(answered)


async def test_who_has_no_rule_is_stored_as_it_came() -> None:
    async with running(sized(ANSWERED), redaction_for=lambda _: None) as world:
        await world.post(body=ASKED)
        request, response = await seen(world)
        assert (request.request.text, response.response.text) == (ASKED.decode(), ANSWERED.decode())
        assert (request.redactions, response.redactions) == ({}, {})


def metric(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0


async def test_it_is_counted() -> None:
    before = metric("heliograph_redactions_total", detector="own"), metric("heliograph_redactions_total", detector="email")
    async with running(sized(ANSWERED), redaction_for=rule_for) as world:
        await world.post(body=ASKED)
        await seen(world)
    assert metric("heliograph_redactions_total", detector="own") == before[0] + 2
    assert metric("heliograph_redactions_total", detector="email") == before[1] + 1


async def test_a_rule_that_is_not_understood_keeps_no_body() -> None:
    before = metric("heliograph_events_dropped_total", reason="redaction_failed")
    async with running(sized(ANSWERED), redaction_for=lambda _: said("iban")) as world:
        answer = await world.post(body=ASKED)
        assert answer.partition(b"\r\n\r\n")[2] == ANSWERED
        request, response = await seen(world)
        for each in (request.request, response.response):
            assert (each.text, each.base64, each.tail, each.undecodable) == (None, None, None, "not kept: redaction_failed")
        assert (request.request.size, response.response.size) == (len(ASKED), len(ANSWERED))
    assert metric("heliograph_events_dropped_total", reason="redaction_failed") == before + 2


async def test_where_no_rule_was_heard_of_no_body_is_kept() -> None:
    before = metric("heliograph_events_dropped_total", reason="redaction_unknown")
    async with running(sized(ANSWERED), redaction_for=lambda _: Unheard.RULES) as world:
        answer = await world.post(body=ASKED)
        assert answer.partition(b"\r\n\r\n")[2] == ANSWERED
        request, response = await seen(world)
        for each in (request.request, response.response):
            assert (each.text, each.base64, each.tail, each.undecodable) == (None, None, None, "not kept: redaction_unknown")
    assert metric("heliograph_events_dropped_total", reason="redaction_unknown") == before + 2


SQUARE = Redaction(organization=Organization("default"), patterns={"own": "(?s)x.*~|x"}, set_at=AT)


async def test_a_pattern_that_takes_the_square_holds_nobody_up_for_long() -> None:
    async with running(sized(ANSWERED), redaction_for=lambda _: SQUARE) as world:
        await world.post(body=ASKED.replace(b"I am", b"x" * 400_000))
        await world.post(body=ASKED.replace(b"I am", b"a" * 20_000))
        first, second = await world.requests(2)
    assert (first.request.text, first.request.undecodable) == (None, "not kept: redaction_slow")
    assert second.redactions == {"own": 1}


@pytest.mark.parametrize("durability", Durability)
async def test_what_is_not_searched_at_the_end_goes_on_without_its_body(durability: Durability) -> None:
    before = metric("heliograph_events_dropped_total", reason="redaction_behind")
    asked = ASKED.replace(b"I am", b"x" * 3_000_000)
    async with running(sized(ANSWERED), redaction_for=lambda _: SQUARE, durability=durability, strict_body_bytes=4 << 20) as world:
        calling = asyncio.create_task(world.post(body=asked))
        await asyncio.sleep(0.5)
        await world.ingress.drain(0.1)
        (request,) = await world.requests()
        await calling
    assert (request.request.text, request.request.size, request.request.undecodable) == (None, len(asked), "not kept: redaction_behind")
    assert metric("heliograph_events_dropped_total", reason="redaction_behind") > before
    async with asyncio.timeout(30):
        while any(thread.name == "redaction" for thread in threading.enumerate()):
            await asyncio.sleep(0.01)


def test_a_search_keeps_no_process_from_ending() -> None:
    program = """
import asyncio, time
from ingress.search_thread import SearchThread
async def main():
    SearchThread().begin(lambda: time.sleep(60))
asyncio.run(main())
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)


LOOKED_AT = {
    "nothing to be found": (body("a few words"), True),
    "an address": (body("bob@x.com"), False),
    "what its escapes mean": (body(r'"bob\u0040x.com"'), False),
    "so many escapes that undoing them takes long": (body(json.dumps("\n" * 300)), False),
    "a stream, of which pieces may be something together": (body(chat("a")), False),
    "one that was cut": (body("a", truncated=True), False),
    "no text": (Body(base64="AAAA", size=3), False),
    "none": (Body(), True),
}


@pytest.mark.parametrize(("looked_at", "clean"), LOOKED_AT.values(), ids=LOOKED_AT)
def test_a_short_look(looked_at: Body, clean: bool) -> None:
    assert is_clean(looked_at, RULE, Budget()) is clean


def test_the_more_steps_a_pattern_has_the_less_is_searched_at_once() -> None:
    assert most_at_once(RULE) == 16 << 10
    assert most_at_once(Rule(said(own="(?:a|b)*a(?:a|b){900}c"))) < 512


async def test_a_search_that_fails_lets_nothing_through() -> None:
    async with running(sized(ANSWERED)) as world:
        await world.post(body=ASKED)
        request, _ = await seen(world)
    assert searched(replace(request, request=Body(base64="bob@x.com!", size=9)), RULE, Budget()) == FAILED


@pytest.mark.parametrize("filler", ["", "x" * 30_000], ids=["small", "large"])
async def test_what_was_filled_into_a_prompt_is_redacted_too(filler: str) -> None:
    """Both events have it; it counts once."""
    tagged = '<helicone-prompt-input key="who">dear bob@x.com</helicone-prompt-input>'
    asked = json.dumps({"messages": [{"role": "user", "content": f"{filler} Write to {tagged}"}]}).encode()
    async with running(sized(ANSWERED), redaction_for=rule_for) as world:
        await world.post(body=asked, headers=b"Helicone-Prompt-Id: mail\r\n")
        assert b"Write to dear bob@x.com" in world.provider.requests[0]
        request, response = await seen(world)
    for event in (request, response):
        assert event.call.prompt_inputs == {"who": "dear [redacted:email]"}
    assert (request.redactions, response.redactions) == ({"email": 2}, {"email": 2, "employee": 2})


async def test_what_is_searched_at_the_end_is_written_down() -> None:
    asked = ASKED.replace(b"I am", b"bob@x.com " * 20_000)
    async with running(sized(ANSWERED), redaction_for=rule_for) as world:
        await world.post(body=asked)
    request, response = await seen(world)
    assert request.redactions["email"] == 20_001
    assert response.redactions == Counter(request.redactions) + Counter(employee=2)


async def test_more_than_may_wait_is_given_up() -> None:
    async with running(sized(ANSWERED), redaction_for=rule_for, emitter=EmitterLimits(waiting_bytes=50_000)) as world:
        await world.post(body=ASKED.replace(b"I am", b"x" * 60_000))
        (request,) = await world.requests()
        assert (request.request.text, request.request.undecodable) == (None, "not kept: redaction_behind")


LAST = 'data: {"model": "gpt-4o", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}\n\ndata: [DONE]\n\n'


@pytest.mark.parametrize("more", [1, 500], ids=["small", "large"])
async def test_a_stream_is_still_understood(more: int) -> None:
    pieces = [*(["word "] * more), *KEY, " done"]
    stream = "".join(f"{chat(piece)}\n\n" for piece in pieces) + LAST
    async with running(sized(stream.encode(), headers=b"Content-Type: text/event-stream\r\n"), redaction_for=rule_for) as world:
        answer = await world.post(body=ASKED)
        assert answer.partition(b"\r\n\r\n")[2].decode() == stream
        _, response = await seen(world)
        assert not [part for part in parts_of(KEY) if part in heard(response.response.text)]
        message = json.loads(assemble(response) or "")
        assert message["choices"][0]["message"]["content"] == "word " * more + "[redacted:provider-keys] done"
        assert message["usage"]["completion_tokens"] == 4
