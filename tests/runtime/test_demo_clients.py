"""The clients people use, talking to the demo provider: what is streamed says what is whole, and tools and schemas are honoured."""

import json
from collections.abc import Iterator
from typing import Any, Literal

import anthropic
import openai
import pytest
from pydantic import BaseModel

from runtime.demo_schemas import minimal
from tests.fakes.stack import Stack

MESSAGES: Any = [{"role": "user", "content": "Hello!"}]
SCHEMA: Any = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}
TOOLS: Any = [{"type": "function", "function": {"name": name, "parameters": SCHEMA}} for name in ("weather", "time")]
RESPONSE_TOOLS: Any = [{"type": "function", "name": "weather", "parameters": SCHEMA, "strict": True}]
MESSAGE_TOOLS: Any = [{"name": name, "input_schema": SCHEMA} for name in ("weather", "time")]


class City(BaseModel):
    name: str
    size: Literal["small", "large"]


class Trip(BaseModel):
    cities: list[City]
    home: City
    days: int
    partner: "Trip | None"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    made = Stack(folder=tmp_path_factory.mktemp("demo"))
    made.start_provider()
    yield made.provider
    made.stop("provider")


@pytest.fixture
def gpt(base: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key="any", base_url=f"{base}/v1", max_retries=0, timeout=10) as client:
        yield client


@pytest.fixture
def claude(base: str) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(api_key="any", base_url=base, max_retries=0, timeout=10) as client:
        yield client


def test_a_chat(gpt: openai.OpenAI) -> None:
    answer = gpt.chat.completions.create(model="gpt-9-anything", messages=MESSAGES)
    assert (answer.model, answer.choices[0].finish_reason) == ("gpt-9-anything", "stop")
    assert "Hello!" in str(answer.choices[0].message.content)
    usage: Any = answer.usage
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert usage.prompt_tokens_details.cached_tokens == usage.prompt_tokens // 4
    assert usage.completion_tokens_details.reasoning_tokens == usage.completion_tokens // 5


@pytest.mark.parametrize("asked", [True, False])
def test_a_streamed_chat_says_the_same_and_has_usage_when_asked(gpt: openai.OpenAI, asked: bool) -> None:
    whole = gpt.chat.completions.create(model="m", messages=MESSAGES)
    chunks = list(gpt.chat.completions.create(model="m", messages=MESSAGES, stream=True, stream_options={"include_usage": asked}))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == whole.choices[0].message.content
    assert [chunk.usage for chunk in chunks if chunk.usage] == ([whole.usage] if asked else [])


CHOICES = [("required", "weather"), ({"type": "function", "function": {"name": "time"}}, "time"), ("auto", None), ("none", None)]


@pytest.mark.parametrize(("choice", "called"), CHOICES)
def test_a_tool_is_called_when_the_request_insists(gpt: openai.OpenAI, choice: Any, called: str | None) -> None:
    asked: Any = {"model": "m", "messages": MESSAGES, "tools": TOOLS, "tool_choice": choice}
    whole = gpt.chat.completions.create(**asked).choices[0]
    with gpt.chat.completions.stream(**asked) as stream:
        streamed = stream.get_final_completion().choices[0]
    for found in (whole, streamed):
        assert found.finish_reason == ("tool_calls" if called else "stop")
        calls: Any = found.message.tool_calls or []
        assert [(call.function.name, json.loads(call.function.arguments)) for call in calls] == (
            [(called, {"city": "demo"})] * bool(called)
        )


def test_parsed_answers_fit_their_schema(gpt: openai.OpenAI) -> None:
    expected = Trip(cities=[], home=City(name="demo", size="small"), days=0, partner=None)
    chat = gpt.chat.completions.parse(model="m", messages=MESSAGES, response_format=Trip)
    assert chat.choices[0].message.parsed == expected
    assert gpt.responses.parse(model="m", input="Hello", text_format=Trip).output_parsed == expected


def test_a_response_whole_and_streamed(gpt: openai.OpenAI) -> None:
    whole = gpt.responses.create(model="m", input="Hello!", instructions="Be brief")
    assert (whole.model, whole.status, whole.instructions) == ("m", "completed", "Be brief")
    with gpt.responses.stream(model="m", input="Hello!") as stream:
        deltas = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        final = stream.get_final_response()
    assert deltas == final.output_text == whole.output_text
    assert final.usage == whole.usage
    assert whole.usage
    assert whole.usage.input_tokens_details.cached_tokens == whole.usage.input_tokens // 4


