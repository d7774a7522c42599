"""Tokens counted before a call is made: Anthropic's `count_tokens` and OpenAI's `input_tokens`.

Sources: Anthropic docs, "Token counting": free of charge; OpenAI API reference, "Get input token counts" (both read 2026-11-24). What was
counted was not read by a model, so the row has no tokens.
"""

from typing import Any

import msgspec

from processors.dialects.answer import Answer
from processors.dialects.dialect import Dialect, Events, Message
from processors.dialects.outline import Outline, outline_of_pieces, reading_of
from processors.dialects.reading import Reading, free


class Counted(Outline):
    """Top-level fields of any kind."""

    input_tokens: Any = None


_counted = msgspec.json.Decoder(Counted)


def claims(path: str) -> bool:
    return path.endswith(("/messages/count_tokens", "/responses/input_tokens"))


def of_json(answer: Answer) -> Reading:
    said = _counted.decode(answer.text) if answer.tail is None else outline_of_pieces(answer)
    reading = reading_of(said, lambda _: None)
    counted = isinstance(said, Counted) and said.input_tokens is not None
    return free(reading, "counting tokens is free") if counted and reading.problem is None else reading


def of_stream(_events: Events) -> Reading:
    return Reading()


def message_of(_events: Events) -> Message | None:
    return None


DIALECT = Dialect(name="token_counting", claims=claims, of_json=of_json, of_stream=of_stream, message_of=message_of)
