"""Bytes on their way, and the copies beside them: handed on first, copied after."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator

from ingress.connection import Answer
from ingress.copies import Copy
from ingress.errors import UpstreamError
from ingress.exchange import ClientLeft, Exchange
from ingress.recording import Recording
from ingress.streams import ENDING, EndOfStream, has_ended, is_event_stream

Headers = list[tuple[bytes, bytes]]
WriteEnd = Callable[[], Awaitable[None]]
SETTLE_S = 1.0
"""So long an answer that is to be kept may take to end behind its end marker."""
HEAVY = 4_096
"""Encoded pieces larger than this are decoded beside the event loop: they may take milliseconds."""
LIGHT_STEPS = 16
"""So many steps of decoding, of 64 KiB at most, a smaller piece may take on the loop. A bomb takes thousands."""


class Relay:
    """Between client and provider. A client that sends or takes nothing for `stalled_s` seconds has left."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, stalled_s: float) -> None:
        self._loop = loop
        self._stalled_s = stalled_s

    async def read(self, exchange: Exchange) -> bytes:
        try:
            async with asyncio.timeout(self._stalled_s):
                return await exchange.read()
        except TimeoutError:
            raise ClientLeft from None

    async def at_once(self, exchange: Exchange, recording: Recording, answer: Answer, copy: Copy) -> None:
        while True:
            piece = answer.take()
            if piece is None:
                exchange.flush()
                piece = await answer.read()
            if not piece:
                break
            exchange.send(piece)
            if recording.ttft_ms is None:
                recording.ttft_ms = self.elapsed_ms(exchange)
            if copy.encoded:
                await self.keep(copy, piece)
            else:
                copy.feed(piece)
            if exchange.paused:
                await self._drain(exchange)
        exchange.finish()

    async def strictly(
        self, exchange: Exchange, recording: Recording, answer: Answer, copy: Copy, write_end: WriteEnd, *, saves: bool
    ) -> None:
        """As `at_once`, but what would tell the client that the answer is complete waits until its end is written down, or kept.

        `saves`: what passes is what is to be kept, where something is; else `answer` sees to that.
        """
        last = LastPiece(answer.content_length, recording.answer_type, copy)
        while True:
            piece = answer.take()
            if piece is None:
                exchange.flush()
                piece = await answer.read()
            if not piece:
                break
            if recording.ttft_ms is None:
                recording.ttft_ms = self.elapsed_ms(exchange)
            await self.keep(copy, piece)
            if saves and recording.saving is not None:
                recording.saving.feed(piece)
            if last.sees(piece):
                if recording.saving is not None:
                    await self._rest(answer, recording, copy, last, saves=saves)
                await write_end()
            for each in last.due():
                exchange.send(each)
            if exchange.paused:
                await self._drain(exchange)
        await write_end()
        for each in last.held:
            exchange.send(each)
        exchange.finish()

    async def _rest(self, answer: Answer, recording: Recording, copy: Copy, last: "LastPiece", *, saves: bool) -> None:
        """What comes behind the end marker: only with it is an answer to be kept whole. One that goes on for longer is not kept."""
        saving = recording.saving
        try:
            async with asyncio.timeout(SETTLE_S):
                while saving is not None and (piece := await answer.read()):
                    await self.keep(copy, piece)
                    if saves:
                        saving.feed(piece)
                    last.sees(piece)
        except TimeoutError:
            recording.saving = None
        except UpstreamError:
            recording.saving = None  # the next read tells of it again

    async def keep(self, copy: Copy, piece: bytes) -> None:
        """Feeds the copy; beside the event loop what takes long."""
        if not copy.encoded:
            copy.feed(piece)
            return
        steps = copy.steps(piece)
        if len(piece) <= HEAVY and _done_soon(steps):
            return
        feeding = self._loop.run_in_executor(None, _finish, steps)
        try:
            await asyncio.shield(feeding)
        except asyncio.CancelledError:
            await asyncio.wait([feeding])  # nobody may look at the copy before
            raise

    async def _drain(self, exchange: Exchange) -> None:
        try:
            async with asyncio.timeout(self._stalled_s):
                await exchange.drain()
        except TimeoutError:
            raise ClientLeft from None

    def elapsed_ms(self, exchange: Exchange) -> float:
        """Since the first byte of the request."""
        return round((self._loop.time() - exchange.began_at) * 1000, 3)


def _done_soon(steps: Iterator[None]) -> bool:
    return any(next(steps, True) for _ in range(LIGHT_STEPS))


def _finish(steps: Iterator[None]) -> None:
    for _ in steps:
        pass


HELD_BYTES = 64 << 10
"""So much of a last event is held back. What goes on for longer is no end yet, and passes: only its own end waits."""


class LastPiece:
    """Keeps, under strict durability, those pieces of an answer that its client must not have before the log has its end."""

    def __init__(self, length: int | None, content_type: str | None, copy: Copy) -> None:
        self._length = length
        self._copy = copy
        self._marker = EndOfStream() if is_event_stream(content_type) else None
        self._ended = False
        self.held: deque[bytes] = deque()
        self._held_bytes = 0

    def sees(self, piece: bytes) -> bool:
        """True once, when with `piece` (already in the copy) the answer is complete."""
        self.held.append(piece)
        self._held_bytes += len(piece)
        if self._ended:
            return False
        if self._length is not None:
            self._ended = self._copy.size >= self._length
        elif self._marker is not None:
            self._ended = has_ended(self._copy.ending(ENDING)) if self._copy.encoded else self._marker.feed(piece)
        return self._ended

    def due(self) -> Iterator[bytes]:
        """What its client may have now. While the last event has begun and is not complete, all but its last `HELD_BYTES`."""
        ending = self._marker is not None and self._marker.begun and not self._ended
        least = HELD_BYTES if ending else 0
        while self.held and self._held_bytes - len(self.held[0]) >= least:
            self._held_bytes -= len(self.held[0])
            yield self.held.popleft()


class Names:
    """Names of headers, lower-case, to be left out."""

    def __init__(self, *names: bytes) -> None:
        self.names = frozenset(names)
        self.lengths = frozenset(map(len, (b"content-encoding", *names)))


def head_of(headers: Headers, less: Names) -> tuple[Headers, str | None, str | None]:
    """The provider's headers, in its order and spelling, `less` those of these names; content type and content encoding.

    Lengths are compared first: most names then need no lower-casing.
    """
    kind = encoding = None
    names, lengths = less.names, less.lengths
    clash = False
    for name, value in headers:
        length = len(name)
        if length == 12:
            if name.lower() == b"content-type":
                kind = value.decode("latin-1")
        elif length in lengths:
            lower = name.lower()
            if lower == b"content-encoding":
                encoding = value.decode("latin-1")
            clash = clash or lower in names
    if clash:
        headers = [pair for pair in headers if pair[0].lower() not in names]
    return headers, kind, encoding
