"""OpenAI batches: many requests in a file, worked off within a day at half the price.

Source: OpenAI API reference, "Batch": "The batch object" (read 2026-11-24, checked against the types of the `openai` package 3.54).
Creating a batch bills nothing yet. A batch that has ended tells its usage as often as it is retrieved, and is billed once; one row cannot
know whether it is the first. So it is booked later, once (`storage/jobs.py`).
"""

import re
from typing import Any

import msgspec
from msgspec import structs

from processors.dialects.answer import Answer
from processors.dialects.dialect import Dialect, Events
from processors.dialects.openai_usage import responses_usage
from processors.dialects.outline import Outline, outline_of_pieces, reading_of
from processors.dialects.reading import Reading, free, word

BATCH = re.compile(r"(?<!/messages)/batches(/[^/]+(/cancel)?)?$")

AT_HALF_PRICE = (("processing", "batch"),)
ENDED = frozenset({"completed", "expired", "cancelled", "failed"})

BILLED_LATER = "a batch is billed as it is worked off; it tells its tokens when it is retrieved"
BILLED_ONCE = "a batch is billed once, however often it is retrieved: this row cannot know whether it is the first"
STILL_RUNNING = "asking after a batch is not billed"


class Batch(Outline):
    """Top-level fields of any kind."""

    id: Any = None
    object: Any = None
    status: Any = None


_batch = msgspec.json.Decoder(Batch)


def claims(path: str) -> bool:
    return BATCH.search(path) is not None


def of_json(answer: Answer) -> Reading:
    if answer.tail is not None:
        return reading_of(outline_of_pieces(answer), lambda _: None)
    batch = _batch.decode(answer.text)
    if batch.object == "list":
        return free(Reading(), STILL_RUNNING)
    reading = structs.replace(reading_of(batch, responses_usage), finish_reason=word(batch.status), context=())
    if batch.object != "batch" or reading.refused is not None:
        return reading
    if batch.status == "validating":
        return structs.replace(reading, usage=None, job=word(batch.id), elsewhere=BILLED_LATER)
    if word(batch.status) in ENDED:
        return structs.replace(reading, stated_cost=None, job=word(batch.id), context=AT_HALF_PRICE, elsewhere=BILLED_ONCE)
    return free(reading, STILL_RUNNING)


def of_stream(_events: Events) -> Reading:
    return Reading()


DIALECT = Dialect(
    name="openai.batches",
    claims=claims,
    methods=frozenset({"GET", "POST"}),
    of_json=of_json,
    of_stream=of_stream,
)
