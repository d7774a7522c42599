"""Calls that ask how many tokens a prompt would have: Google's `countTokens`, and Anthropic's count on Vertex.

Sources: Gemini API reference, "Counting tokens"; Vertex AI, "Count tokens for Claude models" (read 2026-11-26). Nothing is
generated and nothing billed: such a call has no tokens of its own, and what it counted is its answer.
"""

from typing import Any

import msgspec
from msgspec import Struct

from processors.dialects.answer import UNREADABLE, Answer
from processors.dialects.arrays import items_of
from processors.dialects.dialect import Dialect, Events, Message
from processors.dialects.google_gemini import problem_in
from processors.dialects.google_paths import COUNT_TOKENS, model_in
from processors.dialects.reading import Reading
from processors.usage import Usage

FREE = "counting tokens is not billed"
NOTHING = Usage(input=0, output=0)


class Counted(Struct, rename="camel"):
    total_tokens: Any = None
    input_tokens: Any = msgspec.field(name="input_tokens", default=None)
    error: Any = None


_counted = msgspec.json.Decoder(Counted)


def claims(path: str) -> bool:
    return path.endswith((":countTokens", COUNT_TOKENS))


def of_json(answer: Answer) -> Reading:
    return _reading(_counted.decode(answer.text)) if answer.tail is None else Reading(free=FREE)


def of_stream(events: Events) -> Reading:
    """A count never streams; what comes as an array is an error."""
    for event in events:
        try:
            return _reading(_counted.decode(event.data))
        except UNREADABLE:
            continue
    return Reading(free=FREE)


def _reading(counted: Counted) -> Reading:
    answered = counted.total_tokens is not None or counted.input_tokens is not None
    return Reading(usage=NOTHING if answered else None, problem=problem_in(counted.error), free=FREE)


def message_of(_events: Events) -> Message | None:
    return None


def _model_in(path: str) -> str | None:
    """Anthropic's count names its model in the body, and its path a method in the place of one."""
    return None if path.endswith(COUNT_TOKENS) else model_in(path)


DIALECT = Dialect(
    name="token-counting",
    claims=claims,
    of_json=of_json,
    of_stream=of_stream,
    message_of=message_of,
    pieces=items_of,
    model_in=_model_in,
)
