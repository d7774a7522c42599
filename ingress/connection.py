"""One connection to a provider: a request is written, its answer is read as it comes.

The parser is httptools (llhttp). Nothing is buffered beyond what a slow reader has not yet taken, nothing is decoded, and no timer runs per
call: a connection carries its deadline, and its pool looks at all of them a few times a second.
"""

import asyncio
import select
import ssl
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Protocol

import httptools

from ingress.errors import Interrupted, TimedOut, UpstreamError
from ingress.hops import FOREVER, Header, end_to_end
from ingress.upload import Upload

if TYPE_CHECKING:
    from ingress.upstream import TimeLimits

HEAD_LIMIT = 64 << 10
READ_AHEAD = 256 << 10
BODILESS = frozenset({204, 304})


class Answer:
    """A provider's answer as it arrives: its head is here, its body comes piece by piece.

    `headers` are the end-to-end ones, in the provider's order and spelling. `content_length` is None when the length is not known before
    the end.
    """

    __slots__ = (
        "_connection",
        "_error",
        "_pieces",
        "_unread",
        "_waiter",
        "complete",
        "content_length",
        "framed",
        "headers",
        "reason",
        "status",
    )

    def __init__(self, connection: "Connection", status: int, reason: bytes, headers: list[Header], content_length: int | None) -> None:
        self._connection = connection
        self.status, self.reason, self.headers, self.content_length = status, reason, headers, content_length
        self.complete = False
        """All of the body has arrived; there may still be pieces to read."""
        self.framed = True
        """Its end is told, not only that of its connection."""
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
        if connection.answer is not self:
            return
        connection.answer = None
        connection.release(complete=self.complete)
        if not self.complete:
            self.end(Interrupted("The answer was closed before its end.", begun=True))
            self.wake()

    # What the connection tells

    def feed(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._unread += len(piece)
        if self._unread > READ_AHEAD:
            self._connection.pause()

    def end(self, error: UpstreamError | None = None) -> None:
        if error is None:
            self.complete = True
        elif self._error is None:
            self._error = error  # the first is the cause; that the connection is gone then only follows

    def wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


class Owner(Protocol):
    """Who keeps connections."""

    def give(self, connection: "Connection") -> None:
        """A call is over, and the next one may use its connection."""

    def forget(self, connection: "Connection") -> None:
        """It is gone."""


class Connection(asyncio.Protocol):
    """Speaks HTTP/1.1 with one provider, one call after the other. Its owner hears when it is free again or gone."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limits: "TimeLimits", owner: "Owner") -> None:
        self.loop = loop
        self.limits = limits
        self.transport: asyncio.Transport | None = None
        self.deadline = FOREVER
        self.idle_since, self.idle_until = 0.0, FOREVER
        self.answer: Answer | None = None
        self.lost = False
        self._owner = owner
        self._parser = httptools.HttpResponseParser(self)
        self._head: asyncio.Future[Answer] | None = None
        self._headers: list[Header] = []
        self._reason = b""
        self._barren = 0
        """Bytes since the last of a body: a head, trailers and chunk extensions may not go on for ever."""
        self._in_head = False
        self._bodiless = False
        self._until_eof = False
        self._reusable = False
        self._kept_s = 0.0
        self._upload: Upload | None = None
        self._write_paused = self._read_paused = False

    # Calling

    async def call(self, method: bytes, head: bytes, body: bytes | AsyncIterator[bytes] | None, *, length: int | None) -> Answer:
        """Writes the request and waits for the answer's head. Raises UpstreamError, and whatever reading `body` raises.

        `length` is that of a streamed body; None: it goes out chunked.
        """
        transport = self.transport
        if transport is None or self.lost:
            raise Interrupted("The connection to the provider was closed.")
        self._in_head, self._barren, self._until_eof = True, 0, False
        self._bodiless = method == b"HEAD"
        self._headers = []
        waiting: asyncio.Future[Answer] = self.loop.create_future()
        self._head = waiting
        if body is None or isinstance(body, bytes):
            transport.write(head + body if body else head)
            self.deadline = self.loop.time() + self.limits.first_byte_s
        else:
            self.deadline = FOREVER
            transport.write(head)
            self._upload = Upload(self, body, length)
        try:
            return await waiting
        except BaseException:
            self.drop()
            raise

    def release(self, *, complete: bool) -> None:
        """After a call: keep the connection when both sides have said all that was due and nothing else, else drop it."""
        if not complete or not self._reusable or self._until_eof or self._upload is not None or self._read_paused or not self.usable:
            self.drop()
            return
        self.deadline = FOREVER
        self.idle_since = self.loop.time()
        self.idle_until = self.idle_since + self._kept_s
        self._owner.give(self)

    @property
    def usable(self) -> bool:
        """Neither side has closed it."""
        return not self.lost and self.transport is not None and not self.transport.is_closing()

    @property
    def silent(self) -> bool:
        """Nothing has come that the event loop has not told of yet: neither an end nor words that nobody asked for."""
        if self.transport is None:
            return False
        asked = select.poll()
        asked.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN | select.POLLRDHUP)
        return not asked.poll(0)

    def drop(self) -> None:
        """Cuts the connection off; whatever was under way on it is over."""
        known, self.lost, self.deadline = self.lost, True, FOREVER
        if self._upload is not None:
            self._upload.stop()
            self._upload = None
        if self.transport is not None:
            self.transport.abort()
        if not known:
            self._owner.forget(self)

    def expire(self) -> None:
        """The deadline has passed."""
        idle = f"for {self.limits.idle_s:g} s (HELIOGRAPH_LIMITS__IDLE_S)"
        if not self._in_head:
            failing = f"The provider sent no more of its answer {idle}."
        elif self._upload is not None:
            failing = f"The provider took no more of the request {idle}."
        else:
            failing = f"The provider sent no answer within {self.limits.first_byte_s:g} s (HELIOGRAPH_LIMITS__FIRST_BYTE_S)."
        self._fail(TimedOut(failing, begun=not self._in_head))

    # What the upload tells

    @property
    def write_paused(self) -> bool:
        return self._write_paused

    def write(self, data: bytes) -> None:
        if self.transport is not None and not self.lost:
            self.transport.write(data)
            if self._write_paused or not self._in_head:
                self._expect_within(self.limits.idle_s)

    def upload_goes_on(self) -> None:
        """The provider takes more; until the client sends more, only an answer that has begun is waited for."""
        if self._in_head:
            self.deadline = FOREVER

    def upload_ended(self) -> None:
        self._upload = None
        if self._in_head:
            self._expect_within(self.limits.first_byte_s)

    def upload_failed(self, error: Exception) -> None:
        self._upload = None
        self._fail(error)

    # What the transport tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        if not self._in_head and self.answer is None:
            self.drop()  # nobody asked
            return
        self._barren += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail(Interrupted("The provider sent something that is not HTTP/1.1.", begun=not self._in_head))
            return
        answer = self.answer
        if answer is None:
            if self._barren > HEAD_LIMIT:
                self._fail(Interrupted("The head of the provider's answer is larger than 64 KiB."))
            return
        if answer.complete:
            self.deadline = FOREVER
        elif self._barren > HEAD_LIMIT:
            self._fail(Interrupted("The provider sent more than 64 KiB of trailers or chunk extensions.", begun=True))
        else:
            self._expect_within(self.limits.idle_s)
        answer.wake()

    def eof_received(self) -> None:
        self._end_by_eof()

    def connection_lost(self, error: Exception | None) -> None:
        if error is None:
            self._end_by_eof()
        where = "before it answered" if self._in_head else "in the middle of its answer"
        self._fail(Interrupted(f"The provider closed the connection {where}.", begun=not self._in_head))

    def _end_by_eof(self) -> None:
        answer = self.answer
        if answer is not None and self._until_eof and not self.lost:
            answer.end()
            answer.wake()

    def pause_writing(self) -> None:
        self._write_paused = True

    def resume_writing(self) -> None:
        self._write_paused = False
        if self._upload is not None:
            self._upload.resume()

    def pause(self) -> None:
        """The reader is slower than the provider: its silence from here on is ours."""
        if self.transport is not None and not self._read_paused:
            self._read_paused = True
            self.transport.pause_reading()
            self.deadline = FOREVER

    def resume(self) -> None:
        if self._read_paused and self.usable and self.transport is not None:
            self._read_paused = False
            self.transport.resume_reading()
            self._expect_within(self.limits.idle_s)

    def _expect_within(self, limit_s: float) -> None:
        self.deadline = FOREVER if self._read_paused else self.loop.time() + limit_s

    def _fail(self, error: Exception) -> None:
        head, self._head = self._head, None
        if head is not None and not head.done():
            head.set_exception(error)
        answer = self.answer
        if answer is not None and not answer.complete:
            answer.end(error if isinstance(error, UpstreamError) else Interrupted("The request's body could not be read.", begun=True))
            answer.wake()
        self.drop()

    # What the parser tells

    def on_message_begin(self) -> None:
        self._reason = b""  # an answer without one does not mention it
        if not self._in_head:
            self._reusable = False  # an answer that nobody asked for has begun

    def on_status(self, reason: bytes) -> None:
        self._reason = reason

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # afterwards they are trailers
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        if not self._in_head or self.lost:
            return
        status = self._parser.get_status_code()
        if status < 200:
            self._headers = []
            if status == 101 or status < 100:
                self._fail(Interrupted(f"The provider answered with a status that nobody can use here: {status}."))
            return
        if self._barren > HEAD_LIMIT and sum(len(name) + len(value) for name, value in self._headers) > HEAD_LIMIT:
            return  # too large even without the body bytes beside it
        headers, length, coding, announced_s = end_to_end(self._headers)
        if coding not in {b"", b"chunked"}:
            self._fail(Interrupted("The provider used a transfer coding that nobody asked for."))
            return
        self._begin(Answer(self, status, self._reason, headers, length), chunked=coding == b"chunked", announced_s=announced_s)

    def _begin(self, answer: Answer, *, chunked: bool, announced_s: float) -> None:
        """The head is here."""
        self._in_head, self.answer = False, answer
        self._bodiless = self._bodiless or answer.status in BODILESS
        self._until_eof = not self._bodiless and not chunked and answer.content_length is None
        answer.framed = not self._until_eof
        # The parser forgets it once the message is complete. Whether a body follows that was announced where none may be cannot be told in
        # time: a moment late, it would be the next caller's answer.
        self._reusable = self._parser.should_keep_alive() and not (self._bodiless and (chunked or answer.content_length))
        self._kept_s = min(self.limits.keep_alive_s, announced_s)
        if self._bodiless:
            answer.complete = True
        if self._upload is not None and answer.status >= 300 and not self._upload.sent:
            self._upload.stop()
            self._upload, self._reusable = None, False
        self._barren = 0
        head, self._head = self._head, None
        if head is not None and not head.done():
            head.set_result(answer)

    def on_body(self, piece: bytes) -> None:
        answer = self.answer
        if answer is None or answer.complete:
            self._reusable = False
        else:
            self._barren = 0
            answer.feed(piece)

    def on_message_complete(self) -> None:
        if self.answer is not None:
            self.answer.end()


def tls_failure(error: Exception) -> bool:
    return isinstance(error, ssl.SSLError | ssl.CertificateError)
