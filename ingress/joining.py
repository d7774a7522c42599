"""`Helicone-Stream-Force-Format`: short pieces of a streamed answer go out with the piece behind them. Its bytes stay as they are."""

from collections.abc import Callable

from ingress.connection import Answer
from ingress.errors import UpstreamError
from ingress.streams import EndOfStream

SHORT = 50
"""A piece of fewer bytes waits for the next one."""


class JoinedAnswer(Answer):
    """`answer`, an event stream that is not encoded, in fewer pieces. What may be its last one waits for nothing.

    `sees` is given every piece as it came.
    """

    __slots__ = ("_answer", "_failure", "_held", "_marker", "_sees")

    def __init__(self, answer: Answer, sees: Callable[[bytes], None] | None = None) -> None:
        self.status, self.reason, self.headers, self.content_length = answer.status, answer.reason, answer.headers, answer.content_length
        self.complete, self.framed = False, answer.framed
        self._answer, self._sees = answer, sees
        self._held = b""
        self._marker = EndOfStream()
        self._failure: UpstreamError | None = None

    def take(self) -> bytes | None:
        if self._failure is not None:
            raise self._failure
        try:
            piece = self._answer.take()
        except UpstreamError as error:
            return self._broken_off(error)
        return None if piece is None else self._joined(piece)

    async def read(self) -> bytes:
        while True:
            if self._failure is not None:
                raise self._failure
            try:
                piece = self._joined(await self._answer.read())
            except UpstreamError as error:
                piece = self._broken_off(error)
            if piece is not None:
                return piece

    def close(self) -> None:
        self._answer.close()

    def _joined(self, piece: bytes) -> bytes | None:
        """None while it is short, and more may come."""
        if piece and self._sees is not None:
            self._sees(piece)
        joined = self._held + piece
        ended = self._marker.seen or self._marker.feed(piece)
        waits = bool(piece) and len(joined) < SHORT and not ended
        self._held = joined if waits else b""
        self.complete = self._answer.complete and not waits
        return None if waits else joined

    def _broken_off(self, error: UpstreamError) -> bytes:
        """What came before is the client's. Raises where that is nothing."""
        held, self._held = self._held, b""
        if not held:
            raise error
        self._failure = error
        return held
