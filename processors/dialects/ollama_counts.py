"""What Ollama's own API says of a call: the same fields for chat, generate and embed.

Sources: Ollama API, "Generate a chat completion", "Generate a completion", "Generate embeddings". A count of zero is left
out. So an answer without `eval_count` is one of no tokens; a prompt without `prompt_eval_count`, however, was read from the cache of an
older server, and nobody says how long it is.
"""

import re
from typing import Any

import msgspec
from msgspec import Struct

from processors.dialects.answer import UNREADABLE, Answer, word_in
from processors.dialects.dialect import Events
from processors.dialects.reading import Reading, problem_of, word
from processors.usage import Usage, count, or_refused

COUNT = {name: re.compile(rf'"{name}"\s*:\s*(\d{{1,20}})(?=\s*[,}}])') for name in ("prompt_eval_count", "eval_count")}
"""Of a body that was cut. Within a JSON string quotes are escaped, so no text is taken for the field."""


class Outline(Struct):
    """An answer, or one line of a stream: the last line has the counts."""

    model: Any = None
    done_reason: Any = None
    prompt_eval_count: Any = None
    eval_count: Any = None
    error: Any = None


_outline = msgspec.json.Decoder(Outline)


def of_json(answer: Answer) -> Reading:
    return _reading(_outline.decode(answer.text) if answer.tail is None else _of_pieces(answer))


def _of_pieces(answer: Answer) -> Outline:
    """The counts stand behind the answer."""
    whole = answer.text + (answer.tail or "") if answer.adjoins else answer.tail or ""
    found = {name: COUNT[name].findall(whole) for name in COUNT}
    return Outline(
        model=word_in(answer.text[:4096], "model"),
        done_reason=word_in(whole, "done_reason", last=True),
        **{name: numbers[-1] for name, numbers in found.items() if numbers},
    )


def of_stream(events: Events) -> Reading:
    """Of hundreds of lines the first names the model, and few others have anything that is looked for."""
    merged = Outline()
    for position, event in enumerate(events):
        data = event.data
        if position and b'"done_reason"' not in data and b'"error"' not in data and b"eval_count" not in data:
            continue
        try:
            _merge(merged, _outline.decode(data))
        except UNREADABLE:
            continue
    return _reading(merged)


def _merge(merged: Outline, line: Outline) -> None:
    for name in Outline.__struct_fields__:
        value = getattr(line, name)
        if value is not None and not (name == "model" and merged.model is not None):
            setattr(merged, name, value)


def _reading(outline: Outline) -> Reading:
    usage, refused = or_refused(_usage, outline)
    return Reading(
        usage=usage,
        model=word(outline.model),
        finish_reason=word(outline.done_reason),
        problem=problem_of(outline.error),
        refused=refused,
    )


def _usage(outline: Outline) -> Usage | None:
    prompt, answer = count(outline.prompt_eval_count, "prompt_eval_count"), count(outline.eval_count, "eval_count")
    return None if prompt is None else Usage(input=prompt, output=answer or 0)
