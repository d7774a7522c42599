"""OpenAI speech: a text, spoken.

Source: OpenAI API reference, "Create speech" and "Speech streaming events" (read 2026-11-24). The answer is the sound itself, which names
neither model nor usage; with `stream_format` `sse` the last event has usage. All output is sound and priced as the model's output.
"""

from processors.dialects.answer import UNREADABLE, Answer, object_of
from processors.dialects.dialect import Dialect, Events, Message
from processors.dialects.openai_usage import responses_usage
from processors.dialects.outline import Outline, outline_of, reading_of
from processors.dialects.reading import Reading

SOUND = Reading(unpriced="an answer of sound reports no usage")


def claims(path: str) -> bool:
    return path.endswith("/audio/speech")


def of_json(answer: Answer) -> Reading:
    """Only an error is JSON; sound may begin as anything, with a brace too."""
    if not answer.text.lstrip().startswith("{"):
        return SOUND
    try:
        return reading_of(outline_of(answer.text), responses_usage)
    except UNREADABLE:
        return SOUND


def of_stream(events: Events) -> Reading:
    merged = Outline()
    for event in reversed(events):
        if b'"usage"' not in event.data and b'"error"' not in event.data:
            continue
        said = object_of(event.data) or {}
        merged.usage = said.get("usage") if merged.usage is None else merged.usage
        merged.error = said.get("error") if merged.error is None else merged.error
    return reading_of(merged, responses_usage)


def message_of(_events: Events) -> Message | None:
    """In one piece it would be sound, no message."""
    return None


DIALECT = Dialect(name="openai.speech", claims=claims, of_json=of_json, of_stream=of_stream, message_of=message_of)
