"""Google's paths, and its streams that are one JSON array."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventlog.events import Body
from processors.dialects import dialect_for
from processors.dialects.answer import answer_of
from processors.dialects.arrays import items_in, items_of
from processors.dialects.google_gemini import DIALECT
from processors.dialects.google_paths import model_in
from processors.dialects.reading import Reading
from tests.processors.events import call

CASES = Path(__file__).parents[1] / "cases" / "dialects" / "google.gemini"
ARRAYS = {path.parent.name: path.read_text() for path in sorted(CASES.glob("stream-*/response.json")) if "[{" in path.read_text()[:4]}
VERTEX = "/v1/projects/acme-1/locations/us-east5/publishers"

SPOKEN = {
    "the Gemini API": ("/v1beta/models/gemini-2.5-flash:generateContent", "google.gemini", "gemini-2.5-flash"),
    "a stream of events": ("/v1/models/gemini-2.5-flash:streamGenerateContent?alt=sse", "google.gemini", "gemini-2.5-flash"),
    "behind a prefix": ("/gemini/v1beta/models/gemini-2.5-flash:generateContent/", "google.gemini", "gemini-2.5-flash"),
    "a tuned model": ("/v1beta/tunedModels/poet-1:generateContent", "google.gemini", "tunedModels/poet-1"),
    "Vertex": (f"{VERTEX}/google/models/gemini-2.5-pro:streamGenerateContent", "google.gemini", "gemini-2.5-pro"),
    "a tuned endpoint": ("/v1/projects/1/locations/eu/endpoints/42:generateContent", "google.gemini", "endpoints/42"),
    "Vertex in its short form": ("/v1/publishers/google/models/gemini-2.5-pro:generateContent", "google.gemini", "gemini-2.5-pro"),
    "an embedding": ("/v1beta/models/gemini-embedding-001:embedContent", "google.embeddings", "gemini-embedding-001"),
    "embeddings": ("/v1beta/models/gemini-embedding-001:batchEmbedContents", "google.embeddings", "gemini-embedding-001"),
    "a prediction that is an embedding": (f"{VERTEX}/google/models/text-embedding-005:predict", "google.embeddings", "text-embedding-005"),
    "another prediction": (f"{VERTEX}/google/models/imagen-4.0:predict", None, "asked"),
    "a count": ("/v1beta/models/gemini-2.5-flash:countTokens", "token_counting", "gemini-2.5-flash"),
    "a count for Claude": (f"{VERTEX}/anthropic/models/count-tokens:rawPredict", "token_counting", "asked"),
    "Claude": (f"{VERTEX}/anthropic/models/claude-opus-4-5@20251101:rawPredict", "anthropic.messages", "claude-opus-4-5@20251101"),
    "Claude, encoded": (
        f"{VERTEX}/anthropic/models/claude-opus-4-5%4020251101:rawPredict",
        "anthropic.messages",
        "claude-opus-4-5@20251101",
    ),
    "Claude in a stream": (f"{VERTEX}/anthropic/models/claude-haiku-4-5:streamRawPredict", "anthropic.messages", "claude-haiku-4-5"),
    "another publisher": (f"{VERTEX}/mistralai/models/codestral:rawPredict", None, "asked"),
    "OpenAI's shape on Vertex": ("/v1/projects/1/locations/eu/endpoints/openapi/chat/completions", "openai.chat", "asked"),
    "OpenAI's shape": ("/v1beta/openai/chat/completions", "openai.chat", "asked"),
    "a list of models": ("/v1beta/models", None, "asked"),
    "Anthropic itself": ("/v1/messages", "anthropic.messages", "asked"),
}


@pytest.mark.parametrize(("path", "name", "model"), SPOKEN.values(), ids=SPOKEN)
def test_who_reads_a_path_and_which_model_it_names(path: str, name: str | None, model: str) -> None:
    facts = call("google", path, model="asked")
    dialect = dialect_for(facts, Body())
    assert (dialect and dialect.name) == name
    assert (dialect.model_of(facts, Reading()) if dialect else facts.model) == model


@given(st.text())
def test_any_path(path: str) -> None:
    assert model_in(path) is None or path


def pieces(text: str) -> list[Any]:
    return [json.loads(item) for item in items_in(text)]


OBJECTS = st.dictionaries(st.text(max_size=4), st.text(max_size=8) | st.integers() | st.lists(st.just({"]": "}"}), max_size=2), max_size=3)


@given(st.lists(OBJECTS, max_size=4), st.sampled_from([None, 1]), st.sampled_from(["", "\ufeff", "\r\n "]), st.data())
@settings(max_examples=200)
def test_items_of_an_array_that_is_cut_anywhere(objects: list[Any], indent: int | None, start: str, data: st.DataObject) -> None:
    text = start + json.dumps(objects, indent=indent, ensure_ascii=False)
    assert pieces(text) == objects
    assert pieces(text[:-1]) == objects
    cut = data.draw(st.integers(0, len(text)))
    seen = pieces(text[:cut])
    assert seen == objects[: len(seen)]


NO_ITEMS = {"nothing": "", "a bracket": "[", "no object": '["a"', "text after an item": '[{"a":1} x {"b":2}', "an object": '{"a":1'}


@pytest.mark.parametrize("text", NO_ITEMS.values(), ids=NO_ITEMS)
def test_what_is_no_item_ends_the_array(text: str) -> None:
    assert pieces(text) == ([{"a": 1}] if text.startswith("[{") else [])


def test_every_array_is_read_as_a_stream() -> None:
    assert len(ARRAYS) > 8
    for text in ARRAYS.values():
        answer = answer_of(Body(text=text))
        assert answer is not None
        assert items_of(answer)


def test_an_array_is_no_stream_elsewhere() -> None:
    answer = answer_of(Body(text="[{}]"))
    assert answer is not None
    assert not answer.streamed


@pytest.mark.parametrize("text", ARRAYS.values(), ids=ARRAYS)
def test_an_array_says_what_the_same_events_say(text: str) -> None:
    events = "".join(f"data: {item.decode()}\n\n".replace("\n", "\ndata: ", item.decode().count("\n")) for item in items_in(text))
    array, stream = Body(text=text), Body(text=events, content_type="text/event-stream")
    assert DIALECT.read(array) == DIALECT.read(stream)
    assert DIALECT.assemble(array) == DIALECT.assemble(stream)


@pytest.mark.parametrize("text", ARRAYS.values(), ids=ARRAYS)
def test_an_array_cut_anywhere_keeps_what_was_seen(text: str) -> None:
    counted = 0
    for end in range(0, len(text) + 1, 7):
        usage = DIALECT.read(Body(text=text[:end])).usage
        assert (0 if usage is None else usage.output) >= counted
        counted = 0 if usage is None else usage.output


@pytest.mark.parametrize("text", ARRAYS.values(), ids=ARRAYS)
def test_head_and_tail_of_an_array_that_adjoin_are_the_whole(text: str) -> None:
    size = len(text.encode())
    whole = Body(text=text, size=size)
    for cut in range(100, len(text), 37):
        body = Body(text=text[:cut], tail=text[cut:], truncated=True, size=size)
        assert DIALECT.read(body) == DIALECT.read(whole)
        assert DIALECT.assemble(body) == DIALECT.assemble(whole)


@pytest.mark.parametrize("kept", [1, 40, 300])
def test_an_array_whose_middle_is_gone_has_no_message(kept: int) -> None:
    text = ARRAYS["stream-as-an-array"]
    body = Body(text=text[:kept], tail=text[-450:], truncated=True, size=len(text.encode()))
    reading = DIALECT.read(body)
    assert reading.usage is not None
    assert (reading.usage.output, reading.model, reading.finish_reason) == (12, "gemini-2.5-flash", "STOP")
    assert DIALECT.assemble(body) is None
