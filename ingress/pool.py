"""The connections of one origin: those in use, those kept for the next call, and the calls that wait for one.

A place that becomes free is handed to the call that has waited longest, so that no later call can take it on the way.
"""

import asyncio
from collections import deque

from ingress.connection import Connection
from ingress.errors import Overloaded

FRESH_S = 0.5
"""A connection used less long ago is taken as it is. One idle for longer, its provider may have closed in this very moment: a call that
is written on it would be lost, and it may not be written twice."""


class Pool:
    """At most `cap` connections are open or being opened, and at most `queue` calls wait."""

    def __init__(self, host: str, host_header: bytes, *, cap: int, queue: int) -> None:
        self.host_header = host_header
        self.open: set[Connection] = set()
        self.idle: list[Connection] = []
        self._host = host
        self._cap = cap
        self._queue = queue
        self._opening = 0
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()

    @property
    def unused(self) -> bool:
        return not (self.open or self._opening or self._waiting)

    def take(self, now: float) -> Connection | None:
        """An idle connection, the one used last: it is the likeliest to be alive."""
        while self.idle:
            connection = self.idle.pop()
            fresh = now - connection.idle_since < FRESH_S
            if connection.usable and connection.idle_until > now and (fresh or connection.silent):
                return connection
            connection.drop()
        return None

    async def turn(self, patience_s: float, *, again: bool = False) -> Connection | None:
        """A free connection, or None: the right to open one, which ends with `opened` or `not_opened`. Raises Overloaded.

        `again`: the call had its turn, and the connection died before it could use it; it waits before all others.
        """
        if len(self.open) + self._opening < self._cap:
            self._opening += 1
            return None
        if len(self._waiting) >= self._queue and not again:
            raise Overloaded(
                f"All {self._cap} connections to {self._host} are busy and {len(self._waiting)} calls wait. "
                "HELIOGRAPH_LIMITS__CONNECTIONS and HELIOGRAPH_LIMITS__WAITING allow more."
            )
        waiter: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
        (self._waiting.appendleft if again else self._waiting.append)(waiter)
        try:
            async with asyncio.timeout(patience_s):
                return await waiter
        except TimeoutError as error:
            self._leave(waiter)
            raise Overloaded(
                f"No connection to {self._host} became free within {patience_s:g} s (HELIOGRAPH_LIMITS__POOL_S). "
                "HELIOGRAPH_LIMITS__CONNECTIONS allows more of them."
            ) from error
        except asyncio.CancelledError:
            self._leave(waiter)
            raise

    def opened(self, connection: Connection) -> None:
        self._opening -= 1
        self.open.add(connection)

    def not_opened(self) -> None:
        self._opening -= 1
        self._grant()

    def give(self, connection: Connection) -> None:
        """A call is over, and the next one may use its connection."""
        waiter = self._next()
        if waiter is None:
            self.idle.append(connection)
        else:
            waiter.set_result(connection)

    def forget(self, connection: Connection) -> None:
        """A connection is gone."""
        self.open.discard(connection)
        if connection in self.idle:
            self.idle.remove(connection)
        self._grant()

    def refuse_all(self, error: Overloaded) -> None:
        """Nobody gets a connection any more."""
        while (waiter := self._next()) is not None:
            waiter.set_exception(error)

    def _leave(self, waiter: "asyncio.Future[Connection | None]") -> None:
        """A call stops waiting; what it was given in the same instant goes to the next."""
        if waiter in self._waiting:
            self._waiting.remove(waiter)
        if waiter.cancel() or waiter.cancelled() or waiter.exception() is not None:
            return
        connection = waiter.result()
        if connection is None:
            self.not_opened()
        elif connection.usable:
            self.give(connection)

    def _grant(self) -> None:
        while len(self.open) + self._opening < self._cap:
            waiter = self._next()
            if waiter is None:
                return
            self._opening += 1
            waiter.set_result(None)

    def _next(self) -> "asyncio.Future[Connection | None] | None":
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                return waiter
        return None
