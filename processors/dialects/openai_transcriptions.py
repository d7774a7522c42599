"""OpenAI transcriptions and translations: sound, written down.

Source: OpenAI API reference, "Create transcription", "Create translation" and "Transcription streaming events" (read 2026-11-24, checked
against the types of the `openai` package 3.54). Usage counts tokens, or the seconds of sound, as the model is billed. No answer names its
model. Asked for `text`, `srt` or `vtt` the answer is that text alone. Groq reports no usage but, in `verbose_json`, the duration, and
bills ten seconds at least (Groq docs, "Speech to text", read 2026-11-24). Mistral bills seconds, which the list has no rate for, and has
the tokens of the sound in the total alone: which of them make the prompt it does not say.
"""

from decimal import Decimal
from typing import Any

import msgspec

from processors.dialects.answer import Answer, object_of
from processors.dialects.dialect import Dialect, Events, Message
from processors.dialects.openai_usage import responses_usage
from processors.dialects.outline import Outline, outline_of_pieces, reading_of, reading_of_events
from processors.dialects.reading import Reading, part
from processors.usage import Usage, UsageRefused, seconds

GROQ_LEAST = Decimal(10)

PLAIN_TEXT = Reading(unpriced="an answer of plain text reports no usage")


class Transcription(Outline):
    """Top-level fields of any kind."""

    duration: Any = None


_transcription = msgspec.json.Decoder(Transcription)


def claims(path: str) -> bool:
    return path.endswith(("/audio/transcriptions", "/audio/translations"))


def of_json(answer: Answer) -> Reading:
    if not answer.text.lstrip().startswith("{"):
        return PLAIN_TEXT
    if answer.tail is not None:
        return reading_of(outline_of_pieces(answer), usage_of)
    said = _transcription.decode(answer.text)
    if said.usage is None and said.x_groq is not None and said.duration is not None:
        return reading_of(said, lambda _: _groq_usage(said.duration))
    return reading_of(said, usage_of)


def usage_of(usage: object) -> Usage | None:
    """Tokens or seconds. None when nothing was reported; raises UsageRefused."""
    if part(usage, "type") == "duration":
        length = seconds(part(usage, "seconds"), "seconds")
        if length is None:
            raise UsageRefused("usage names no seconds")
        return Usage(input=0, output=0, audio_seconds=length)
    if part(usage, "prompt_audio_seconds") is not None:
        return None
    return responses_usage(_with_details(usage))


def _with_details(usage: object) -> object:
    """Here the details are named in the singular."""
    return (
        usage | {"input_tokens_details": usage["input_token_details"]}
        if isinstance(usage, dict) and "input_token_details" in usage
        else usage
    )


def _groq_usage(duration: object) -> Usage | None:
    length = seconds(duration, "duration")
    return None if length is None else Usage(input=0, output=0, audio_seconds=max(length, GROQ_LEAST))


def of_stream(events: Events) -> Reading:
    """`transcript.text.done` comes last and has usage."""
    return reading_of_events(events, usage_of)


def message_of(events: Events) -> Message | None:
    """The text that was done; of a stream that was cut, as much of it as came."""
    parts: list[str] = []
    for event in events:
        said = object_of(event.data)
        if said is None:
            continue
        if said.get("type") == "transcript.text.done":
            return {name: said[name] for name in ("text", "languages", "usage") if name in said}
        if isinstance(delta := said.get("delta"), str):
            parts.append(delta)
    return {"text": "".join(parts)} if parts else None


DIALECT = Dialect(name="openai.transcriptions", claims=claims, of_json=of_json, of_stream=of_stream, message_of=message_of)
