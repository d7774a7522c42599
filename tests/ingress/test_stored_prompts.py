"""Prompts that are kept here, filled in for calls that name one in header and body; all other calls stay as they are."""

import json
from typing import Any

import pytest
from helicone_helpers import HeliconePromptManager

from eventlog.events import Organization
from ingress.errors import BadRequest
from ingress.stored_prompts import Stored, UnknownPrompt, Wish, expanded
from tests.fakes.ingress import World, headers_of, running, status_of

PROMPT: dict[str, Any] = {
    "model": "gpt-4o-mini",
    "messages": [{"role": "system", "content": "Greet {{hc:name:string}}, who is {{ hc:age:number }}."}],
    "temperature": 0.7,
}
CALL: dict[str, Any] = {"prompt_id": "abc123", "inputs": {"name": "Ann", "age": 7}, "messages": [{"role": "user", "content": "Now."}]}
ID = b"Helicone-Prompt-Id: abc123\r\n"

SAME_AS_HELICONES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "messages of both": (PROMPT, CALL),
    "the call's fields win": (PROMPT, CALL | {"temperature": 0, "model": "gpt-4o", "stream": True}),
    "variables in the call's messages": (PROMPT, CALL | {"messages": [{"role": "user", "content": "I am {{hc:name:string}}"}]}),
    "no messages of the call's": (PROMPT, {name: CALL[name] for name in ("prompt_id", "inputs")}),
    "no prompt's": ({"model": "m"}, CALL),
    "an input that is missing": (PROMPT, CALL | {"inputs": {"age": 7}}),
    "a type that nobody knows": ({"messages": [{"role": "user", "content": "{{hc:name:colour}}"}]}, CALL),
    "tools": ({"tools": [{"type": "function", "function": {"name": "{{hc:name:string}}_x", "limit": "{{hc:age:number}}"}}]}, CALL),
    "a name in the answer's form": ({"response_format": {"{{hc:name:string}}": ["to {{hc:name:string}}", 1, None]}}, CALL),
    "a word for true": (
        {"response_format": {"strict": "it is {{hc:name:string}}"}, "messages": [{"role": "user", "content": "x"}]},
        CALL | {"inputs": {"name": "yes"}},
    ),
}


@pytest.mark.parametrize(("stored", "call"), SAME_AS_HELICONES.values(), ids=SAME_AS_HELICONES)
def test_it_comes_to_what_helicones_package_makes_of_it(stored: dict[str, Any], call: dict[str, Any]) -> None:
    found = expanded(json.dumps(call).encode(), json.dumps(stored).encode())
    theirs = HeliconePromptManager("sk-helicone-any").merge_prompt_body(call, stored)
    assert theirs["errors"] == []
    assert json.loads(found.body) == theirs["body"]


def content(template: str, inputs: Any) -> Any:
    stored = {"messages": [{"role": "user", "content": template}]}
    found = expanded(json.dumps({"prompt_id": "p", "inputs": inputs}).encode(), json.dumps(stored).encode())
    return json.loads(found.body)["messages"][0]["content"]


FILLED: dict[str, tuple[str, Any, str]] = {
    "a boolean as JSON has it": ("{{hc:a:boolean}}", {"a": True}, "true"),
    "a word for a boolean": ("{{hc:a:boolean}}", {"a": "No"}, "false"),
    "a number": ("{{hc:a:number}} {{hc:a:number}}", {"a": 1.5}, "1.5 1.5"),
    "an object": ("{{hc:a:any}}", {"a": {"b": [1]}}, '{"b":[1]}'),
    "what looks like a variable is none": ("{{hc:a:string}}", {"a": "{{hc:b:string}}", "b": "x"}, "{{hc:b:string}}"),
    "null is no input": ("{{hc:a:string}}", {"a": None}, "{{hc:a:string}}"),
    "no inputs": ("hello", None, "hello"),
    "a name of other letters": ("{{hc:é:string}} {{hc:1a:string}}", {"é": "x", "1a": "y"}, "{{hc:é:string}} {{hc:1a:string}}"),
}


@pytest.mark.parametrize(("template", "inputs", "expected"), FILLED.values(), ids=FILLED)
def test_what_is_filled_in(template: str, inputs: Any, expected: str) -> None:
    assert content(template, inputs) == expected


def test_texts_in_parts_are_filled_and_all_else_stays_to_the_byte() -> None:
    stored = (
        b'{"messages":[{"role":"user","content":[{"type":"text","text":"{{hc:a:string}}"},{"type":"image_url","image_url":{"url":"x"}}]}]}'
    )
    found = expanded(b'{"prompt_id":"p","inputs":{"a":"A"},"seed":1.50,"messages":[ {"role":"user","content":"\\u0041"} ]}', stored)
    assert b'"text":"A"' in found.body
    assert b'"seed":1.50' in found.body
    assert b'{"role":"user","content":"\\u0041"}' in found.body
    assert found.inputs == {"a": "A"}


WRONG: dict[str, tuple[str, Any, str]] = {
    "a number that is text": ("{{hc:a:number}}", {"a": "7"}, "inputs.a"),
    "a number that is true": ("{{hc:a:number}}", {"a": True}, "inputs.a"),
    "a text that is a number": ("{{hc:a:string}}", {"a": 7}, "inputs.a"),
    "a boolean that is none": ("{{hc:a:boolean}}", {"a": "maybe"}, "inputs.a"),
    "inputs that are a list": ("hello", ["a"], "inputs"),
    "a part of another prompt": ("{{hcp:abc123:0}}", {}, "prompt_id"),
}


