"""Amazon Bedrock's InvokeModel: the body is the model's own.

Sources: Amazon Bedrock API reference, "InvokeModel", "InvokeModelWithResponseStream", "PayloadPart"; user guide, "Inference request
parameters and response fields" for Anthropic, Nova, Titan, Llama, Mistral, Cohere, AI21 and DeepSeek (read 2026-11-24). A stream comes as
binary frames, each with the base64 of one event of the model's own; the last one has Bedrock's own counts beside it.

Mistral's texts, Cohere and DeepSeek report no usage in the body. Bedrock counts them in headers (`x-amzn-bedrock-input-token-count`,
`-output-token-count`), which nobody keeps: outside of a stream their usage is not known. The tier is in a header as well.
"""

from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from processors.dialects import anthropic_messages, bedrock_converse, openai_chat
from processors.dialects.accumulate import DEPTH, Text, finished
from processors.dialects.answer import UNREADABLE, Answer, last_object, object_of, word_in
from processors.dialects.bedrock_usage import METRICS, failure_in, metrics_usage, model_in, problem_in, token_usage
from processors.dialects.dialect import Dialect, Events, Message
from processors.dialects.eventstream import FAILED
from processors.dialects.openai_usage import chat_usage
from processors.dialects.reading import Reading, part, word
from processors.dialects.sse import ServerSentEvent
from processors.usage import Usage, UsageRefused, count, or_refused

NOVA = ("messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata")
"""Nova's events are those of the Converse API, each in a field of its name."""


FIRST, LAST = 8, 64
"""Chunks that are looked into: counts stand in the first, or grow up to the last."""


class Outline(Struct):
    """Fields of all the models' answers, of any kind. What may be long and says nothing is not decoded."""

    type: Any = None
    model: Any = None
    usage: Any = None
    message: Any = None
    Message: Any = None
    kind: Any = msgspec.field(default=None, name="__type")
    metrics: Any = msgspec.field(default=None, name=METRICS)
    stop_reason: Any = None
    stopReason: Any = None  # noqa: N815
    finish_reason: Any = None
    completionReason: Any = None  # noqa: N815
    prompt_token_count: Any = None
    generation_token_count: Any = None
    inputTextTokenCount: Any = None  # noqa: N815
    totalOutputTextTokenCount: Any = None  # noqa: N815
    results: Any = None
    choices: Any = None
    outputs: Any = None
    generations: Any = None
    completions: Any = None
    embedding: msgspec.Raw = msgspec.Raw()


class Chunk(Struct):
    """A frame's payload; decoding undoes the base64."""

    bytes: bytes


_outline = msgspec.json.Decoder(Outline)
_chunk = msgspec.json.Decoder(Chunk)
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


def claims(path: str) -> bool:
    return "/model/" in path and path.endswith(("/invoke", "/invoke-with-response-stream"))


def of_json(answer: Answer) -> Reading:
    outline = _outline.decode(answer.text) if answer.tail is None else _of_pieces(answer)
    if outline.type == "message":
        return _with_metrics(anthropic_messages.of_json(answer), outline.metrics)
    return _reading(outline)


def _of_pieces(answer: Answer) -> Outline:
    """Only usage in an object of its own is found: the answers that count otherwise are short."""
    tail = (answer.text + (answer.tail or "") if answer.adjoins else answer.tail or "")[-2 * 65_536 :]
    return Outline(
        type=word_in(answer.text[:4096], "type"),
        model=word_in(answer.text[:4096], "model"),
        usage=last_object(tail, "usage"),
        stop_reason=word_in(tail, "stop_reason", last=True),
        stopReason=word_in(tail, "stopReason", last=True),
        finish_reason=word_in(tail, "finish_reason", last=True),
    )


def of_stream(events: Events) -> Reading:
    inner, failure = _inner(events), failure_in(events)
    if _is_anthropic(inner):
        reading = _with_metrics(anthropic_messages.of_stream(inner), _metrics_in(inner))
    elif nova := _nova(inner):
        reading = _with_metrics(bedrock_converse.of_stream(nova), _metrics_in(inner))
    else:
        reading = _reading(_merged(inner))
    return reading if failure is None else replace(reading, problem=problem_in(failure))


