"""Both bodies of a call, built anew in the shape of OpenAI's, which the dialects read. What the span does not say is not made up.

The counts stand last, where they are found in a body of which only the beginning and the end are kept.
"""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct

from eventlog.events import Step
from ingress.async_log import BadLog
from ingress.otlp.kinds import MODELS, Asked, Kind
from ingress.otlp.said import Plain, Said, in_order, structured
from ingress.otlp.spans import Span, SpanEvent, Value
from ingress.otlp.spoken import Spoken, spoken_in, with_details
from ingress.otlp.usage import usage_of

_PARAMETERS: dict[str, tuple[str, ...]] = {
    "temperature": ("gen_ai.request.temperature",),
    "top_p": ("gen_ai.request.top_p", "llm.top_p"),
    "top_k": ("gen_ai.request.top_k", "llm.top_k"),
    "max_tokens": ("gen_ai.request.max_tokens", "gen_ai.request.max_completion_tokens"),
    "frequency_penalty": ("gen_ai.request.frequency_penalty", "llm.frequency_penalty"),
    "presence_penalty": ("gen_ai.request.presence_penalty", "llm.presence_penalty"),
    "seed": ("gen_ai.request.seed",),
    "n": ("gen_ai.request.choice.count", "gen_ai.request.n"),
    "dimensions": ("gen_ai.embeddings.dimension.count",),
}
_STREAM = ("gen_ai.request.stream", "gen_ai.request.is_stream", "gen_ai.is_streaming", "llm.is_streaming")
_USER = ("llm.user", "gen_ai.user", "gen_ai.request.user")
_EFFORT = ("gen_ai.request.reasoning.level", "gen_ai.request.reasoning_effort", "llm.request.reasoning_effort")
_STOP = ("gen_ai.request.stop_sequences", "llm.chat.stop_sequences")
_REASONS = ("gen_ai.response.finish_reasons", "gen_ai.response.finish_reason", "llm.response.finish_reason", "gen_ai.response.stop_reason")
_INPUT = ("gen_ai.tool.call.arguments", "gen_ai.retrieval.query.text", "traceloop.entity.input", "input.value", "gen_ai.input.messages")
_OUTPUT = ("gen_ai.tool.call.result", "gen_ai.retrieval.documents", "traceloop.entity.output", "output.value", "gen_ai.output.messages")
_OBJECTS = {Asked.CHAT: "chat.completion", Asked.COMPLETION: "text_completion"}
FAILED = 500
"""The status of a call that failed, where nobody says which it had."""


class Bodies(Struct, frozen=True):
    request: bytes
    response: bytes
    status: int
    """HTTP's."""
    words: bool = False
    """The words of both sides are in them."""


def model_asked(said: Said) -> str | None:
    return said.text(*MODELS)


def bodies_of_call(span: Span, asked: Asked) -> Bodies:
    """Raises BadLog."""
    said = with_details(span.attributes, span.events)
    spoken = spoken_in(said, span.events)
    status, asked = _status(span, said), _truly(asked, said, spoken)
    return Bodies(
        request=_json(_request(said, spoken, asked), span),
        response=_json(_response(span, said, spoken, asked, status), span),
        status=status,
        words=bool(spoken.asked and spoken.answered),
    )


def _truly(asked: Asked, said: Said, spoken: Spoken) -> Asked:
    """OpenLLMetry calls a completion what is a chat elsewhere: Anthropic's messages, and others that have several."""
    chatted = len(spoken.asked) > 1 or any("tool_calls" in each for each in spoken.answered)
    if asked is Asked.COMPLETION and (chatted or (said.text("gen_ai.system") or "").lower() == "anthropic"):
        return Asked.CHAT
    return asked


def bodies_of_step(span: Span, kind: Kind, name: str) -> Bodies:
    """In the shape of Helicone's steps without a model. Raises BadLog."""
    said = with_details(span.attributes, span.events)
    status, told = _status(span, said), structured(said.value(*_INPUT))
    request: Plain = {"_type": kind.step}
    request |= {"toolName": name} if kind.step is Step.TOOL else {"name": name}
    request |= {} if told is None else {"input": told}
    response: Plain = {"_type": kind.step}
    found = structured(said.value(*_OUTPUT))
    response |= {} if found is None else {"output": found}
    response |= _error(span, said) if status >= 400 else {}
    return Bodies(_json(request, span), _json(response, span), status)


