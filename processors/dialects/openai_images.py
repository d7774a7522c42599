"""OpenAI images: made, edited, varied.

Source: OpenAI API reference, "Images": "Create image", "The image generation response" and "Image streaming events" (read 2026-11-24,
checked against the types of the `openai` package 3.54). Models of the GPT image family count tokens, of text and of images apart; DALL·E
is billed by the image and reports none. No answer names its model. Images stand before usage, in many megabytes of base64: of a body that
was cut usage is found in the tail.
"""

from typing import Any

import msgspec

from processors.dialects.answer import Answer, object_of
from processors.dialects.dialect import Dialect, Events, Message
from processors.dialects.openai_usage import images_usage
from processors.dialects.outline import Outline, outline_of_pieces, reading_of
from processors.dialects.reading import Reading

SVG = "the authoring of an SVG is billed beside the image, by another model"

ENDS = ("/images/generations", "/images/edits", "/images/variations")


class Images(Outline):
    """Top-level fields of any kind."""

    svg_usage: Any = None


_images = msgspec.json.Decoder(Images)


def claims(path: str) -> bool:
    return path.endswith(ENDS)


def of_json(answer: Answer) -> Reading:
    if answer.tail is not None:
        return reading_of(outline_of_pieces(answer), images_usage)
    said = _images.decode(answer.text)
    reading = reading_of(said, images_usage)
    return reading if said.svg_usage is None else msgspec.structs.replace(reading, unpriced=SVG)


def of_stream(events: Events) -> Reading:
    """The finished image comes last, with usage. Pictures on the way have none, and are most of the bytes."""
    merged = Outline()
    for event in events:
        if b'"usage"' not in event.data and b'"error"' not in event.data:
            continue
        said = object_of(event.data) or {}
        merged.error = said.get("error", merged.error)
        merged.usage = _one_usage(merged.usage, said.get("usage"))
    return reading_of(merged, images_usage)


def _one_usage(known: object, said: object) -> object:
    """Whether a second usage would repeat the first or add to it is not documented: one that differs is no count."""
    if said is None:
        return known
    return said if known is None or known == said else ()


def message_of(events: Events) -> Message | None:
    whole: Message = {}
    images: list[dict[str, Any]] = []
    for event in events:
        said = object_of(event.data)
        if said is None:
            continue
        if str(said.get("type")).endswith(".completed"):
            images.append({"b64_json": said.get("b64_json")})
            whole |= {name: said[name] for name in ("background", "output_format", "quality", "size", "usage") if name in said}
            whole["created"] = said.get("created_at")
        elif "error" in said:
            whole["error"] = said["error"]
    return whole | {"data": images} if whole else None


DIALECT = Dialect(name="openai.images", claims=claims, of_json=of_json, of_stream=of_stream, message_of=message_of)
