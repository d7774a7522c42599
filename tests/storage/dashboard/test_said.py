"""Bodies read as conversations: each API's own, and anything at all."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.dashboard.said.parts import IMAGE_CHARACTERS, Kind, parts_of
from storage.dashboard.said.shown import FIRST, LAST, PART_CHARACTERS, Conversation, conversation

DOT = "data:image/png;base64,iVBORw0KGgo="
CASES = Path(__file__).parents[2] / "cases" / "dialects"


def read(request: Any, answer: Any = None) -> Conversation:
    return conversation(json.dumps(request), None if answer is None else json.dumps(answer))


def told(found: Conversation) -> list[tuple[str, list[tuple[str, str, str]]]]:
    """Role and parts of everything that was said."""
    return [
        (turn.role, [(piece.part.kind.value, piece.part.name, piece.part.text) for piece in turn.pieces])
        for turn in (*found.turns, *found.answers)
    ]


def test_openai_chat_with_tools_pictures_and_reasoning() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "look_up", "arguments": '{"order":7}'}}
    picture = {"type": "image_url", "image_url": {"url": DOT}}
    found = read(
        {
            "model": "gpt-4o",
            "temperature": 0.2,
            "response_format": {"type": "json_object"},
            "tools": [{"type": "function", "function": {"name": "look_up", "description": "An order.", "parameters": {"type": "object"}}}],
            "messages": [
                {"role": "developer", "content": "Be brief."},
                {"role": "user", "content": [{"type": "text", "text": "What is this?"}, picture]},
                {"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "c1", "content": '{"state":"sent"}'},
            ],
        },
        {"choices": [{"message": {"role": "assistant", "reasoning_content": "Hm.", "content": "It was sent."}, "finish_reason": "stop"}]},
    )
    assert told(found) == [
        ("system", [("text", "", "Be brief.")]),
        ("user", [("text", "", "What is this?"), ("image", "", "image/png, 25 bytes")]),
        ("assistant", [("call", "look_up", '{\n  "order": 7\n}')]),
        ("tool", [("result", "", '{\n  "state": "sent"\n}')]),
        ("assistant", [("thinking", "", "Hm."), ("text", "", "It was sent.")]),
    ]
    assert found.answers[0].note == "stop"
    assert found.asked is not None
    assert [tool.name for tool in found.asked.tools] == ["look_up"]
    assert found.asked.settings == (("temperature", "0.2"), ("response_format", '{ "type": "json_object" }'))


def test_openai_responses() -> None:
    found = read(
        {
            "instructions": "Research.",
            "input": [
                {
                    "role": "user",
                    "content": [{"type": "input_text", "text": "Compare."}, {"type": "input_image", "image_url": "https://x/y.png"}],
                },
                {"type": "reasoning", "summary": [{"type": "summary_text", "text": "First this."}]},
                {"type": "function_call", "call_id": "f1", "name": "search", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "f1", "output": "three pages"},
            ],
        },
        {
            "status": "completed",
            "output": [
                {"type": "reasoning", "summary": [], "encrypted_content": "x"},
                {"type": "web_search_call", "id": "w1", "status": "completed"},
                {
                    "type": "message",
                    "role": "assistant",
                    "content": [{"type": "output_text", "text": "Done."}, {"type": "refusal", "refusal": "No."}],
                },
            ],
        },
    )
    asked, answer = told(found)[:-1], told(found)[-1]
    assert asked == [
        ("system", [("text", "", "Research.")]),
        ("user", [("text", "", "Compare."), ("image", "", "https://x/y.png (not loaded)")]),
        ("assistant", [("thinking", "", "First this.")]),
        ("assistant", [("call", "search", "{}")]),
        ("tool", [("result", "", "three pages")]),
    ]
    assert [kind for kind, _, _ in answer[1]] == ["thinking", "other", "text", "refusal"]
    assert found.answers[0].note == "completed"
    assert told(read({"input": "Hello", "instructions": "Be kind."}))[1] == ("user", [("text", "", "Hello")])


def test_anthropic_messages() -> None:
    source = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
    found = read(
        {
            "system": [{"type": "text", "text": "You help.", "cache_control": {"type": "ephemeral"}}],
            "messages": [
                {"role": "user", "content": [{"type": "image", "source": source}, {"type": "text", "text": "This?"}]},
                {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "look", "input": {"a": 1}}]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "is_error": True, "content": "gone"}]},
            ],
        },
        {
            "role": "assistant",
            "stop_reason": "end_turn",
            "content": [{"type": "thinking", "thinking": "So."}, {"type": "text", "text": "A dot."}],
        },
    )
    assert told(found) == [
        ("system", [("text", "", "You help.")]),
        ("user", [("image", "", "image/png, 25 bytes"), ("text", "", "This?")]),
        ("assistant", [("call", "look", '{\n  "a": 1\n}')]),
        ("tool", [("result", "", "gone")]),
        ("assistant", [("thinking", "", "So."), ("text", "", "A dot.")]),
    ]
    assert found.turns[1].pieces[0].part.image == DOT
    assert found.turns[3].pieces[0].part.failed


def test_google_contents() -> None:
    found = read(
        {
            "systemInstruction": {"parts": [{"text": "Translate."}]},
            "contents": [
                {"role": "user", "parts": [{"text": "Hi"}, {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}]},
                {"role": "model", "parts": [{"functionCall": {"name": "look", "args": {"a": 1}}}]},
                {"role": "user", "parts": [{"functionResponse": {"name": "look", "response": {"b": 2}}}]},
            ],
            "tools": [{"functionDeclarations": [{"name": "look"}, {"name": "find"}]}],
            "generationConfig": {"temperature": 1},
        },
        {
            "candidates": [
                {"content": {"role": "model", "parts": [{"text": "Hm", "thought": True}, {"text": "Hallo"}]}, "finishReason": "STOP"}
            ]
        },
    )
    assert [(role, [kind for kind, _, _ in parts]) for role, parts in told(found)] == [
        ("system", ["text"]),
        ("user", ["text", "image"]),
        ("assistant", ["call"]),
        ("tool", ["result"]),
        ("assistant", ["thinking", "text"]),
    ]
    assert found.asked is not None
    assert [tool.name for tool in found.asked.tools] == ["look", "find"]
    assert found.asked.settings == (("temperature", "1"),)


def test_embeddings_errors_and_what_is_not_known() -> None:
    found = read({"input": ["one", "two"], "model": "e"}, {"data": [{"embedding": [0.5, 1, 2, 3, 4, 5, 6]}, {"embedding": []}]})
    assert [role for role, _ in told(found)] == ["input", "input", "assistant"]
    assert told(found)[-1][1] == [("other", "embedding", "2 vectors of 7 numbers, the first: 0.5, 1, 2, 3, 4, 5, …")]
    assert told(read({"messages": []}, {"error": {"message": "Too many", "type": "rate_limit"}})) == [("error", [("text", "", "Too many")])]
    strange = conversation('{"a": 1}', "event: x\ndata: {")
    assert (strange.request_read, strange.answer_read, strange.turns, strange.answers) == (False, False, (), ())
    assert conversation(None, None) == Conversation()
    assert conversation("[" * 100_000, '{"messages":' * 5).turns == ()


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/a.png",
        "javascript:alert(1)",
        "data:image/svg+xml;base64,PHN2Zz4=",
        "data:text/html,<script>",
        "data:image/png,x",
        "",
    ],
)
def test_only_pictures_that_the_body_holds_are_shown(url: str) -> None:
    (part,) = parts_of([{"type": "image_url", "image_url": {"url": url}}])
    assert (part.kind, part.image) == (Kind.IMAGE, "")


def test_what_is_too_much_is_cut_and_told() -> None:
    large = "data:image/png;base64," + "A" * IMAGE_CHARACTERS
    assert "too large" in parts_of([{"type": "input_image", "image_url": large}])[0].text
    many = read(
        {"messages": [{"role": "user", "content": f"{number}"} for number in range(200)] + [{"role": "user", "content": "x" * 50_000}]}
    )
    assert len(many.turns) == FIRST + LAST
    assert many.turns[FIRST].skipped == 201 - FIRST - LAST
    assert many.turns[-1].pieces[0].cut == 50_000 - PART_CHARACTERS


def test_answers_of_every_dialect_are_read_or_said_not_to_be() -> None:
    found = sorted(CASES.glob("*/*/response.json"))
    assert len(found) > 300
    read_ones = {path.parent.parent.name for path in found if conversation(None, path.read_text()).answers}
    assert {"openai.chat", "openai.responses", "anthropic.messages", "google.gemini", "openai.embeddings", "ollama.chat"} <= read_ones


KEYS = st.sampled_from(
    [
        *(
            "messages",
            "role",
            "content",
            "type",
            "text",
            "tool_calls",
            "function",
            "name",
            "arguments",
            "input",
            "output",
            "contents",
            "parts",
        ),
        *(
            "choices",
            "message",
            "candidates",
            "error",
            "data",
            "embedding",
            "image_url",
            "source",
            "thinking",
            "tool_use",
            "system",
            "tools",
        ),
        *(
            "functionCall",
            "inlineData",
            "toolResult",
            "query",
            "documents",
            "requests",
            "audio",
            "file",
            "summary",
            "instructions",
            "message",
        ),
    ]
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | KEYS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(ANYTHING, ANYTHING)
def test_no_body_is_too_strange(request: Any, answer: Any) -> None:
    found = conversation(json.dumps(request), json.dumps(answer))
    for turn in (*found.turns, *found.answers):
        assert all(isinstance(piece.part.text, str) and isinstance(piece.part.name, str) for piece in turn.pieces)