def _inner(events: Events) -> list[ServerSentEvent]:
    """The model's own events."""
    found = []
    for event in events:
        if event.event.startswith(FAILED):
            continue
        try:
            data = _chunk.decode(event.data).bytes
        except UNREADABLE:
            continue
        if data[:1] == b"{":
            found.append(ServerSentEvent("", data))
    return found


def _is_anthropic(inner: Events) -> bool:
    return any(b'"message_start"' in event.data[:64] or b'"content_block_delta"' in event.data[:64] for event in inner[:2])


def _nova(inner: Events) -> list[ServerSentEvent]:
    """As events of the Converse API; empty when it is another model's."""
    found = []
    for event in inner:
        try:
            fields = _fields.decode(event.data)
        except UNREADABLE:
            continue
        found += [ServerSentEvent(name, bytes(fields[name])) for name in NOVA if name in fields]
        if not found:
            break
    return found


def _with_metrics(reading: Reading, metrics: object) -> Reading:
    """Bedrock's counts where the model's own are missing."""
    if reading.usage is not None or reading.refused is not None:
        return reading
    try:
        return replace(reading, usage=metrics_usage(metrics))
    except UsageRefused as error:
        return replace(reading, refused=str(error))


def _metrics_in(inner: Events) -> object:
    """In the last event, if anywhere."""
    for event in reversed(inner[-4:]):
        if METRICS.encode() in event.data:
            return (object_of(event.data) or {}).get(METRICS)
    return None


MERGED = tuple(name for name in Outline.__struct_fields__ if name not in {"stop_reason", "embedding"})


def _merged(inner: Events) -> Outline:
    """What a later chunk says replaces what an earlier one said; null takes nothing back."""
    merged = Outline()
    for event in inner if len(inner) <= FIRST + LAST else [*inner[:FIRST], *inner[-LAST:]]:
        try:
            said = _outline.decode(event.data)
        except UNREADABLE:
            continue
        merged.stop_reason = _finish_reason(said) or merged.stop_reason
        for name in MERGED:
            value = getattr(said, name)
            if value is not None:
                setattr(merged, name, value)
    return merged


def _reading(outline: Outline) -> Reading:
    usage, refused = or_refused(usage_of, outline)
    return Reading(
        usage=usage,
        model=word(outline.model),
        finish_reason=_finish_reason(outline),
        problem=problem_in({"__type": outline.kind, "message": outline.message, "Message": outline.Message}),
        refused=refused,
    )


def _finish_reason(outline: Outline) -> str | None:
    """The first text's, in whose words whatever model it was."""
    said = outline.stop_reason or outline.stopReason or outline.finish_reason or outline.completionReason
    if word(said) is not None:
        return word(said)
    for texts in (outline.choices, outline.outputs, outline.results, outline.generations, outline.completions):
        first = texts[0] if isinstance(texts, list) and texts else None
        for name in ("finish_reason", "stop_reason", "completionReason"):
            if (reason := word(part(first, name))) is not None:
                return reason
        if (reason := word(part(part(first, "finishReason"), "reason"))) is not None:
            return reason
    return None


def usage_of(outline: Outline) -> Usage | None:
    """The model's own counts, else Bedrock's; raises UsageRefused, also where the two contradict each other."""
    own, counted = _own_usage(outline), metrics_usage(outline.metrics)
    if own is None or counted is None:
        return own or counted
    if (own.input, own.output) != (counted.input, counted.output):
        raise UsageRefused("the model's counts contradict those of Bedrock")
    return own


def _own_usage(outline: Outline) -> Usage | None:
    if outline.usage is not None:
        return _usage_in(outline.usage)
    if outline.inputTextTokenCount is not None or outline.totalOutputTextTokenCount is not None:
        return _pair(outline.inputTextTokenCount, _titan_output(outline), "inputTextTokenCount", "tokenCount")
    names = ("prompt_token_count", "generation_token_count")
    return _pair(outline.prompt_token_count, outline.generation_token_count, *names)


