"""OpenAI responses that were made before: retrieved, or cancelled.

Source: OpenAI API reference, "Get a model response" and "Cancel a response"; guide "Background mode" (read 2026-11-24). One that was made
while its caller waited was billed then, and retrieving it is free. The usage of one that was made in the background is told only here,
as often as it is retrieved, and billed once; one row cannot know whether it is the first. So it is booked later, once (`storage/jobs.py`).
"""

import re

from msgspec import structs

from processors.dialects import openai_responses
from processors.dialects.answer import Answer
from processors.dialects.dialect import Dialect, Events, Message
from processors.dialects.openai_responses import RUNNING, Plain, response_at_the_end, response_of
from processors.dialects.reading import Reading, free, word

RETRIEVED = re.compile(r"/responses/(?!compact$|input_tokens$)[^/]+(/cancel)?$")

BILLED_BEFORE = "a stored response, billed when it was made"
STILL_RUNNING = "asking after a background response is not billed"
BILLED_ONCE = "a background response is billed once, however often it is retrieved: this row cannot know whether it is the first"
PERHAPS_BACKGROUND = "the stored response does not say whether it was made in the background, and billed only now"


def claims(path: str) -> bool:
    return RETRIEVED.search(path) is not None


def of_json(answer: Answer) -> Reading:
    return _reading(openai_responses.of_json(answer), response_of(answer))


def of_stream(events: Events) -> Reading:
    return _reading(openai_responses.of_stream(events), response_at_the_end(events))


def _reading(reading: Reading, response: Plain | None) -> Reading:
    if response is None or (reading.problem is not None and response.status is None):
        return reading
    if response.background is False:
        return free(reading, BILLED_BEFORE)
    if response.background is True and word(response.status) in RUNNING and reading.usage is None and reading.refused is None:
        return free(reading, STILL_RUNNING)
    if response.background is True:
        return structs.replace(reading, stated_cost=None, elsewhere=BILLED_ONCE)
    return structs.replace(reading, stated_cost=None, elsewhere=PERHAPS_BACKGROUND)


def message_of(events: Events) -> Message | None:
    return openai_responses.message_of(events)


DIALECT = Dialect(
    name="openai.stored_responses",
    claims=claims,
    methods=frozenset({"GET", "POST"}),
    of_json=of_json,
    of_stream=of_stream,
    message_of=message_of,
)
