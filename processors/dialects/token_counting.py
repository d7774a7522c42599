"""Calls that ask how many tokens a prompt would have, of whichever provider.

Sources: Anthropic docs, "Token counting", and Vertex AI, "Count tokens for Claude models"; OpenAI API reference, "Get input token counts";
Gemini API reference, "Counting tokens"; Amazon Bedrock API reference, "CountTokens" (read 2026-11-26). Nothing is generated and nothing
billed: such a call has no tokens of its own, and what it counted is its answer.
"""

from typing import Any

import msgspec

from processors.dialects import bedrock_usage, google_gemini, google_paths, outline
from processors.dialects.answer import UNREADABLE, Answer
from processors.dialects.arrays import items_of
from processors.dialects.dialect import Dialect, Events
from processors.dialects.reading import Problem, Reading
from processors.usage import Usage

FREE = "counting tokens is not billed"
NOTHING = Usage(input=0, output=0)

ENDS = ("/messages/count_tokens", "/responses/input_tokens", ":countTokens", google_paths.COUNT_TOKENS)


class Counted(outline.Outline):
    """Top-level fields of any kind: each provider has its own name for the count."""

    input_tokens: Any = None
    inputTokens: Any = None  # noqa: N815
    totalTokens: Any = None  # noqa: N815
    kind: Any = msgspec.field(default=None, name="__type")


_counted = msgspec.json.Decoder(Counted)


def claims(path: str) -> bool:
    return path.endswith(ENDS) or _is_bedrock(path)


def _is_bedrock(path: str) -> bool:
    return "/model/" in path and path.endswith("/count-tokens")


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


def _reading(said: Counted) -> Reading:
    answered = any(number is not None for number in (said.input_tokens, said.inputTokens, said.totalTokens))
    return Reading(usage=NOTHING if answered else None, problem=_problem(said), free=FREE)


def _problem(said: Counted) -> Problem | None:
    if said.kind is not None:
        return bedrock_usage.problem_in({"__type": said.kind, "message": said.message})
    return google_gemini.problem_in(said.error) or outline.problem_in(said)


def model_in(path: str) -> str | None:
    """Anthropic's count on Vertex names its model in the body, and its path a method in the place of one."""
    if _is_bedrock(path):
        return bedrock_usage.model_in(path)
    return None if path.endswith(google_paths.COUNT_TOKENS) else google_paths.model_in(path)


DIALECT = Dialect(
    name="token_counting",
    claims=claims,
    of_json=of_json,
    of_stream=of_stream,
    pieces=items_of,
    model_in=model_in,
)
