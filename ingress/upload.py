"""A streamed request body on its way to a provider: one piece at a time, and no faster than the provider takes it."""

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from ingress.errors import BadRequest

if TYPE_CHECKING:
    from ingress.connection import Connection


class Upload:
    """Writes `body` from its own task, so that an answer may come before the body's end. `length` None: in chunks."""

    def __init__(self, connection: "Connection", body: AsyncIterator[bytes], length: int | None) -> None:
        self._connection = connection
        self._body = body
        self._due = length
        self._writable: asyncio.Future[None] | None = None
        self._task = connection.loop.create_task(self._run())

    @property
    def sent(self) -> bool:
        """All is written; only the caller's own end of the body may still be due."""
        return self._due == 0

    def stop(self) -> None:
        """Sends no more."""
        self._task.cancel()

    def resume(self) -> None:
        """The transport takes more."""
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)

    async def _run(self) -> None:
        try:
            await self._send_all()
        except Exception as error:  # noqa: BLE001 - the body is the caller's: whatever its reading raised is told to the caller
            self._connection.upload_failed(error)
        else:
            self._connection.upload_ended()
        finally:
            close = getattr(self._body, "aclose", None)
            if close is not None:
                await close()  # a generator left half-way would linger until it is collected

    async def _send_all(self) -> None:
        connection, chunked = self._connection, self._due is None
        async for piece in self._body:
            if piece:
                self._count(len(piece))
                connection.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
                if connection.write_paused:
                    self._writable = connection.loop.create_future()
                    await self._writable
                    connection.upload_goes_on()
        if self._due:
            raise BadRequest(f"The request's body ended {self._due} bytes before its announced length.", field="Content-Length")
        if chunked:
            self._due = 0
            connection.write(b"0\r\n\r\n")

    def _count(self, size: int) -> None:
        if self._due is None:
            return
        if size > self._due:
            raise BadRequest("The request's body is longer than announced.", field="Content-Length")
        self._due -= size
