"""No body whatever makes a dialect raise, and how a stream is written changes nothing of what it says."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventlog.events import Body
from processors.calls import understand
from processors.dialects import DIALECTS
from processors.dialects.answer import answer_of, events_of
from processors.dialects.dialect import Dialect
from processors.pricing.rates import RateBook
from tests.processors.events import batch, call, completed
from tests.processors.mutations import BODIES, BY_NAME, CASES, attempt, try_mutations

STREAMS = [(name, data) for name, data in BODIES if b"data:" in data[:2000] and data[:1] != b"{"]
LINES = [(path.parents[1].name, path.read_bytes()) for path in sorted(CASES.glob("*/*/response.ndjson"))]
RATES = RateBook.bundled()
MUTATIONS = 5_000
"""For each of four seeds."""

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["12", "-1", "1e9"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "type", "index", "message", "delta"]), inner, max_size=3)
    ),
    max_leaves=12,
)
FIELDS = [
    "id type model usage choices error service_tier x_groq detail message delta index finish_reason stop_reason content content_block",
    "prompt_tokens completion_tokens total_tokens prompt_tokens_details input_tokens output_tokens cache_creation response output item",
    "candidates usageMetadata modelVersion promptFeedback finishReason parts thought role groundingMetadata embeddings totalTokens",
    "promptTokenCount candidatesTokenCount thoughtsTokenCount totalTokenCount promptTokensDetails modality trafficType predictions",
    "meta billed_units tokens cached_tokens finish_reason event_type generations done_reason prompt_eval_count eval_count thinking",
    "cache_read_input_tokens cache_creation_input_tokens server_tool_use status incomplete_details output_index text tool_calls data cost",
]


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
@given(fields=st.dictionaries(st.sampled_from(" ".join(FIELDS).split()), JSON, max_size=8), streamed=st.booleans(), cut=st.integers(0, 200))
@settings(max_examples=80)
def test_fields_of_any_kind(dialect: Dialect, fields: dict[str, Any], streamed: bool, cut: int) -> None:
    text = json.dumps(fields, allow_nan=False) if not _has_nan(fields) else json.dumps(fields)
    if streamed:
        text = f"data: {text}\n\n" * 2
    attempt(dialect, Body(text=text))
    attempt(dialect, Body(text=text[:cut], tail=text[cut:], truncated=True, size=len(text)))
    attempt(dialect, Body(text=text[:cut], tail=text[cut // 2 :], truncated=True, size=9))


def _has_nan(value: Any) -> bool:
    return "NaN" in json.dumps(value) or "Infinity" in json.dumps(value)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
@given(
    st.text() | st.binary().map(lambda data: data.decode("latin-1")), st.sampled_from(["text/event-stream", "application/json", "", None])
)
def test_any_text(dialect: Dialect, text: str, content_type: str | None) -> None:
    attempt(dialect, Body(text=text, content_type=content_type))
    attempt(dialect, Body(base64=text, content_type=content_type))
    attempt(dialect, Body(text=text, tail=text, truncated=True, content_type=content_type))


@pytest.mark.parametrize("seed", range(4))
def test_any_mutation(seed: int) -> None:
    try_mutations(20261124 + seed, MUTATIONS)


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, '{"usage":' * 100_000, 'data: {"a":' + "[" * 100_000 + "\n\n", '{"usage":{"prompt_tokens":' + "9" * 10_000 + "}}"],
)
@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_depth_and_length(dialect: Dialect, text: str) -> None:
    attempt(dialect, Body(text=text))
    attempt(dialect, Body(text=text[:50], tail=text[50:], truncated=True))


@pytest.mark.parametrize("depth", [100, 600, 950])
@pytest.mark.parametrize("event", ['{"type":"content_block_start","index":0,"content_block":{"a":%s}}', '{"choices":[{"delta":{"a":%s}}]}'])
@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_depth_that_can_just_be_decoded(dialect: Dialect, event: str, depth: int) -> None:
    attempt(dialect, Body(text=f"data: {event % ('[' * depth + ']' * depth)}\n\n"))


def test_lone_surrogates_in_a_body() -> None:
    for dialect in DIALECTS:
        attempt(dialect, Body(text='data: {"model": "\ud800"}\n\n'))
        attempt(dialect, Body(text='{"model": "\ud800"}'))


@pytest.mark.parametrize(("name", "data"), STREAMS, ids=range(len(STREAMS)))
def test_how_a_stream_is_written_changes_nothing(name: str, data: bytes) -> None:
    """Line ends, comments, missing ends and added pings, all of one meaning."""
    text = data.decode().removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    expected = BY_NAME[name].read(Body(text=text))
    for other in (
        text.replace("\n", "\r\n"),
        text.replace("\n", "\r"),
        "\ufeff" + text,
        ": x\n\n" + text,
        text.rstrip("\n"),
        text.replace("\n\n", "\n\n: ping\n\n"),
    ):
        assert BY_NAME[name].read(Body(text=other, content_type="text/event-stream")) == expected


@pytest.mark.parametrize(("name", "data"), LINES, ids=range(len(LINES)))
def test_how_lines_are_written_changes_nothing(name: str, data: bytes) -> None:
    text = data.decode().replace("\r\n", "\n")
    expected, message = BY_NAME[name].read(Body(text=text)), BY_NAME[name].assemble(Body(text=text))
    events = "".join(f"data: {line}\n\n" for line in text.splitlines())
    for other in (text.replace("\n", "\r\n"), "\ufeff" + text, text.rstrip("\n"), "\n" + text.replace("\n", " \n\n"), events):
        body = Body(text=other, content_type="application/x-ndjson")
        assert BY_NAME[name].read(body) == expected
        assert BY_NAME[name].assemble(body) == message


@pytest.mark.parametrize(("name", "data"), STREAMS + LINES, ids=range(len(STREAMS + LINES)))
def test_a_stream_cut_anywhere_keeps_what_was_seen(name: str, data: bytes) -> None:
    """What a shorter piece has told is never taken back by a longer one."""
    text, models, usages = data.decode(), set(), 0
    for end in range(0, len(text), 7):
        reading = BY_NAME[name].read(Body(text=text[:end], content_type="text/event-stream"))
        models.add(reading.model)
        counted = 0 if reading.usage is None else reading.usage.output
        assert counted >= usages
        usages = counted
    assert len(models) <= 2


@pytest.mark.parametrize(("name", "data"), STREAMS + LINES, ids=range(len(STREAMS + LINES)))
def test_head_and_tail_that_adjoin_are_the_whole(name: str, data: bytes) -> None:
    text = data.decode()
    whole = Body(text=text, size=len(data), content_type="text/event-stream")
    for cut in range(100, len(text), 37):
        body = Body(text=text[:cut], tail=text[cut:], truncated=True, size=len(data), content_type="text/event-stream")
        assert BY_NAME[name].read(body) == BY_NAME[name].read(whole)
        assert BY_NAME[name].assemble(body) == BY_NAME[name].assemble(whole)


def test_only_events_that_are_objects_are_looked_at() -> None:
    answer = answer_of(Body(text='data: {"a":1}\n\ndata: [DONE]\n\ndata: 5\n\n'))
    assert answer is not None
    assert [event.data for event in events_of(answer)] == [b'{"a":1}']


@given(st.lists(st.sampled_from(BODIES), max_size=5))
@settings(max_examples=30)
def test_a_batch_gives_as_many_calls_as_it_has_events(bodies: list[tuple[str, bytes]]) -> None:
    paths = {"openai.chat": "/v1/chat/completions", "anthropic.messages": "/v1/messages"}
    events = [completed(data.decode("utf-8", "replace"), facts=call(path=paths.get(name, "/v1/x"))) for name, data in bodies]
    understood = understand(batch(*events), RATES)
    assert [row.call for row in understood.calls.events] == [event.call for event in events]
