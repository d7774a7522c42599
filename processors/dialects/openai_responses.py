"""OpenAI responses.

Source: OpenAI API reference, "Responses": "The response object" and "Streaming events" (read 2026-11-24). A stream ends with an event
that holds the whole response, usage included: `response.completed`, `response.incomplete` or `response.failed`. Of a stream that was
cut before it, the message is made of the items that were done and the text of the one that was open.
"""

import re
from typing import Any

import msgspec
from msgspec import Struct

from processors.dialects.answer import UNREADABLE, Answer, last_object, object_of, word_in
from processors.dialects.charges import stated_cost, states_a_cost
from processors.dialects.dialect import Dialect, Events, Message
from processors.dialects.openai_usage import context_of, responses_usage
from processors.dialects.reading import Problem, Reading, part, problem_of, word
from processors.usage import or_refused

RUNNING = frozenset({"queued", "in_progress"})
CONTAINER = "a code container is billed by its session beside the tokens, and several calls may share one"
"""OpenAI "Pricing", "Built-in tools" (read 2026-11-24); a search in files is billed by the call."""
BILLED_LATER = "a background response is billed as it is made; it tells its tokens when it is retrieved"

TERMINAL = frozenset({"response.completed", "response.incomplete", "response.failed", "response.cancelled"})


BACKGROUND = re.compile(r'"background"\s*:\s*(true|false)')
"""Within a JSON string its quotes would be escaped."""


class Action(Struct):
    type: Any = None


class Item(Struct):
    type: Any = None
    action: Action | None = None


class Plain(Struct):
    """A response's top-level fields, of any kind."""

    id: Any = None
    model: Any = None
    usage: Any = None
    error: Any = None
    status: Any = None
    incomplete_details: Any = None
    service_tier: Any = None
    background: Any = None
    detail: Any = None
    message: Any = None


class Response(Plain):
    output: list[Item] = []


class ResponseEvent(Struct):
    type: Any = None
    response: Response | None = None


class PlainEvent(Struct):
    type: Any = None
    response: Plain | None = None
    error: Any = None
    code: Any = None
    message: Any = None


_response = msgspec.json.Decoder(Response)
_plain = msgspec.json.Decoder(Plain)
_event = msgspec.json.Decoder(ResponseEvent)
_plain_event = msgspec.json.Decoder(PlainEvent)


def claims(path: str) -> bool:
    """A compaction reports its usage likewise, and no model."""
    return path.endswith(("/responses", "/responses/compact"))


def of_json(answer: Answer) -> Reading:
    return _reading(response_of(answer))


def response_of(answer: Answer) -> Plain:
    return _decoded(answer.text) if answer.tail is None else _of_pieces(answer)


def _decoded(text: str) -> Plain:
    try:
        return _response.decode(text)
    except msgspec.ValidationError:
        return _plain.decode(text)


def _of_pieces(answer: Answer) -> Plain:
    tail = answer.text + (answer.tail or "") if answer.adjoins else answer.tail or ""
    head = answer.text[:4096]
    return Response(
        id=word_in(head, "id"),
        model=word_in(head, "model") or word_in(tail, "model", last=True),
        usage=last_object(tail[-2 * 65_536 :], "usage"),
        service_tier=word_in(tail, "service_tier", last=True),
        status=word_in(head, "status"),
        background=_flag_in(head),
    )


def _flag_in(head: str) -> bool | None:
    found = BACKGROUND.search(head)
    return None if found is None else found[1] == "true"


def _reading(response: Plain) -> Reading:
    stated = stated_cost(response.usage)
    web, files = _web_searches(response), _items(response, "file_search_call")
    usage, refused = or_refused(responses_usage, response.usage, web_searches=web, file_searches=files)
    return Reading(
        usage=usage,
        model=word(response.model),
        finish_reason=word(part(response.incomplete_details, "reason")) or word(response.status),
        problem=problem_of(response.error) or problem_of(response.detail) or _bare_message(response),
        context=context_of(response.service_tier),
        job=word(response.id) if response.background is True else None,
        stated_cost=stated,
        stated_absurd=stated is None and states_a_cost(response.usage),
        elsewhere=BILLED_LATER if response.background is True and response.usage is None and word(response.status) in RUNNING else None,
        unpriced=CONTAINER if _items(response, "code_interpreter_call") else None,
        refused=refused,
    )


