"""OpenAI embeddings: a prompt is counted and vectors come back, never in a stream.

Source: OpenAI API reference, "Create embeddings" (read 2026-11-24). A batch of vectors runs to many megabytes, and model and usage stand
behind them: of a body that was cut they are found in the tail.
"""

from processors.dialects.answer import Answer
from processors.dialects.chunks import chunks_reading
from processors.dialects.dialect import Dialect, Events
from processors.dialects.openai_usage import embeddings_usage
from processors.dialects.outline import outline_of, outline_of_pieces, reading_of
from processors.dialects.reading import Reading


def claims(path: str) -> bool:
    return path.endswith("/embeddings")


def of_json(answer: Answer) -> Reading:
    outline = outline_of(answer.text) if answer.tail is None else outline_of_pieces(answer)
    return reading_of(outline, embeddings_usage)


def of_stream(events: Events) -> Reading:
    return chunks_reading(events, embeddings_usage)


DIALECT = Dialect(name="openai.embeddings", claims=claims, of_json=of_json, of_stream=of_stream)
