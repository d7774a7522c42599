"""A call under way: what is told of it comes together here, and goes to the queue once, at its end."""

from __future__ import annotations

import os
import time
from collections import deque
from types import TracebackType
from typing import Any, Callable, TypeVar

from heliograph_client import failures
from heliograph_client.facts import ANSWERED, CANCELLED, FAILED, About, Told
from heliograph_client.ids import draw
from heliograph_client.shapes import is_last, is_stream
from heliograph_client.snapshots import Snapshot

Put = Callable[[Any, int], None]
"""Takes what is to be sent, and its weight in bytes."""
Misused = Callable[[str, str], None]
"""Is told an argument, and what is wrong with it."""
MOST_PIECES, LAST_PIECES = 20_000, 16
"""Of a stream that are kept: the first ones, and the last, which tell its usage."""
C = TypeVar("C", bound="Call")


class Call:
    """One call, from now on. `with` and `async with` end it; an exception that passes is logged with its status, and goes on.

    Nothing here raises: what cannot be told is counted and warned of.
    """

    def __init__(self, put: Put, misused: Misused, request: Any, about: About, *, base_url: str | None = None) -> None:
        self.request_id = draw()
        self._put, self._misused, self._about, self._base_url = put, misused, about, base_url
        self._process = os.getpid()
        self._snapshot = Snapshot()
        self._request = self._snapshot.of(request)
        self._response: Any = None
        self._status: Any = None
        self._pieces: list[Any] = []
        self._last: deque[Any] = deque(maxlen=LAST_PIECES)
        self._whole: Callable[[], Any] = lambda: None
        self._is_answered = self._is_over = False
        self._ttft_ms: float | None = None
        self._lasted_s: float | None = None
        self._began_at, self._began = time.time(), time.perf_counter()

    def response(self, response: Any, *, status: int | None = None) -> None:
        """The answer, whole: the call lasted until now. `status` is HTTP's, where it was not 200."""
        if is_stream(response):
            self._misused("response", "is a stream, or not awaited yet; tell each piece by call.chunk")
            return
        self._response, self._status, self._is_answered = self._snapshot.of(response), status, True
        self._lasted_s = time.perf_counter() - self._began

    def chunk(self, chunk: Any) -> None:
        """The next piece of an answer that streams."""
        if self._ttft_ms is None:
            self._ttft_ms = (time.perf_counter() - self._began) * 1000
        (self._pieces if len(self._pieces) < MOST_PIECES else self._last).append(chunk)

    def listens_to(self, whole: Callable[[], Any]) -> None:
        """A stream that puts its answer together itself: what it has of it, None where that is nothing yet."""
        self._whole = whole

    def __enter__(self: C) -> C:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is not None:
            self.fail(error)
        elif self._is_answered or self._pieces:
            self.end()
        else:
            self.forget("ended without call.response(…) or call.chunk(…)")

    async def __aenter__(self: C) -> C:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.__exit__(kind, error, trace)

    def end(self, status: int | None = None) -> None:
        """Tells of it, once, and in the process where it began. Without a status: what the answer says."""
        if self._is_over or self._process != os.getpid():
            return
        self._is_over = True
        try:
            self._tell(self._status if status is None else status)
        except Exception as error:  # noqa: BLE001 the application's call is more than its record
            self._misused("call", f"could not be told of, {type(error).__name__}")

    def leave(self) -> None:
        """Its caller reads no further: a stream that said its last word before is whole, another was cancelled."""
        if not self._is_over:
            self.end(ANSWERED if self.is_whole() else CANCELLED)

    def forget(self, why: str) -> None:
        """There is nothing to tell of it."""
        if not self._is_over:
            self._is_over = True
            self._misused("call", why)

    def is_whole(self) -> bool:
        """The stream has said its last word."""
        try:
            return any(map(is_last, [*self._pieces[-3:], *self._last, self._whole()]))
        except Exception:  # noqa: BLE001 a piece's own code
            return False

    def is_empty(self) -> bool:
        """Nothing came of it."""
        return not self._pieces and self._whole() is None

    def fail(self, error: BaseException) -> None:
        """It ended with this. Once it was answered, an exception is the application's own."""
        if self._is_over or self._is_answered:
            self.end()
            return
        try:
            status, body = failures.status_of(error), self._snapshot.of(failures.body_of(error))
        except Exception:  # noqa: BLE001 the exception's own code
            status, body = FAILED, {"error": {"type": type(error).__name__}}
        if status != CANCELLED and self._pieces:
            self._last.append(body)
        elif status != CANCELLED:
            self._response = body
        self.end(status)

    def _tell(self, status: Any) -> None:
        whole = self._whole()
        response = self._response if whole is None else self._snapshot.of(whole)
        pieces = self._snapshot.of([*self._pieces, *self._last]) if self._pieces and whole is None else None
        lasted_s = time.perf_counter() - self._began if self._lasted_s is None else self._lasted_s
        told = Told(
            self.request_id,
            self._request,
            response,
            self._about,
            self._began_at + lasted_s,
            self._began_at,
            status=status,
            ttft_ms=self._ttft_ms,
            pieces=pieces,
            base_url=self._base_url,
        )
        self._put(told, self._snapshot.weight)
