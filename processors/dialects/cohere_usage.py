"""Usage as Cohere reports it, in both versions of its API.

Sources: Cohere API reference, "Chat", `usage` (v2) and `meta` (v1); "How does Cohere's pricing work?". What is invoiced
is `billed_units`; `tokens` is what the model saw, with Cohere's own preamble, which nobody pays for. `cached_tokens` counts among
`tokens`: where those are not the billed ones, nobody can say how many of the billed ones were read from the cache.
"""

from collections.abc import Mapping

from processors.dialects.reading import Reading, part, problem_of
from processors.usage import Usage, UsageRefused, count

UNBILLED = "Cohere invoices billed_units, and the answer has none"
BESIDE = {"search_units": "searches", "images": "images", "image_tokens": "images", "classifications": "classifications"}
"""Units that are billed beside tokens, and what they count."""

Sides = tuple[int | None, int | None]


def usage_of(reported: object) -> tuple[Usage | None, str | None]:
    """The usage, and why no price can be told from it. Both None when nothing was reported; raises UsageRefused."""
    if reported is None:
        return None, None
    if not isinstance(reported, Mapping):
        raise UsageRefused("usage is no object")
    units, tokens = part(reported, "billed_units"), part(reported, "tokens")
    billed, seen = _sides(units, "billed_units"), _sides(tokens, "tokens")
    beside = _beside(units)
    if billed == (None, None):
        return _usage(seen, None), beside or (None if seen == (None, None) else UNBILLED)
    cached = part(reported, "cached_tokens") if billed == seen else None
    return _usage(billed, count(cached, "cached_tokens")), beside


def _sides(units: object, name: str) -> Sides:
    if units is not None and not isinstance(units, Mapping):
        raise UsageRefused(f"{name} is no object")
    return count(part(units, "input_tokens"), "input_tokens"), count(part(units, "output_tokens"), "output_tokens")


def _usage(sides: Sides, cached: int | None) -> Usage | None:
    """An embedding has no output; an answer without a prompt is nothing that Cohere sells."""
    prompt, answer = sides
    if prompt is None:
        if answer is not None:
            raise UsageRefused("usage names only one side of the call")
        return None
    return Usage(input=prompt, output=answer or 0, cache_read=cached)


def _beside(units: object) -> str | None:
    for name, what in BESIDE.items():
        number = count(part(units, name), name)
        if number:
            return f"Cohere bills {what} apart ({name} {number}), and the price list has no rate for them"
    return None


def reading_of(reported: object, *, finish_reason: str | None = None, message: object = None) -> Reading:
    """`message` is Cohere's word for what went wrong, a bare text."""
    usage, unpriced, refused = None, None, None
    try:
        usage, unpriced = usage_of(reported)
    except UsageRefused as error:
        refused = str(error)
    problem = problem_of(message) if isinstance(message, str) else None
    return Reading(usage=usage, finish_reason=finish_reason, problem=problem, unpriced=unpriced, refused=refused)