def _usage_in(usage: object) -> Usage | None:
    """Anthropic's, Nova's, or OpenAI's with those who answer in its shape (AI21's Jamba, Mistral, Qwen and others)."""
    if part(usage, "input_tokens") is not None:
        return anthropic_messages.usage_of(usage)
    return chat_usage(usage) if part(usage, "inputTokens") is None and part(usage, "prompt_tokens") is not None else token_usage(usage)


def _pair(prompt: object, output: object, prompt_name: str, output_name: str) -> Usage | None:
    read, written = count(prompt, prompt_name), count(output, output_name)
    if read is None and written is None:
        return None
    if read is None or written is None:
        raise UsageRefused("usage names only one side of the call")
    return Usage(input=read, output=written)


def _titan_output(outline: Outline) -> object:
    """A text's tokens; an embedding has none."""
    if outline.totalOutputTextTokenCount is not None or bytes(outline.embedding):
        return outline.totalOutputTextTokenCount or 0
    results = outline.results if isinstance(outline.results, list) else []
    counts = [count(part(result, "tokenCount"), "tokenCount") for result in results]
    known = [number for number in counts if number is not None]
    return sum(known) if known and len(known) == len(counts) else None


def message_of(events: Events) -> Message | None:
    inner = _inner(events)
    message = _message_in(inner)
    metrics = _metrics_in(inner)
    if message is not None and isinstance(metrics, dict):
        message |= {METRICS: metrics}
    return ((message or {}) | (failure_in(events) or {})) or None


def _message_in(inner: Events) -> Message | None:
    if _is_anthropic(inner):
        return anthropic_messages.message_of(inner)
    if nova := _nova(inner):
        return bedrock_converse.message_of(nova)
    if any(b'"delta"' in event.data for event in inner[:2]):
        return openai_chat.message_of(inner)
    total: Message = {}
    for event in inner:
        _add(total, object_of(event.data) or {})
    message: Message = finished(total)
    if "outputText" in message:
        return _titan(message)
    whole = message.get("response")
    return whole if isinstance(whole, dict) else message or None


TEXTS = frozenset({"generation", "outputText", "text", "completion", "content"})
"""Fields that hold the next piece of a text. All others are said whole."""
LISTS = frozenset({"choices", "outputs", "generations", "message"})
"""Fields that hold texts, told apart by their place."""


def _add(total: dict[str, Any], said: dict[str, Any], depth: int = 0) -> None:
    for name, value in said.items():
        if name in TEXTS and isinstance(value, str):
            _append(total, name, value)
        elif name in LISTS and isinstance(value, dict) and depth < DEPTH:
            _add(_object(total, name), value, depth + 1)
        elif name in LISTS and isinstance(value, list) and depth < DEPTH:
            _add_items(total, name, value, depth + 1)
        elif value is not None or name not in total:
            total[name] = value


def _append(total: dict[str, Any], name: str, text: str) -> None:
    known = total.get(name)
    if isinstance(known, Text):
        known.parts.append(text)
    else:
        total[name] = Text(text)


def _object(total: dict[str, Any], name: str) -> dict[str, Any]:
    known = total.get(name)
    if not isinstance(known, dict):
        known = total[name] = {}
    return known


def _add_items(total: dict[str, Any], name: str, items: list[Any], depth: int) -> None:
    known = total.get(name)
    if not isinstance(known, list):
        known = total[name] = []
    for place, item in enumerate(items):
        if place == len(known):
            known.append({})
        if isinstance(item, dict) and isinstance(known[place], dict):
            _add(known[place], item, depth)


def _titan(message: Message) -> Message:
    """A stream's chunk and the answer of one piece have other names for the same."""
    result = {
        "tokenCount": message.get("totalOutputTextTokenCount"),
        "outputText": message["outputText"],
        "completionReason": message.get("completionReason"),
    }
    return {"inputTextTokenCount": message.get("inputTextTokenCount"), "results": [result]}


DIALECT = Dialect(
    name="bedrock.invoke",
    claims=claims,
    of_json=of_json,
    of_stream=of_stream,
    message_of=message_of,
    model_in=model_in,
    billed_by_path=True,
)
