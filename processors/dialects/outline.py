"""The few top-level fields of an OpenAI-shaped answer that matter; the rest is skipped, not built."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from processors.dialects.answer import Answer, last_object, object_of, word_in
from processors.dialects.charges import COUNTED, SONAR, STATED, billed_beside, stated_cost, states_a_cost
from processors.dialects.google_usage import PROVISIONED, TRAFFIC, is_provisioned, traffic_in
from processors.dialects.google_usage import context_of as google_context_of
from processors.dialects.openai_usage import context_of, with_thoughts
from processors.dialects.reading import Problem, Reading, problem_of, word
from processors.dialects.sse import ServerSentEvent
from processors.usage import Usage, or_refused

BESIDE_TOKENS = STATED | COUNTED | {TRAFFIC}
"""Fields of usage that decide the price beside tokens. Most answers have none, and are done with after one look for them all."""


class Outline(Struct):
    """Any kind of value may stand in any field: a field of the wrong kind must not hide its neighbours."""

    model: Any = None
    usage: Any = None
    error: Any = None
    service_tier: Any = None
    x_groq: Any = None
    detail: Any = None
    message: Any = None


class Choice(Struct):
    finish_reason: Any = None
    index: Any = 0


class ChoicesOutline(Outline):
    choices: list[Choice] = []


_outline = msgspec.json.Decoder(Outline)
_with_choices = msgspec.json.Decoder(ChoicesOutline)


def outline_of(text: str | bytes) -> Outline:
    """With choices where they have their shape. Raises what decoding raises when the text is no JSON object."""
    try:
        return _with_choices.decode(text)
    except msgspec.ValidationError:
        return _outline.decode(text)


def outline_of_pieces(answer: Answer) -> Outline:
    """Of an answer whose middle is gone: the fields are looked for in what is left, usage in the tail."""
    head, tail = answer.text, answer.tail or ""
    whole = head + tail if answer.adjoins else tail
    return ChoicesOutline(
        model=word_in(head[:4096], "model") or word_in(tail, "model", last=True),
        usage=last_object(whole[-2 * 65_536 :], "usage"),
        service_tier=word_in(tail, "service_tier", last=True),
        choices=[Choice(finish_reason=word_in(whole[-2 * 65_536 :], "finish_reason", last=True))],
    )


def finish_reason_of(outline: Outline) -> str | None:
    """The first choice's; of several choices the others may have ended otherwise."""
    choices = outline.choices if isinstance(outline, ChoicesOutline) else []
    return next((reason for choice in choices if (reason := word(choice.finish_reason))), None)


def problem_in(outline: Outline) -> Problem | None:
    """Errors come as `error`, or bare as FastAPI's `detail` and Mistral's `message`."""
    if outline.error is not None:
        return problem_of(outline.error)
    if outline.usage is None and (outline.detail is not None or outline.message is not None):
        return problem_of(outline.detail) or problem_of(outline.message)
    return None


def reading_of_events(events: Sequence[ServerSentEvent], usage_of: Callable[[object], Usage | None]) -> Reading:
    """Of a stream whose last events have all that counts: usage, or an error."""
    merged = Outline()
    for event in reversed(events):
        if b'"usage"' not in event.data and b'"error"' not in event.data:
            continue
        said = object_of(event.data) or {}
        merged.usage = said.get("usage") if merged.usage is None else merged.usage
        merged.error = said.get("error") if merged.error is None else merged.error
    return reading_of(merged, usage_of)


def reading_of(outline: Outline, usage_of: Callable[[object], Usage | None], *, finish_reason: str | None = None) -> Reading:
    reported = outline.usage
    if reported is None and outline.x_groq is not None and isinstance(outline.x_groq, dict):
        reported = outline.x_groq.get("usage")
    model, traffic, stated, unpriced = word(outline.model), None, None, None
    if isinstance(reported, dict) and (not BESIDE_TOKENS.isdisjoint(reported) or (model is not None and model.startswith(SONAR))):
        traffic, stated, unpriced = traffic_in(reported), stated_cost(reported), billed_beside(reported, model)
    usage, refused = or_refused(usage_of, with_thoughts(reported) if model is not None and "gemini" in model else reported)
    return Reading(
        usage=usage,
        model=model,
        finish_reason=finish_reason or finish_reason_of(outline),
        problem=problem_in(outline),
        context=context_of(outline.service_tier) if traffic is None else google_context_of(traffic),
        stated_cost=stated,
        stated_absurd=stated is None and states_a_cost(reported),
        unpriced=PROVISIONED if traffic is not None and is_provisioned(traffic) else unpriced,
        refused=refused,
    )
