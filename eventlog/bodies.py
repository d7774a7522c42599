"""Giving up bodies and keeping the facts: what is done wherever an event is too large for the room that is left."""

from typing import NamedTuple

import msgspec

from eventlog.codec import Message, encode_event, lines_of
from eventlog.events import Body, RequestReceived, ResponseCompleted
from eventlog.topics import REQUESTS, RESPONSES

SMALL = 2_048
"""A line below this many bytes is kept whole: there is little to win."""


class Bare(NamedTuple):
    """A batch without the bodies that were worth giving up, and how many those were."""

    message: Message
    bodies: int


def bare(message: Message) -> Bare:
    """The same batch, same id, without bodies. A line that is no event of its topic stays as it is."""
    lines = lines_of(message.value)
    light = [_lighter(message.topic, line) for line in lines]
    bodies = sum(len(after) < len(before) for before, after in zip(lines, light, strict=True))
    return Bare(msgspec.structs.replace(message, value=b"\n".join([*light, b""])) if bodies else message, bodies)


def without_body(topic: str, line: bytes) -> bytes:
    """The same event, its body reduced to what it was. Raises msgspec.DecodeError for a line that is no event of `topic`."""
    if topic == REQUESTS.name:
        received = msgspec.json.decode(line, type=RequestReceived)
        return encode_event(msgspec.structs.replace(received, request=_remains(received.request)))
    if topic == RESPONSES.name:
        completed = msgspec.json.decode(line, type=ResponseCompleted)
        return encode_event(msgspec.structs.replace(completed, response=_remains(completed.response)))
    return line


def _lighter(topic: str, line: bytes) -> bytes:
    if len(line) <= SMALL:
        return line
    try:
        return without_body(topic, line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return line


def _remains(body: Body) -> Body:
    return Body(size=body.size, content_type=body.content_type, truncated=True, omitted=body.omitted)
