"""Server-sent events out of bytes, after the HTML standard, "Parsing an event stream" (read 2026-11-24).

The law: one byte at a time equals all at once. Two departures, both for streams that were cut: an event whose last line or blank line
never came is given at the end, and bytes that are no UTF-8 are left to whoever reads the data.
"""

from msgspec import Struct

BOM = b"\xef\xbb\xbf"


class ServerSentEvent(Struct, frozen=True, gc=False):
    """`data` lines joined by line feeds; `event` is empty when the stream named none."""

    event: str
    data: bytes


class SSEDecoder:
    """Feed it the stream in any slices; `feed(b"")` is the end of it, after which a new stream may begin."""

    __slots__ = ("_after_cr", "_begun", "_data", "_event", "_line")

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self._line: list[bytes] = []
        self._data: list[bytes] = []
        self._event = b""
        self._after_cr = False
        self._begun = False

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        if not chunk:
            return self._end()
        if not self._begun:
            chunk = self._without_bom(chunk)
        lines = self._normalised(chunk).split(b"\n")
        if len(lines) == 1:
            self._line.append(lines[0])
            return []
        if self._line:
            lines[0] = b"".join([*self._line, lines[0]])
        rest = lines.pop()
        self._line = [rest] if rest else []
        return self._take(lines)

    def _without_bom(self, chunk: bytes) -> bytes:
        """Holds the first bytes back until they are, or are not, a byte order mark."""
        start = b"".join([*self._line, chunk])
        self._line = []
        if len(start) < len(BOM) and BOM.startswith(start):
            return start
        self._begun = True
        return start.removeprefix(BOM)

    def _normalised(self, chunk: bytes) -> bytes:
        """Lines end in LF, CR LF or CR; a CR LF may be cut between two chunks."""
        if self._after_cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]
            self._after_cr = False
        if b"\r" not in chunk:
            self._after_cr = self._after_cr and not chunk
            return chunk
        self._after_cr = chunk.endswith(b"\r")
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _take(self, lines: list[bytes]) -> list[ServerSentEvent]:
        """The commonest lines come first: a stream has tens of thousands."""
        events: list[ServerSentEvent] = []
        data, name, names = self._data, self._event, {b"": ""}
        for line in lines:
            if not line:
                if data:
                    text = data[0] if len(data) == 1 else b"\n".join(data)
                    known = names.get(name)
                    if known is None:
                        known = names[name] = name.decode("utf-8", "replace")
                    events.append(ServerSentEvent(known, text))
                    data.clear()
                name = b""
            elif line.startswith(b"data: "):
                data.append(line[6:])
            elif line.startswith(b"event: "):
                name = line[7:]
            else:
                name = self._field(line, name)
        self._event = name
        return events

    def _field(self, line: bytes, event: bytes) -> bytes:
        """A line written otherwise, or a field that does not matter; the event's name after it."""
        name, _, value = line.partition(b":")
        if value.startswith(b" "):
            value = value[1:]
        if name == b"data":
            self._data.append(value)
        return value if name == b"event" else event

    def _end(self) -> list[ServerSentEvent]:
        last = b"".join(self._line)
        events = self._take([last, b""]) if self._begun or last not in {BOM[:1], BOM[:2]} else []
        self._reset()
        return events
