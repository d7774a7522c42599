"""OpenAI moderations: a text or an image, judged.

Source: OpenAI API reference, "Create moderation", and the guide "Moderation": its models are free (read 2026-11-24). Others answer in the
same shape and may bill: whose model answered decides.
"""

from processors.dialects.answer import Answer
from processors.dialects.chunks import chunks_reading
from processors.dialects.dialect import Dialect, Events
from processors.dialects.openai_usage import chat_usage
from processors.dialects.outline import outline_of, outline_of_pieces, reading_of
from processors.dialects.reading import Reading, free

FREE_MODELS = ("omni-moderation-", "text-moderation-")


def claims(path: str) -> bool:
    return path.endswith("/moderations")


def of_json(answer: Answer) -> Reading:
    outline = outline_of(answer.text) if answer.tail is None else outline_of_pieces(answer)
    reading = reading_of(outline, chat_usage)
    if reading.model is not None and reading.model.startswith(FREE_MODELS):
        return free(reading, "OpenAI's moderation is not billed")
    return reading


def of_stream(events: Events) -> Reading:
    return chunks_reading(events, chat_usage)


DIALECT = Dialect(name="openai.moderations", claims=claims, of_json=of_json, of_stream=of_stream)