def test_a_response_that_calls_a_function(gpt: openai.OpenAI) -> None:
    asked: Any = {"model": "m", "input": "Hello!", "tools": RESPONSE_TOOLS, "tool_choice": "required"}
    (whole,) = gpt.responses.create(**asked).output
    with gpt.responses.stream(**asked) as stream:
        done = [event for event in stream if event.type == "response.function_call_arguments.done"]
        (streamed,) = stream.get_final_response().output
    assert len(done) == 1
    for item in (whole, streamed):
        assert item.type == "function_call"
        assert (item.name, json.loads(item.arguments)) == ("weather", {"city": "demo"})


def test_completions_answer_each_prompt(gpt: openai.OpenAI) -> None:
    whole = gpt.completions.create(model="m", prompt=["One", "Two"])
    assert ["One" in whole.choices[0].text, "Two" in whole.choices[1].text] == [True, True]
    chunks = list(gpt.completions.create(model="m", prompt=["One", "Two"], stream=True, stream_options={"include_usage": True}))
    texts = ["".join(choice.text for chunk in chunks for choice in chunk.choices if choice.index == index) for index in (0, 1)]
    assert texts == [choice.text for choice in whole.choices]
    assert [chunk.usage for chunk in chunks if chunk.usage] == [whole.usage]


@pytest.mark.parametrize(("asked", "count"), [("one", 1), (["one", "two"], 2), ([1, 2, 3], 1), ([[1, 2], [3]], 2)])
def test_embeddings_are_the_same_in_both_encodings(gpt: openai.OpenAI, asked: Any, count: int) -> None:
    floats = gpt.embeddings.create(model="m", input=asked, encoding_format="float", dimensions=5)
    encoded = gpt.embeddings.create(model="m", input=asked, dimensions=5)  # the client asks for base64, and decodes it
    assert [one.embedding for one in floats.data] == [one.embedding for one in encoded.data]
    assert [len(one.embedding) for one in floats.data] == [5] * count


def test_a_message_whole_and_streamed(claude: anthropic.Anthropic) -> None:
    whole = claude.messages.create(model="claude-any", max_tokens=64, messages=MESSAGES)
    assert (whole.model, whole.stop_reason) == ("claude-any", "end_turn")
    with claude.messages.stream(model="claude-any", max_tokens=64, messages=MESSAGES) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert [block.text for block in whole.content if block.type == "text"] == [text]
    assert (final.usage.output_tokens, final.stop_reason) == (whole.usage.output_tokens, "end_turn")


USES = [({"type": "any"}, "weather"), ({"type": "tool", "name": "time"}, "time"), ({"type": "auto"}, None)]


@pytest.mark.parametrize(("choice", "called"), USES)
def test_a_message_that_uses_a_tool(claude: anthropic.Anthropic, choice: Any, called: str | None) -> None:
    asked: Any = {"model": "m", "max_tokens": 64, "messages": MESSAGES, "tools": MESSAGE_TOOLS, "tool_choice": choice}
    whole = claude.messages.create(**asked)
    with claude.messages.stream(**asked) as stream:
        streamed = stream.get_final_message()
    for found in (whole, streamed):
        assert found.stop_reason == ("tool_use" if called else "end_turn")
        used = [(block.name, block.input) for block in found.content if block.type == "tool_use"]
        assert used == [(called, {"city": "demo"})] * bool(called)


def test_errors_are_the_clients_own(gpt: openai.OpenAI, claude: anthropic.Anthropic) -> None:
    asked = {"x-demo-fault": "status=429, retry-after=7"}
    with pytest.raises(openai.RateLimitError) as limited:
        gpt.chat.completions.create(model="m", messages=MESSAGES, extra_headers=asked)
    assert limited.value.response.headers["retry-after"] == "7"
    with pytest.raises(anthropic.RateLimitError) as told:
        claude.messages.create(model="m", max_tokens=5, messages=MESSAGES, extra_headers=asked)
    assert told.value.response.json()["error"]["type"] == "rate_limit_error"


@pytest.mark.parametrize(
    ("schema", "smallest"),
    [
        ({"type": ["string", "null"]}, None),
        ({"const": 7}, 7),
        ({"oneOf": [{"type": "integer"}, {"type": "string"}]}, 0),
        ({"type": "integer", "minimum": 3}, 3),
        ({"type": "number", "maximum": -2}, -2),
        ({"type": "array", "items": {"type": "boolean"}, "minItems": 2}, [False, False]),
        ({"allOf": [{"$ref": "#/$defs/a~1b"}, {"properties": {"y": {"enum": ["e"]}}}], "$defs": {"a/b": {"type": "object"}}}, {"y": "e"}),
        ({"type": "string", "minLength": 6}, "demo.."),
        ({"type": "string", "maxLength": 2}, "de"),
    ],
)
def test_the_smallest_value_of_a_schema(schema: Any, smallest: Any) -> None:
    assert minimal(schema) == smallest


def test_a_schema_without_an_end_is_cut_off() -> None:
    assert minimal({"type": "object", "properties": {"next": {"$ref": "#"}}})["next"]["next"]
