"""Frames of AWS event streams as dialects see events."""

import msgspec

from eventlog.eventstream import Frame
from processors.dialects.sse import ServerSentEvent

FAILED = "exception:"
"""Before the name of an event that says why the stream failed. No event of AWS has a colon in its name."""


def event_of(frame: Frame) -> ServerSentEvent:
    """A frame as dialects see events; one that failed is named after the exception."""
    if frame.kind == "exception":
        return ServerSentEvent(FAILED + frame.name, frame.payload)
    if frame.kind == "error":
        return ServerSentEvent(FAILED + frame.name, msgspec.json.encode({"message": frame.message}))
    return ServerSentEvent(frame.name, frame.payload)