def _bare_message(response: Plain) -> Problem | None:
    return problem_of(response.message) if response.usage is None else None


def _web_searches(response: Plain) -> int | None:
    """Searches are billed one by one; opening and reading a page found is not (OpenAI "Pricing", "Built-in tools", read 2026-11-24)."""
    items = response.output if isinstance(response, Response) else []
    return sum(1 for item in items if item.type == "web_search_call" and _is_search(item.action)) or None


def _items(response: Plain, kind: str) -> int | None:
    """None where there are none."""
    items = response.output if isinstance(response, Response) else []
    return sum(1 for item in items if item.type == kind) or None


def _is_search(action: Action | None) -> bool:
    return action is None or action.type is None or action.type == "search"


def of_stream(events: Events) -> Reading:
    last = response_at_the_end(events)
    reading = _reading(last) if last is not None else Reading()
    problem = reading.problem or _error_event(events)
    return reading if problem is reading.problem else _with_problem(reading, problem)


def _with_problem(reading: Reading, problem: Problem | None) -> Reading:
    return msgspec.structs.replace(reading, problem=problem)


def response_at_the_end(events: Events) -> Plain | None:
    """The newest state of the response: the end of the stream, or of what came of it."""
    for event in reversed(events):
        if b'"response"' in event.data and (response := _response_in(event.data)) is not None:
            return response
    return None


def _response_in(data: bytes) -> Plain | None:
    try:
        return _event.decode(data).response
    except msgspec.ValidationError:
        pass
    except UNREADABLE:
        return None
    try:
        return _plain_event.decode(data).response
    except UNREADABLE:
        return None


def _error_event(events: Events) -> Problem | None:
    for event in reversed(events):
        if b'"error"' not in event.data and event.event != "error":
            continue
        try:
            said = _plain_event.decode(event.data)
        except UNREADABLE:
            continue
        if said.error is not None:
            return problem_of(said.error)
        if said.type == "error":
            return problem_of({"code": said.code, "message": said.message})
    return None


def message_of(events: Events) -> Message | None:
    latest: Message | None = None
    unfinished = Unfinished()
    for event in events:
        said = object_of(event.data)
        if said is None:
            continue
        response = said.get("response")
        if isinstance(response, dict):
            latest = response
            if str(said.get("type")) in TERMINAL:
                return latest
        else:
            unfinished.take(said)
    if latest is None and not unfinished.items:
        return None
    return (latest or {"object": "response"}) | {"output": unfinished.output()}


class Unfinished:
    """The output of a response whose end never came."""

    def __init__(self) -> None:
        self.items: dict[int, dict[str, Any]] = {}
        self._texts: dict[tuple[int, int], list[str]] = {}
        self._arguments: dict[int, list[str]] = {}

    def take(self, said: dict[str, Any]) -> None:
        index, kind, delta = said.get("output_index"), said.get("type"), said.get("delta")
        if not isinstance(index, int):
            return
        item = said.get("item")
        if isinstance(item, dict):
            self.items[index] = item
            if kind == "response.output_item.done":
                self._forget(index)
        elif isinstance(delta, str):
            self._take_delta(index, str(kind), said.get("content_index"), delta)

    def _take_delta(self, index: int, kind: str, content_index: object, delta: str) -> None:
        if kind == "response.output_text.delta":
            place = content_index if isinstance(content_index, int) else 0
            self._texts.setdefault((index, place), []).append(delta)
        elif kind == "response.function_call_arguments.delta":
            self._arguments.setdefault(index, []).append(delta)

    def _forget(self, index: int) -> None:
        """A done item has all of its text."""
        self._arguments.pop(index, None)
        self._texts = {place: text for place, text in self._texts.items() if place[0] != index}

    def output(self) -> list[dict[str, Any]]:
        for index, parts in self._arguments.items():
            self.items[index] = self.items.get(index, {"type": "function_call"}) | {"arguments": "".join(parts)}
        for index in sorted({index for index, _ in self._texts}):
            texts = [{"type": "output_text", "text": "".join(parts)} for (at, _), parts in sorted(self._texts.items()) if at == index]
            self.items[index] = self.items.get(index, {"type": "message", "role": "assistant"}) | {"content": texts}
        return [self.items[index] for index in sorted(self.items)]


DIALECT = Dialect(name="openai.responses", claims=claims, of_json=of_json, of_stream=of_stream, message_of=message_of)
