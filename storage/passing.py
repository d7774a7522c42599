"""Answers on their way from a process that finds them to the client that waits.

Most are sent once they are whole. One of a form that is streamed, and too long to be held, is sent while it is found: what goes wrong then
can no longer be said, only shown, by an end without an end.
"""

import asyncio
from collections import deque
from functools import partial

import structlog
from fastapi import Request, Response

from storage.asked import Answer, Asked, Told
from storage.door import Receive, Scope, Send
from storage.lacking import lack
from storage.pool import Pool
from storage.query import Limits
from storage.refusal import Refusal, Refused
from storage.spool import Spool

log = structlog.get_logger()


async def answered(request: Request, asked: Asked, *, own: bool = False) -> Answer:
    """The answer; when the client leaves before it is there, the question is stopped. Raises Refused.

    What it lacks is told with the answer to the request, too (`lacking.py`).
    """
    pool: Pool = request.app.state.pool
    asking = asyncio.create_task(pool.ask(asked, own=own))
    leaving = asyncio.create_task(_left(request))
    try:
        await asyncio.wait([asking, leaving], return_when=asyncio.FIRST_COMPLETED)
        if not asking.done():
            raise Refused(_LEFT)
        answer = asking.result()
        lack(request, answer.told.unread)
        return answer
    finally:
        leaving.cancel()
        asking.cancel()


STALLED_S = 60.0
"""Whoever takes nothing of a long answer for so long is left: what lies on disk for him is room that others lack."""


async def answered_in_stream(request: Request, asked: Asked, media_type: str) -> "Answer | Passed":
    """The answer if it is short, else one that is passed on while it is found. Raises Refused."""
    pool: Pool = request.app.state.pool
    spool = Spool(request.app.state.spool_room, pool.limits.timeout_s, asked.organization)
    asking = asyncio.create_task(pool.pass_on(asked, spool.put, partial(lack, request)))
    leaving, long = asyncio.create_task(_left(request)), asyncio.create_task(spool.full())
    passed = Passed(spool, asking, leaving, pool.limits, media_type)
    try:
        await asyncio.wait([asking, leaving, long], return_when=asyncio.FIRST_COMPLETED)
        if long.done():
            return passed
        if not asking.done():
            raise Refused(_LEFT)
        answer = Answer(pieces=tuple(iter(spool.taken, None)), told=asking.result())
        lack(request, answer.told.unread)
    except BaseException:
        passed.end()
        raise
    finally:
        long.cancel()
    passed.end()
    return answer


class Handed(Response):
    """An answer on its way out: each piece is let go once the client's connection has room for it."""

    def __init__(self, answer: Answer, headers: dict[str, str], media_type: str) -> None:
        self._pieces = deque(answer.pieces or (b"",))
        super().__init__(None, 200, headers | {"content-length": str(sum(map(len, self._pieces)))}, media_type)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        while self._pieces:
            piece = self._pieces.popleft()
            await send({"type": "http.response.body", "body": piece, "more_body": bool(self._pieces)})


class Passed(Response):
    """A long answer, passed on piece by piece. Its head tells the limits; where it meets one, or a fault, its connection is broken off."""

    def __init__(self, spool: Spool, asking: "asyncio.Task[Told]", leaving: "asyncio.Task[None]", limits: Limits, media_type: str) -> None:
        self._spool, self._asking, self._leaving, self._limits = spool, asking, leaving, limits
        told = f"rows={limits.rows}, bytes={limits.result_bytes}, seconds={limits.timeout_s:g}"
        super().__init__(None, 200, {"heliograph-limits": told}, media_type)
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            if await self._sent(send):
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self.end()

    def end(self) -> None:
        """Whatever still goes on for it is stopped."""
        self._leaving.cancel()
        if not self._asking.cancel() and not self._asking.cancelled():
            self._asking.exception()  # whoever would be told may have left
        self._spool.close()

    async def _sent(self, send: Send) -> bool:
        """Whether all of it was; if not, it must not look as if."""
        while not self._leaving.done():
            piece = self._spool.taken()
            if piece is not None:
                try:
                    async with asyncio.timeout(STALLED_S):
                        await send({"type": "http.response.body", "body": piece, "more_body": True})
                except TimeoutError:
                    return self._broken_off("stalled")
            elif self._asking.done():
                return self._whole()
            else:
                await self._something()
        return False

    async def _something(self) -> None:
        """Until there is a piece, or there will be none."""
        coming = asyncio.create_task(self._spool.stirred())
        try:
            await asyncio.wait([coming, self._asking, self._leaving], return_when=asyncio.FIRST_COMPLETED)
        finally:
            coming.cancel()

    def _whole(self) -> bool:
        try:
            told = self._asking.result()
        except Refused as refused:
            return self._broken_off(refused.refusal.code)
        if self._spool.lost:
            return self._broken_off("not_taken")
        return self._broken_off("rows") if told.truncated else True

    def _broken_off(self, reason: str) -> bool:
        log.warning("answer_broken_off", reason=reason, bytes=self._spool.bytes, rows_limit=self._limits.rows)
        return False


async def _left(request: Request) -> None:
    """Until the client is gone. Its body was read before."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


_LEFT = Refusal(code="client_left", message="The client left before the answer.", fix="Wait for it.", status=499)
"""Nobody hears it."""
