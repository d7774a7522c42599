"""Streams of OpenAI-shaped chunks: which of them to look into.

A stream has hundreds of events and three that matter, so bytes are searched and few events decoded. Within a JSON string quotes are
escaped: text that speaks of `"usage"` is never taken for the field.
"""

from collections.abc import Callable

from processors.dialects.answer import UNREADABLE
from processors.dialects.dialect import Events
from processors.dialects.outline import Choice, ChoicesOutline, Outline, outline_of, reading_of
from processors.dialects.reading import Reading, part, word
from processors.usage import Usage

FIRST = 8
"""The model stands in the first chunk; some send a few before it that have none (Azure's content filter, an empty name)."""
LAST = 64
"""How many chunks that seem to have what is looked for are decoded before giving up."""

ABSENT = {name: (b'"%s":null' % name, b'"%s": null' % name) for name in (b"usage", b"finish_reason")}


def chunks_reading(events: Events, usage_of: Callable[[object], Usage | None]) -> Reading:
    """Of chat completions and completions: both end with a finish reason, and with usage when it was asked for."""
    last = _last_with(events, b"usage", lambda outline: outline.usage is not None or part(outline.x_groq, "usage") is not None)
    merged = ChoicesOutline(
        model=_first_model(events),
        usage=last.usage if last else None,
        x_groq=last.x_groq if last else None,
        error=_error(events),
        service_tier=_service_tier(events, last),
        choices=[Choice(finish_reason=_finish_reason(events))],
    )
    return reading_of(merged, usage_of)


def _outline(data: bytes) -> Outline:
    try:
        return outline_of(data)
    except UNREADABLE:
        return Outline()


def _last_with(events: Events, name: bytes, found: Callable[[Outline], bool]) -> Outline | None:
    quoted, (tight, spaced) = b'"%s"' % name, ABSENT[name]
    left = LAST
    for event in reversed(events):
        data = event.data
        if quoted not in data or ((tight in data or spaced in data) and data.count(quoted) == 1):
            continue
        outline = _outline(data)
        if found(outline):
            return outline
        left -= 1
        if not left:
            break
    return None


def _finish_reason(events: Events) -> str | None:
    """The first choice's where several are told apart; otherwise the last that was given."""
    reasons: dict[object, str] = {}

    def first_choice_ended(outline: Outline) -> bool:
        for choice in outline.choices if isinstance(outline, ChoicesOutline) else ():
            if reason := word(choice.finish_reason):
                reasons.setdefault(choice.index if isinstance(choice.index, int) else None, reason)
        return 0 in reasons

    _last_with(events, b"finish_reason", first_choice_ended)
    return reasons.get(0) or next(iter(reasons.values()), None)


def _first_model(events: Events) -> str | None:
    for event in events[:FIRST]:
        if b'"model"' in event.data and (model := word(_outline(event.data).model)):
            return model
    return None


def _service_tier(events: Events, last: Outline | None) -> object:
    """The tier that was served: the last one said. Chunks repeat it."""
    if last is not None and last.service_tier is not None:
        return last.service_tier
    return next((tier for event in reversed(events[-FIRST:]) if (tier := _tier_of(event.data))), None)


def _tier_of(data: bytes) -> object:
    return _outline(data).service_tier if b'"service_tier"' in data else None


def _error(events: Events) -> object:
    """Routers put an error into the stream when the answer has begun and the status is long sent."""
    for event in reversed(events):
        if b'"error"' in event.data and (error := _outline(event.data).error):
            return error
    return None
