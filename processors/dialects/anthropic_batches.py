"""Anthropic message batches, as they are created: nothing is billed yet.

Source: Anthropic API reference, "Create a Message Batch" (read 2026-11-24). What they cost is known from their results, of which see
`anthropic_batch_results`.
"""

from typing import Any

import msgspec
from msgspec import structs

from processors.dialects.answer import Answer
from processors.dialects.dialect import Dialect, Events
from processors.dialects.outline import Outline, outline_of_pieces, reading_of
from processors.dialects.reading import Reading, word

BILLED_LATER = "a batch is billed as it is worked off; its results tell their tokens"


class Batch(Outline):
    """Top-level fields of any kind."""

    id: Any = None
    type: Any = None
    processing_status: Any = None


_batch = msgspec.json.Decoder(Batch)


def claims(path: str) -> bool:
    return path.endswith("/messages/batches")


def of_json(answer: Answer) -> Reading:
    said = _batch.decode(answer.text) if answer.tail is None else outline_of_pieces(answer)
    reading = reading_of(said, lambda _: None)
    if not isinstance(said, Batch) or said.type != "message_batch":
        return reading
    return structs.replace(reading, finish_reason=word(said.processing_status), job=word(said.id), elsewhere=BILLED_LATER)


def of_stream(_events: Events) -> Reading:
    return Reading()


DIALECT = Dialect(name="anthropic.batches", claims=claims, of_json=of_json, of_stream=of_stream)
