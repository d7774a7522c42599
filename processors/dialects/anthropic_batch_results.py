"""Anthropic message batches after their creation: asked after, cancelled, and their results.

Source: Anthropic docs, "Batch processing"; API reference, "Message Batches": "Retrieve Message Batch results" (read 2026-11-24, checked
against the types of the `anthropic` package 2.10). The results are lines of JSON, each with a message and its usage, at half the price;
what failed, expired or was cancelled is not billed. Results are billed once and may be fetched often; one row cannot know whether it is
the first. So they are booked later, once (`storage/jobs.py`).
"""

import re
from typing import Any

import msgspec
from msgspec import Struct

from processors.dialects.answer import UNREADABLE, Answer
from processors.dialects.anthropic_messages import usage_of
from processors.dialects.dialect import Dialect, Events
from processors.dialects.outline import Outline, outline_of_pieces, reading_of
from processors.dialects.reading import Reading, free, word
from processors.usage import Usage, UsageRefused

AFTERWARDS = re.compile(r"/messages/batches(/[^/]+(/cancel|/results)?)?$")

RESULTS = re.compile(r"/messages/batches/([^/]+)/results$")
BILLED_ONCE = "the results of a batch are billed once, however often they are fetched: this row cannot know whether it is the first"
CUT = "the results of a batch were longer than what is kept"
ASKED_AFTER = "asking after a batch is not billed"


class Batch(Outline):
    """Top-level fields of any kind: of a batch, a list of batches, or an error."""

    type: Any = None
    data: Any = None


class Batched(Struct):
    """What is looked for in a message that came of a batch."""

    model: Any = None
    usage: Any = None


class Result(Struct):
    message: Batched | None = None


class Line(Struct):
    result: Result


_batch = msgspec.json.Decoder(Batch)
_line = msgspec.json.Decoder(Line)


def claims(path: str) -> bool:
    return AFTERWARDS.search(path) is not None


def job_in(path: str) -> str | None:
    """The answer does not name its batch."""
    found = RESULTS.search(path)
    return None if found is None else found[1]


def of_json(answer: Answer) -> Reading:
    if '"custom_id"' in answer.text[:64]:
        return Reading(elsewhere=CUT) if answer.tail is not None and not answer.adjoins else _results(answer.text + (answer.tail or ""))
    if answer.tail is not None:
        return reading_of(outline_of_pieces(answer), lambda _: None)
    said = _batch.decode(answer.text)
    reading = reading_of(said, lambda _: None)
    asked_after = said.type == "message_batch" or isinstance(said.data, list)
    return free(reading, ASKED_AFTER) if asked_after and reading.problem is None else reading


def _results(text: str) -> Reading:
    """All lines added up. One that cannot be read makes the sum unknown."""
    whole, models, refused = Usage(input=0, output=0), set[str | None](), None
    for line in text.split("\n"):
        try:
            message = _line.decode(line).result.message if line.strip() else None
            if message is not None:
                models.add(word(message.model))
                whole = whole.plus(_used(message.usage))
        except (*UNREADABLE, UsageRefused) as error:
            refused = str(error) if isinstance(error, UsageRefused) else "a result of the batch cannot be read"
    model = models.pop() if len(models) == 1 else None
    usage = whole if refused is None else None
    return Reading(usage=usage, model=model, context=(("processing", "batch"),), elsewhere=BILLED_ONCE, refused=refused)


def _used(said: object) -> Usage:
    usage = usage_of(said)
    if usage is None:
        raise UsageRefused("a result of the batch has no usage")
    return usage


def of_stream(_events: Events) -> Reading:
    return Reading()


DIALECT = Dialect(
    name="anthropic.batch_results",
    claims=claims,
    methods=frozenset({"GET", "POST"}),
    of_json=of_json,
    of_stream=of_stream,
    job_in=job_in,
)
