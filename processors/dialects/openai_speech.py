"""OpenAI speech: a text, spoken.

Source: OpenAI API reference, "Create speech" and "Speech streaming events" (read 2026-11-24). The answer is the sound itself, which names
neither model nor usage; with `stream_format` `sse` the last event has usage. All output is sound and priced as the model's output.
"""

from processors.dialects.answer import UNREADABLE, Answer
from processors.dialects.dialect import Dialect, Events
from processors.dialects.openai_usage import responses_usage
from processors.dialects.outline import outline_of, reading_of, reading_of_events
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
    return reading_of_events(events, responses_usage)


DIALECT = Dialect(name="openai.speech", claims=claims, of_json=of_json, of_stream=of_stream)
