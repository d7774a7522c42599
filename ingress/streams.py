"""Where a streamed answer ends, before the connection says so.

Clients stop reading at the end marker of their dialect, so whoever left after it has had the whole answer. Markers: OpenAI "Streaming"
guides for chat and for responses, Anthropic "Streaming messages" (read 2026-11-24).
"""

import re

_MARKER = re.compile(
    rb"(?:^|[\r\n])(?:data: ?\[DONE\]|event: ?message_stop|event: ?response\.(?:completed|failed|incomplete)|event: ?error)(?=[\r\n])"
)
_FAILURE = re.compile(rb"(?:^|[\r\n])event: ?(?:error|response\.(?:failed|incomplete))(?=[\r\n])")
ENDING = 64 << 10
"""How much of an answer's end is looked through for the marker: the last event of some dialects repeats the whole answer."""
_OVERLAP = 48
"""Longer than any marker, so that one cut in two is seen."""
_BLANK_LINES = (b"\n\n", b"\r\n\r\n", b"\r\r")
_LAST_BYTES = 4


class EndOfStream:
    """Finds the end marker in any slicing of a stream of server-sent events. `seen` once its event is complete."""

    __slots__ = ("_marked", "_rest", "seen")

    def __init__(self) -> None:
        self._rest = b""
        self._marked = False
        self.seen = False

    @property
    def begun(self) -> bool:
        """The last event has begun: what follows belongs to it."""
        return self._marked

    def feed(self, piece: bytes) -> bool:
        """True as soon as the marker's event, with its blank line, has passed."""
        joined = self._rest + piece
        if not self._marked:
            found = _MARKER.search(joined)
            if found is None:
                self._rest = joined[-_OVERLAP:]
                return False
            self._marked = True
            joined = joined[found.end() :]
        self._rest = joined[-_LAST_BYTES:]
        self.seen = self.seen or any(blank in joined for blank in _BLANK_LINES)
        return self.seen


def has_ended(ending: bytes) -> bool:
    """Whether a stream whose last bytes these are had come to its end marker."""
    return EndOfStream().feed(ending)


def has_failed(ending: bytes) -> bool:
    """Whether it came to an end that tells of a failure, whatever the status said that it began with."""
    return _FAILURE.search(ending) is not None


def is_event_stream(content_type: str | None) -> bool:
    return content_type is not None and content_type.lower().startswith("text/event-stream")
