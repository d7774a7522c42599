"""Where a span has the words of a call: in its attributes, spelled out or as one value, or in its events.

The first place that holds any counts, for each side. Sources: the GenAI conventions of OpenTelemetry, versions 1.26 to 1.41 and after;
OpenLLMetry's and OpenInference's (read 2026-11-27).
"""

from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct

from ingress.otlp.messages import chat_messages, inference_message, instructions, spelled_message, tool_call, within
from ingress.otlp.said import Plain, Said, in_order, structured
from ingress.otlp.spans import SpanEvent, Value

DETAILS = ("gen_ai.client.inference.operation.details", "gen_ai.client.operation.details")
_OLDER = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
}
"""Events of one message each, until version 1.36."""
_CHOICE = "gen_ai.choice"


class Spoken(Struct, frozen=True):
    asked: list[Plain]
    answered: list[Plain]
    """One for each choice; `finish_reason` is said within."""


def with_details(attributes: Mapping[str, Value], events: Iterable[SpanEvent]) -> Said:
    """What the span says, and what an event says in its place: some senders put the words there."""
    whole: Plain = {}
    for event in events:
        if event.name in DETAILS:
            whole |= event.attributes
    return Said({**whole, **attributes})


def spoken_in(said: Said, events: Iterable[SpanEvent]) -> Spoken:
    told = list(events)
    asked = _first(
        lambda: chat_messages(said.value("gen_ai.input.messages"), "user"),
        lambda: [spelled_message(each) for each in said.numbered("gen_ai.prompt")],
        lambda: [message for each in said.numbered("llm.input_messages") if (message := inference_message(each))],
        lambda: [message for event in told if event.name in _OLDER for message in _older(event, _OLDER[event.name])],
        lambda: [message for event in told for message in chat_messages(event.attributes.get("gen_ai.prompt"), "user")],
        lambda: chat_messages(said.value("gen_ai.prompt", "ai.prompt.messages", "ai.prompt"), "user"),
        lambda: _asked_as_value(said.value("input.value")),
    )
    answered = _first(
        lambda: chat_messages(said.value("gen_ai.output.messages"), "assistant"),
        lambda: [spelled_message(each) for each in said.numbered("gen_ai.completion")],
        lambda: [message for each in said.numbered("llm.output_messages") if (message := inference_message(each))],
        lambda: [message for event in told if event.name == _CHOICE for message in _older(event, "assistant")],
        lambda: [message for event in told for message in chat_messages(event.attributes.get("gen_ai.completion"), "assistant")],
        lambda: chat_messages(said.value("gen_ai.completion", "ai.response.text"), "assistant"),
        lambda: _answered_as_value(said.value("output.value")),
    )
    before = instructions(said.value("gen_ai.system_instructions"))
    return Spoken([*before, *asked], answered)


def _first(*places: Callable[[], list[Plain]]) -> list[Plain]:
    return next((found for place in places if (found := place())), [])


def _older(event: SpanEvent, role: str) -> list[Plain]:
    """Its fields are attributes, or JSON in one. A choice has its message below `message`."""
    fields = dict(event.attributes)
    inner = structured(fields.pop("gen_ai.event.content", None))
    if isinstance(inner, Mapping):
        fields |= inner
    message = structured(fields.get("message"))
    if isinstance(message, Mapping):
        fields |= message
    elif message is not None:
        fields["content"] = message
    content = structured(fields.get("content"))
    plain = content if isinstance(content, list) else fields.get("content")
    told: Plain = {"role": fields.get("role") or role, "content": plain}
    if fields.get("finish_reason"):
        told["finish_reason"] = fields["finish_reason"]
    if role == "tool" and fields.get("id"):
        told["tool_call_id"] = fields["id"]
    calls = [_older_call(call) for call in in_order(structured(fields.get("tool_calls")))]
    return [told | ({"tool_calls": calls} if calls else {})]


def _older_call(call: Mapping[str, Value]) -> Plain:
    function = within(call, "function") or call
    return tool_call(call.get("id"), function.get("name"), function.get("arguments"))


def _asked_as_value(value: Value) -> list[Plain]:
    """OpenInference's `input.value` is what went to the provider, or words."""
    found = structured(value)
    if isinstance(found, Mapping):
        return chat_messages(found["messages"], "user") if "messages" in found else []
    return chat_messages(found, "user")


def _answered_as_value(value: Value) -> list[Plain]:
    found = structured(value)
    if not isinstance(found, Mapping):
        return chat_messages(found, "assistant")
    choices = in_order(found.get("choices"))
    return [
        dict(within(choice, "message")) | {"finish_reason": choice.get("finish_reason")} for choice in choices if within(choice, "message")
    ]
