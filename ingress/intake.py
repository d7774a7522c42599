"""The request's body: gathered when it is small, passed on piece by piece when it is not, remembered either way."""

from collections.abc import AsyncIterator, Callable

from ingress.beside import LARGE
from ingress.config import IngressConfig
from ingress.copies import Copy
from ingress.exchange import Exchange
from ingress.recording import Recording
from ingress.relay import Relay

COLLECTED = 64 << 10
"""A body of at most this announced length is gathered before the provider is called."""


class Intake:
    """`when_complete` is called once a body that streams has all passed."""

    def __init__(self, config: IngressConfig, relay: Relay, when_complete: Callable[[Recording], None]) -> None:
        self._config = config
        self._strict = config.strict
        self._relay = relay
        self._when_complete = when_complete

    async def body(self, exchange: Exchange, recording: Recording, *, whole_bytes: int = 0) -> bytes | AsyncIterator[bytes] | None:
        """All of a small body, the rest piece by piece, None where there is none. One of up to `whole_bytes` comes whole in any case."""
        head = recording.head
        if head.content_length is None and not head.chunked:
            recording.whole = b""
            return None
        whole = exchange.take_body()
        if whole is None:
            whole, more = await self._gather(exchange, head.content_length, whole_bytes)
            if more:
                return self._pieces(exchange, recording, whole)
        recording.whole = whole
        if head.content_encoding is not None or len(whole) > self._config.body_limit:
            recording.copy = Copy(self._config.body_limit, head.content_encoding)
            await self._relay.keep(recording.copy, whole)
            await recording.request_complete()
        elif len(whole) >= LARGE:
            await recording.request_complete()
        return whole

    async def _gather(self, exchange: Exchange, announced: int | None, whole_bytes: int) -> tuple[bytes, bool]:
        """What the client sends until its end, and whether more may come. Large bodies are not waited for, nor are those that flow."""
        limit = max(self._config.strict_body_bytes if self._strict else COLLECTED, whole_bytes)
        if (announced is None and not self._strict and not whole_bytes) or (announced is not None and announced > limit):
            return b"", True
        pieces, size = [], 0
        while piece := await self._relay.read(exchange):
            pieces.append(piece)
            size += len(piece)
            if size > limit:
                return b"".join(pieces), True
        return b"".join(pieces), False

    async def _pieces(self, exchange: Exchange, recording: Recording, gathered: bytes) -> AsyncIterator[bytes]:
        copy = recording.copy = Copy(self._config.body_limit, recording.head.content_encoding)
        if gathered:
            yield gathered
            await self._relay.keep(copy, gathered)
        while piece := await self._relay.read(exchange):
            yield piece
            await self._relay.keep(copy, piece)
        await recording.request_complete()
        self._when_complete(recording)
