"""Cohere embed, in both versions: never in a stream, usage in `meta` behind what may be megabytes.

Sources: Cohere API reference, "Embed"; "How does Cohere's pricing work?". Images are billed beside the tokens.
"""

from typing import Any

import msgspec
from msgspec import Struct

from processors.dialects.answer import Answer, last_object
from processors.dialects.cohere_usage import reading_of
from processors.dialects.dialect import Dialect, Events
from processors.dialects.reading import Reading

PROVIDERS = frozenset({"cohere"})


class Outline(Struct):
    """`message` says what went wrong."""

    meta: Any = None
    message: Any = None


_outline = msgspec.json.Decoder(Outline)


def claims(path: str) -> bool:
    return path.endswith("/embed")


def of_json(answer: Answer) -> Reading:
    if answer.tail is None:
        outline = _outline.decode(answer.text)
        return reading_of(outline.meta, message=outline.message)
    return reading_of(last_object(answer.text + answer.tail if answer.adjoins else answer.tail, "meta"))


def of_stream(_events: Events) -> Reading:
    return Reading()


DIALECT = Dialect(name="cohere.embed", claims=claims, of_json=of_json, of_stream=of_stream, providers=PROVIDERS)
