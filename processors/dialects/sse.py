"""Server-sent events out of bytes, after the HTML standard, "Parsing an event stream" (read 2026-11-24).

The law: one byte at a time equals all at once. Two departures, both for streams that were cut: an event whose last line or blank line
never came is given at the end, and bytes that are no UTF-8 are left to whoever reads the data.
"""

from msgspec import Struct

BOM = b"\xef\xbb\xbf"


class ServerSentEvent(Struct, frozen=True):
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
        events: list[ServerSentEvent] = []
        for line in lines:
            if line.startswith(b"data: "):
                self._data.append(line[6:])
            elif line.startswith(b"event: "):
                self._event = line[7:]
            elif line:
                self._field(line)
            elif self._data:
                events.append(self._event_of_lines())
            else:
                self._event = b""
        return events

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        if value.startswith(b" "):
            value = value[1:]
        if name == b"data":
            self._data.append(value)
        elif name == b"event":
            self._event = value

    def _event_of_lines(self) -> ServerSentEvent:
        data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
        event = ServerSentEvent(self._event.decode("utf-8", "replace") if self._event else "", data)
        self._data = []
        self._event = b""
        return event

    def _end(self) -> list[ServerSentEvent]:
        last = b"".join(self._line)
        events = self._take([last, b""]) if self._begun or last not in {BOM[:1], BOM[:2]} else []
        self._reset()
        return events