def _request(said: Said, spoken: Spoken, asked: Asked) -> Plain:
    told: Plain = {"model": model_asked(said)}
    match asked:
        case Asked.CHAT:
            told["messages"] = [{name: value for name, value in each.items() if name != "finish_reason"} for each in spoken.asked]
        case Asked.COMPLETION:
            told["prompt"] = _only([each.get("content") for each in spoken.asked])
        case Asked.EMBEDDING:
            texts = [text for each in said.numbered("embedding.embeddings") if (text := _inner(each, "embedding", "text"))]
            told["input"] = _only(texts or [each.get("content") for each in spoken.asked])
        case Asked.RERANK:
            told["query"] = said.value("reranker.query") or _only([each.get("content") for each in spoken.asked])
    told |= {name: found for name, names in _PARAMETERS.items() if (found := said.number(*names)) is not None}
    told |= {} if (stream := said.flag(*_STREAM)) is None else {"stream": stream}
    told |= {} if (effort := said.text(*_EFFORT)) is None else {"reasoning_effort": effort}
    told |= {"stop": stop} if (stop := said.texts(*_STOP)) else {}
    told |= {"tools": tools} if (tools := _tools(said)) else {}
    return told | ({} if (user := said.text(*_USER)) is None else {"user": user})


def _inner(fields: Mapping[str, Value], *names: str) -> Value:
    found: Value = fields
    for name in names:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _only(values: Sequence[Value]) -> Value:
    return values[0] if len(values) == 1 else values or None


def _tools(said: Said) -> list[Plain]:
    defined = in_order(said.structured("gen_ai.tool.definitions", "llm.request.functions"))
    defined = defined or said.numbered("llm.request.functions")
    if defined:
        return [tool if "function" in tool else {"type": "function", "function": _function(tool)} for tool in defined]
    schemas = (structured(_inner(each, "tool", "json_schema")) for each in said.numbered("llm.tools"))
    return [dict(schema) for schema in schemas if isinstance(schema, Mapping)]


def _function(tool: Plain) -> Plain:
    fields: Plain = {name: tool[name] for name in ("name", "description") if tool.get(name)}
    return fields | ({"parameters": structured(tool["parameters"])} if tool.get("parameters") else {})


def _response(span: Span, said: Said, spoken: Spoken, asked: Asked, status: int) -> Plain:
    told: Plain = {} if (name := said.text("gen_ai.response.id")) is None else {"id": name}
    usage = usage_of(said, embeds=asked is Asked.EMBEDDING)
    choices = _choices(said, spoken, asked)
    if status >= 400:
        told |= _error(span, said)
        if not choices and usage is None:
            return told
    told |= {"model": model} if (model := said.text("gen_ai.response.model") or model_asked(said)) else {}
    match asked:
        case Asked.EMBEDDING:
            told |= {"object": "list", "data": []}
        case Asked.RERANK:
            told |= {"results": structured(said.value(*_OUTPUT))}
        case _:
            told |= {"object": _OBJECTS[asked], "choices": choices}
    told |= {} if (print_ := said.text("gen_ai.openai.response.system_fingerprint")) is None else {"system_fingerprint": print_}
    told |= (
        {} if (tier := said.text("gen_ai.openai.response.service_tier", "openai.response.service_tier")) is None else {"service_tier": tier}
    )
    return told | ({} if usage is None else {"usage": usage})


def _choices(said: Said, spoken: Spoken, asked: Asked) -> list[Value]:
    """Where the words were not sent, why the model stopped is told without them."""
    if asked not in _OBJECTS:
        return []
    reasons = said.texts(*_REASONS)
    answered = spoken.answered or [{"role": "assistant", "content": None} for _ in reasons]
    choices: list[Value] = []
    for index, whole in enumerate(answered):
        message = dict(whole)
        reason = message.pop("finish_reason", None) or (reasons[index] if index < len(reasons) else None)
        within: Plain = {"text": message.get("content") or ""} if asked is Asked.COMPLETION else {"message": message}
        choices.append({"index": index} | within | {"finish_reason": reason})
    return choices


# What went wrong


def _status(span: Span, said: Said) -> int:
    """HTTP's status where it is told, as an attribute or as the error's type."""
    told = said.count("http.response.status_code", "http.status_code", "error.type")
    told = told if told is not None and 100 <= told <= 599 else None
    if span.failed or said.has("error.type"):
        return told if told is not None and told >= 400 else FAILED
    return 200 if told is None else told


def _error(span: Span, said: Said) -> Plain:
    thrown = next((event for event in span.events if _tells_exception(event)), None)
    exception = Said({} if thrown is None else thrown.attributes)
    kind = said.text("error.type") or exception.text("exception.type")
    message = span.message or said.text("error.message") or exception.text("exception.message")
    return {"error": {"type": kind or "error", "message": message}}


def _tells_exception(event: SpanEvent) -> bool:
    return event.name == "exception" or event.name.endswith(".exception")


def _json(told: Plain, span: Span) -> bytes:
    """What is None was not said."""
    try:
        return msgspec.json.encode({name: value for name, value in told.items() if value is not None})
    except (RecursionError, OverflowError, UnicodeError, TypeError) as error:
        raise BadLog(f"{span.path}.attributes", f"hold a value that cannot be written as JSON: {type(error).__name__}") from None
