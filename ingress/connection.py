"""One connection to a provider: a request is written, its answer is read as it comes.

The parser is httptools (llhttp). Nothing is buffered beyond what a slow reader has not yet taken, nothing is decoded, and no timer runs per
call: a connection carries its deadline, and its pool looks at all of them a few times a second.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import httptools

from ingress.errors import Interrupted, TimedOut, UpstreamError

if TYPE_CHECKING:
    from ingress.upstream import TimeLimits

HEAD_LIMIT = 64 << 10
READ_AHEAD = 256 << 10
FOREVER = float("inf")
HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""RFC 9110, section 7.6.1, and those that RFC 2616 named before it."""

Header = tuple[bytes, bytes]


class Answer:
    """A provider's answer as it arrives: its head is here, its body comes piece by piece.

    `headers` are the end-to-end ones, in the provider's order and spelling. `content_length` is None when the length is not known before
    the end.
    """

    __slots__ = ("_connection", "_error", "_pieces", "_unread", "_waiter", "complete", "content_length", "headers", "reason", "status")

    def __init__(self, connection: "Connection", status: int, reason: bytes, headers: list[Header], content_length: int | None) -> None:
        self._connection = connection
        self.status, self.reason, self.headers, self.content_length = status, reason, headers, content_length
        self.complete = False
        """All of the body has arrived; there may still be pieces to read."""
        self._pieces: list[bytes] = []
        self._unread = 0
        self._waiter: asyncio.Future[None] | None = None
        self._error: UpstreamError | None = None

    def take(self) -> bytes | None:
        """What has arrived and was not read: b"" at the end, None when one must wait. Raises as `read`."""
        if self._pieces:
            pieces, self._pieces = self._pieces, []
            if self._unread > READ_AHEAD:
                self._connection.resume()
            self._unread = 0
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if self.complete:
            return b""
        if self._error is not None:
            raise self._error
        return None

    async def read(self) -> bytes:
        """The next piece of the body, exactly as it arrived, b"" at the end. Raises Interrupted, TimedOut."""
        while (piece := self.take()) is None:
            self._waiter = self._connection.loop.create_future()
            await self._waiter
        return piece

    def close(self) -> None:
        """Gives the connection back when the answer is complete, else drops it at once. Closing again does nothing."""
        connection = self._connection
        if connection.answer is self:
            connection.answer = None
            connection.release(reusable=self.complete)

    # What the connection tells

    def feed(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._unread += len(piece)
        if self._unread > READ_AHEAD:
            self._connection.pause()

    def end(self, error: UpstreamError | None = None) -> None:
        if error is None:
            self.complete = True
        else:
            self._error = error

    def wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


class Connection(asyncio.Protocol):
    """Speaks HTTP/1.1 with one provider, one call after the other. `released` is called when it is free again or gone."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limits: "TimeLimits", host_header: bytes) -> None:
        self.loop = loop
        self.limits = limits
        self.host_header = host_header
        self.transport: asyncio.Transport | None = None
        self.deadline = FOREVER
        self.idle_since = 0.0
        self.answer: Answer | None = None
        self.lost = False
        self._parser = httptools.HttpResponseParser(self)
        self._head: asyncio.Future[Answer] | None = None
        self._headers: list[Header] = []
        self._reason = b""
        self._head_bytes = 0
        self._in_head = False
        self._bodiless = False
        self._until_eof = False
        self._tainted = False
        self._keep = False
        self._pump: asyncio.Task[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._write_paused = False

    # Calling

    async def call(self, method: bytes, head: bytes, body: bytes | AsyncIterator[bytes] | None, *, chunked: bool) -> Answer:
        """Writes the request and waits for the answer's head. Raises UpstreamError, and whatever reading `body` raises."""
        transport = self.transport
        if transport is None:
            raise Interrupted("The connection to the provider was closed.")
        self._in_head, self._head_bytes, self._until_eof = True, 0, False
        self._bodiless = method == b"HEAD"
        self._headers = []
        waiting: asyncio.Future[Answer] = self.loop.create_future()
        self._head = waiting
        if body is None or isinstance(body, bytes):
            transport.write(head + body if body else head)
            self.deadline = self.loop.time() + self.limits.first_byte_s
        else:
            transport.write(head)
            self._pump = self.loop.create_task(self._send(transport, body, chunked=chunked))
        try:
            return await waiting
        except BaseException:
            self.drop()
            raise

    async def _send(self, transport: asyncio.Transport, body: AsyncIterator[bytes], *, chunked: bool) -> None:
        try:
            async for piece in body:
                if not piece:
                    continue
                transport.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
                if self._write_paused:
                    self.deadline = self.loop.time() + self.limits.idle_s
                    await self._drained()
                    self.deadline = FOREVER
            if chunked:
                transport.write(b"0\r\n\r\n")
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - the body is the caller's: whatever its reading raised is told to the caller
            self._fail(error)
            return
        self._pump = None
        if self._in_head:
            self.deadline = self.loop.time() + self.limits.first_byte_s

    async def _drained(self) -> None:
        self._writable = self.loop.create_future()
        await self._writable

    def release(self, *, reusable: bool) -> None:
        """After a call: keep the connection when both sides have said all, else drop it."""
        if self._pump is not None or self._tainted or self._until_eof or not reusable or self.lost or not self._keeps():
            self.drop()
            return
        self.deadline = FOREVER
        self.idle_since = self.loop.time()
        if self._bodiless:
            self._parser = httptools.HttpResponseParser(self)
        self.released()

    def _keeps(self) -> bool:
        transport = self.transport
        return self._keep and transport is not None and not transport.is_closing()

    def drop(self) -> None:
        """Cuts the connection off; whatever was under way on it is over."""
        known, self.lost, self.deadline = self.lost, True, FOREVER
        if self._pump is not None:
            self._pump.cancel()
            self._pump = None
        if self.transport is not None:
            self.transport.abort()
        if not known:
            self.released()

    def released(self) -> None:
        """Replaced by the pool."""

    def expire(self) -> None:
        """The deadline has passed."""
        waited = "the first byte of an answer" if self._in_head else "the rest of the answer"
        self._fail(TimedOut(f"The provider did not send {waited} in time.", begun=not self._in_head))

    # What the transport tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._head_bytes += len(data)
        elif self.answer is None:
            self._tainted = True  # nobody asked
            self.drop()
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail(Interrupted("The provider sent something that is not HTTP/1.1.", begun=not self._in_head))
            return
        if self._in_head and self._head_bytes > HEAD_LIMIT:
            self._fail(Interrupted("The head of the provider's answer is larger than 64 KiB."))
            return
        answer = self.answer
        if answer is not None:
            if self.deadline is not FOREVER:
                self.deadline = FOREVER if answer.complete else self.loop.time() + self.limits.idle_s
            answer.wake()

    def eof_received(self) -> None:
        answer = self.answer
        if answer is not None and self._until_eof and not answer.complete:
            answer.end()
            answer.wake()

    def connection_lost(self, error: Exception | None) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.cancel()
        if error is None and self._until_eof:
            self.eof_received()
        where = "before it answered" if self._in_head else "in the middle of its answer"
        self._fail(Interrupted(f"The provider closed the connection {where}.", begun=not self._in_head))

    def pause_writing(self) -> None:
        self._write_paused = True

    def resume_writing(self) -> None:
        self._write_paused = False
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)

    def pause(self) -> None:
        """The reader is slower than the provider: its silence from here on is ours."""
        if self.transport is not None and self.transport.is_reading():
            self.transport.pause_reading()
            self.deadline = FOREVER

    def resume(self) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()
            self.deadline = self.loop.time() + self.limits.idle_s

    def _fail(self, error: Exception) -> None:
        head, self._head = self._head, None
        if head is not None and not head.done():
            head.set_exception(error)
        answer = self.answer
        if answer is not None and not answer.complete:
            answer.end(error if isinstance(error, UpstreamError) else Interrupted(str(error), begun=True))
            answer.wake()
        self.drop()

    # What the parser tells

    def on_status(self, reason: bytes) -> None:
        self._reason = reason

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # afterwards they are trailers
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if not self._in_head:
            self._tainted = True
            return
        if status < 200:
            self._headers = []
            if status == 101:
                self._fail(Interrupted("The provider switched protocols without being asked."))
            return
        headers, length, chunked = end_to_end(self._headers)
        self._in_head = False
        bodiless = self._bodiless = self._bodiless or status in {204, 304}
        self._until_eof = not bodiless and not chunked and length is None
        self._keep = self._parser.should_keep_alive()  # the parser forgets it once the message is complete
        answer = self.answer = Answer(self, status, self._reason, headers, length)
        if bodiless:
            answer.complete = True
        if self._pump is None:
            self.deadline = self.loop.time() + self.limits.idle_s
        head, self._head = self._head, None
        if head is not None and not head.done():
            head.set_result(answer)

    def on_body(self, piece: bytes) -> None:
        answer = self.answer
        if answer is None or answer.complete:
            self._tainted = True
        else:
            answer.feed(piece)

    def on_message_complete(self) -> None:
        if self.answer is not None and not self._in_head:
            self.answer.end()


def end_to_end(headers: list[Header]) -> tuple[list[Header], int | None, bool]:
    """The headers that travel on, the content length, and whether the body is chunked. The parser has refused what contradicts itself."""
    kept: list[Header] = []
    length: int | None = None
    chunked = False
    named: set[bytes] = set()
    for name, value in headers:
        lower = name.lower()
        if lower in HOP_BY_HOP:
            if lower == b"connection":
                named.update(token.strip().lower() for token in value.split(b","))
            elif lower == b"transfer-encoding":
                chunked = True
            continue
        if lower == b"content-length":
            length = int(value)
        kept.append((name, value))
    named -= {b"close", b"keep-alive", b"content-length"}
    if named:
        kept = [(name, value) for name, value in kept if name.lower() not in named]
    return kept, length, chunked


def tls_failure(error: Exception) -> bool:
    return isinstance(error, ssl.SSLError | ssl.CertificateError)