@pytest.mark.parametrize(("template", "inputs", "field"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_filled_in(template: str, inputs: Any, field: str) -> None:
    with pytest.raises(BadRequest) as error:
        content(template, inputs)
    assert error.value.field == field


async def stored_for(organization: Organization, wish: Wish) -> Stored:
    """One version, whatever is asked for."""
    if wish.prompt != "abc123":
        raise UnknownPrompt("There is no such prompt.", field="prompt_id")
    return Stored("v1", json.dumps(PROMPT | {"user": f"{organization} {wish.version} {wish.environment}"}).encode())


async def sent(world: World, body: dict[str, Any], headers: bytes) -> dict[str, Any]:
    answer = await world.post(body=json.dumps(body).encode(), headers=headers)
    assert status_of(answer) == 200, answer
    found: dict[str, Any] = json.loads(world.provider.requests[-1].partition(b"\r\n\r\n")[2])
    return found


async def test_a_call_that_names_a_prompt_is_made_of_it() -> None:
    async with running(stored_for=stored_for) as world:
        found = await sent(world, CALL | {"environment": "staging"}, ID)
        assert found["messages"] == [{"role": "system", "content": "Greet Ann, who is 7."}, {"role": "user", "content": "Now."}]
        assert not found.keys() & {"prompt_id", "inputs", "environment"}
        assert (found["model"], found["user"]) == ("gpt-4o-mini", "default None staging")
        (request,), (response,) = await world.requests(), await world.responses()
        for facts in (request.call, response.call):
            assert (facts.prompt_id, facts.prompt_version, facts.prompt_inputs) == ("abc123", "v1", {"name": "Ann", "age": "7"})
            assert facts.model == "gpt-4o-mini"
        assert json.loads(request.request.text) == found


async def test_what_was_asked_for_works_on_what_it_came_to() -> None:
    async with running(stored_for=stored_for) as world:
        found = await sent(world, CALL | {"stream": True}, ID + b"Helicone-Stream-Usage: true\r\nHelicone-Prompt-Version: 3\r\n")
        assert found["stream_options"] == {"include_usage": True}
        (request,) = await world.requests()
        assert request.call.prompt_version == "3"  # what the caller says of it stands


UNTOUCHED: dict[str, tuple[dict[str, Any], bytes, str]] = {
    "no header": (CALL, b"", ""),
    "a body that names none": ({"messages": [], "tools": [{"prompt_id": 1}]}, ID, ""),
    "a body that names another": (CALL | {"prompt_id": "other1"}, ID, "prompt_id of the body is not obeyed"),
    "deactivated": (CALL, ID + b"Helicone-Prompt-Mode: deactivated\r\n", ""),
}


@pytest.mark.parametrize(("body", "headers", "warning"), UNTOUCHED.values(), ids=UNTOUCHED)
async def test_all_other_calls_stay_as_they_are(body: dict[str, Any], headers: bytes, warning: str) -> None:
    async with running(stored_for=stored_for) as world:
        answer = await world.post(body=json.dumps(body).encode(), headers=headers)
        assert world.provider.requests[-1].partition(b"\r\n\r\n")[2] == json.dumps(body).encode()
        assert warning in headers_of(answer).get("helicone-warning", "")


REFUSED: dict[str, tuple[dict[str, Any], bytes, int, str]] = {
    "no such prompt": (CALL | {"prompt_id": "nobody"}, b"Helicone-Prompt-Id: nobody\r\n", 404, "unknown_prompt"),
    "an input of another type": (CALL | {"inputs": {"age": "old"}}, ID, 400, "bad_request"),
    "a version that is a number": (CALL | {"version_id": 3}, ID, 400, "bad_request"),
    "messages that are none": (CALL | {"messages": "hello"}, ID, 400, "bad_request"),
}


@pytest.mark.parametrize(("body", "headers", "status", "code"), REFUSED.values(), ids=REFUSED)
async def test_what_cannot_be_made_reaches_no_provider(body: dict[str, Any], headers: bytes, status: int, code: str) -> None:
    async with running(stored_for=stored_for) as world:
        answer = await world.post(body=json.dumps(body).encode(), headers=headers)
        assert (status_of(answer), json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"]) == (status, code)
        assert world.provider.requests == []


def test_a_small_input_in_a_thousand_places_is_not_small() -> None:
    stored = {"messages": [{"role": "user", "content": "{{hc:a:string}}" * 2000}]}
    with pytest.raises(BadRequest) as raised:
        expanded(json.dumps({"prompt_id": "p", "inputs": {"a": "x" * 150_000}}).encode(), json.dumps(stored).encode())
    assert raised.value.field == "inputs"


WORDS_OF_ANYBODY = ["what is {{hcp:other}}?", "a {{hc:age:string}} of another type"]


@pytest.mark.parametrize("words", WORDS_OF_ANYBODY)
def test_what_a_user_types_makes_no_call_fail(words: str) -> None:
    call = CALL | {"messages": [{"role": "user", "content": words}]}
    found = expanded(json.dumps(call).encode(), json.dumps(PROMPT).encode())
    assert json.loads(found.body)["messages"][-1]["content"] == words
