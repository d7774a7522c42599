"""By which dialect a call is read that its caller told of afterwards: by the shape of the logged answer.

The path that was given may be a name that stands for nothing, and libraries turn answers into another provider's shape before they log
them. Streams may be lines of JSON, whichever dialect they speak, with words before them: Helicone's loggers join the pieces so, behind
the text of an error.
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from eventlog.events import Body, CallFacts
from processors.dialects import (
    anthropic_messages,
    bedrock_converse,
    bedrock_invoke,
    cohere_chat,
    google_gemini,
    mistral_conversations,
    ollama_chat,
    ollama_embed,
    ollama_generate,
    openai_chat,
    openai_completions,
    openai_embeddings,
    openai_responses,
)
from processors.dialects.answer import Answer, answer_of, events_of, object_of
from processors.dialects.arrays import items_of
from processors.dialects.dialect import Dialect
from processors.dialects.lines import lines_of
from processors.dialects.sse import ServerSentEvent

LOOKED_AT = 8
"""Events of a stream, at its beginning, by which its shape is told; and the last one."""


class Shape(Struct):
    """Top-level fields that tell shapes apart; the rest is skipped, not built."""

    object: Any = None
    type: Any = None
    choices: Raw = Raw()
    candidates: Raw = Raw()
    usageMetadata: Raw = Raw()  # noqa: N815 the wire's names
    usage: Raw = Raw()
    error: Raw = Raw()
    output: Raw = Raw()
    stopReason: Raw = Raw()  # noqa: N815
    data: Raw = Raw()
    message: Raw = Raw()
    response: Raw = Raw()
    embeddings: Raw = Raw()
    done: Raw = Raw()
    prompt_eval_count: Raw = Raw()
    prompt_token_count: Raw = Raw()
    generation_token_count: Raw = Raw()


class Counts(Struct):
    """Fields of usage that tell shapes apart."""

    prompt_tokens: Raw = Raw()
    total_tokens: Raw = Raw()
    input_tokens: Raw = Raw()
    input_tokens_details: Raw = Raw()
    inputTokens: Raw = Raw()  # noqa: N815
    billed_units: Raw = Raw()


HEAD = 65_536
"""Characters of a stream in which they are looked for."""
_shape = msgspec.json.Decoder(Shape)
_counts = msgspec.json.Decoder(Counts)
Sign = Callable[[Shape], bool]


def pieces_told(answer: Answer) -> Sequence[ServerSentEvent] | None:
    """The events of a stream that was written as lines of JSON, or as an array. None when the answer came in one piece."""
    return lines_of(answer) or items_of(answer) or _behind_words(answer)


def _behind_words(answer: Answer) -> list[ServerSentEvent] | None:
    if answer.text[:1024].lstrip()[:1] in {"{", "["}:
        return None
    lines = [line for line in (answer.text + "\n" + (answer.tail or "")).encode("utf-8", "replace").split(b"\n") if line[:1] == b"{"]
    return [ServerSentEvent("", line) for line in lines] if lines and object_of(lines[0]) is not None else None


def _lined(dialect: Dialect) -> Dialect:
    own = dialect.pieces
    return replace(dialect, pieces=pieces_told if own is None else lambda answer: own(answer) or pieces_told(answer))


_DIALECTS = {
    module.DIALECT.name: _lined(module.DIALECT)
    for module in (
        anthropic_messages,
        bedrock_converse,
        bedrock_invoke,
        cohere_chat,
        google_gemini,
        mistral_conversations,
        ollama_chat,
        ollama_embed,
        ollama_generate,
        openai_chat,
        openai_completions,
        openai_embeddings,
        openai_responses,
    )
}
_USUAL = {"anthropic": "anthropic.messages", "google": "google.gemini", "openai": "openai.chat"}
"""Of answers whose beginning and end alone were kept."""


def logged_dialect(call: CallFacts, response: Body) -> Dialect | None:
    """None where no model was asked, and where the answer is in no shape that we know. Never raises."""
    if call.step is not None:
        return None
    try:
        answer = answer_of(response)
    except ValueError:
        return None
    if answer is None:
        return None
    name = next((name for text in _samples(answer) if (name := _name_of(text, call.provider)) is not None), None)
    if name is None and answer.tail is not None:
        name = _USUAL.get(call.provider)
    return None if name is None else _DIALECTS[name]


def _samples(answer: Answer) -> Sequence[bytes]:
    events = _first_events(answer) if answer.streamed else pieces_told(answer)
    if events is None:
        return [answer.text.encode("utf-8", "replace")]
    return [event.data for event in (*events[:LOOKED_AT], *events[-1:])]


def _first_events(answer: Answer) -> Sequence[ServerSentEvent]:
    """A long stream is not taken apart twice. Its last event here may be cut, and tells nothing then."""
    if len(answer.text) > HEAD and (found := events_of(Answer(answer.text[:HEAD], streamed=True)))[1:]:
        return found
    return events_of(answer)


SIGNS: tuple[tuple[str, Sign], ...] = (
    ("openai.completions", lambda said: said.object == "text_completion"),
    ("openai.chat", lambda said: _is_list(said.choices)),
    ("openai.responses", lambda said: said.object == "response" or _begins(said.type, "response.")),
    ("mistral.conversations", lambda said: said.object == "conversation.response" or _begins(said.type, "conversation.response.")),
    ("anthropic.messages", lambda said: said.type == "message" or _begins(said.type, "message_")),
    ("google.gemini", lambda said: _is_list(said.candidates) or _is_object(said.usageMetadata)),
    ("openai.embeddings", lambda said: said.object == "list" and _is_list(said.data)),
    ("bedrock.converse", lambda said: _is_object(said.output) and _said(said.stopReason)),
    ("bedrock.invoke", lambda said: _said(said.prompt_token_count) or _said(said.generation_token_count)),
    ("ollama.embed", lambda said: _is_list(said.embeddings) and _said(said.prompt_eval_count)),
    ("ollama.chat", lambda said: _said(said.done) and _is_object(said.message)),
    ("ollama.generate", lambda said: _said(said.done) and _said(said.response)),
)
"""The first that holds counts."""


def _name_of(text: bytes, provider: str) -> str | None:
    try:
        said = _shape.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    found = next((name for name, sign in SIGNS if sign(said)), None)
    if found is not None:
        return found
    if _is_object(said.usage):
        return _by_counts(bytes(said.usage), provider)
    if said.type == "error" and _is_object(said.error):
        return "anthropic.messages"
    return _USUAL.get(provider, "openai.chat") if _said(said.error) else None


def _by_counts(usage: bytes, provider: str) -> str | None:
    """Of an answer of which little more than its usage was logged."""
    try:
        said = _counts.decode(usage)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    if _said(said.billed_units):
        return "cohere.chat"
    if _said(said.inputTokens):
        return "bedrock.converse"
    if _said(said.input_tokens):
        openai = _said(said.input_tokens_details) or (provider != "anthropic" and _said(said.total_tokens))
        return "openai.responses" if openai else "anthropic.messages"
    return "openai.chat" if _said(said.prompt_tokens) or _said(said.total_tokens) else None


def _said(raw: Raw) -> bool:
    return bytes(raw) not in {b"", b"null"}


def _is_list(raw: Raw) -> bool:
    return bytes(raw)[:1] == b"["


def _is_object(raw: Raw) -> bool:
    return bytes(raw)[:1] == b"{"


def _begins(value: object, start: str) -> bool:
    return isinstance(value, str) and value.startswith(start)
