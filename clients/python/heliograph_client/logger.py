"""`AsyncLogger`: what an application sees."""

from __future__ import annotations

import asyncio
import math
import os
import threading
import time
from types import TracebackType
from typing import Any, Callable, Mapping, TypeVar

from heliograph_client.calls import Call
from heliograph_client.connection import Target
from heliograph_client.facts import About, Judged, Told
from heliograph_client.ids import draw, is_id
from heliograph_client.processes import watch_exit, watch_forks
from heliograph_client.sender import Options, Sender
from heliograph_client.shapes import is_stream
from heliograph_client.snapshots import Snapshot
from heliograph_client.tally import Tally
from heliograph_client.wrapping import base_url_of, recorded

DEFAULT_URL = "http://localhost:8787"
F = TypeVar("F", bound=Callable[..., Any])
L = TypeVar("L", bound="AsyncLogger")


class AsyncLogger:
    """Tells Heliograph of calls, from a thread in the background. One for a process is enough, and all threads may use it.

    Nothing but this constructor raises, and only for a mistake in its arguments (ValueError). `api_key` and `base_url` are else
    `HELIOGRAPH_KEY` and `HELIOGRAPH_URL`. `queue_calls` and `queue_bytes` bound what waits: the newest gives way. `flush_every_s`: so long
    a call waits for others, at most. `timeout_s` is for each wait on the socket, `exit_s` for the end of the process.
    """

    def __init__(
        self,
        api_key: str | None = None,
        base_url: str | None = None,
        *,
        queue_calls: int = 10_000,
        queue_bytes: int = 64 << 20,
        flush_every_s: float = 1.0,
        timeout_s: float = 10.0,
        exit_s: float = 3.0,
    ) -> None:
        url, named = (base_url, "base_url") if base_url is not None else (os.environ.get("HELIOGRAPH_URL") or DEFAULT_URL, "HELIOGRAPH_URL")
        key = api_key if api_key is not None else os.environ.get("HELIOGRAPH_KEY")
        if key is not None and not (isinstance(key, str) and key.isascii() and key.isprintable()):
            raise ValueError("api_key (or HELIOGRAPH_KEY) must be a Heliograph key, such as sk-helicone-…")
        sizes = {"queue_calls": queue_calls, "queue_bytes": queue_bytes, "flush_every_s": flush_every_s, "timeout_s": timeout_s}
        for name, value in sizes.items():
            _check(name, value, above=0)
        _check("exit_s", exit_s, above=None)
        self._options = Options(Target.parse(url, named), key, queue_calls, queue_bytes, flush_every_s, timeout_s, exit_s)
        self.begin_anew()
        watch_forks(self)

    def begin_anew(self) -> None:
        """With an empty queue and a thread of its own; what waited is another process's. A fork does this by itself."""
        self._sender = Sender(self._options)
        watch_exit(self._sender)

    # What is told

    def log(
        self,
        response: Any,
        *,
        request: Any = None,
        user_id: str | None = None,
        properties: Mapping[str, Any] | None = None,
        session_id: str | None = None,
        session_name: str | None = None,
        session_path: str | None = None,
        provider: str | None = None,
        url: str | None = None,
        headers: Mapping[str, Any] | None = None,
        request_id: str | None = None,
        status: int | None = None,
        started_at: Any = None,
        ended_at: Any = None,
        ttft_ms: float | None = None,
        cost_usd: float | None = None,
    ) -> str:
        """Tells of a call that is over, and gives its request id.

        `response` is an object of `openai` or `anthropic`, a dict, or text; `request` a dict of the call's arguments. Times are seconds
        since 1970, or datetimes; without `ended_at` it ended now, without `started_at` how long it took is not known. `headers` are
        more of Heliograph's, by name (`Helicone-…`).
        """
        told_at = time.time()
        if request_id is not None and not is_id(request_id):
            self._misused("request_id", "must be a UUID; a new one is drawn")
            request_id = None
        request_id = draw() if request_id is None else request_id
        try:
            if is_stream(response):
                self._misused("response", "is a stream, or not awaited yet; use logger.wrap, or logger.call")
                return request_id
            snapshot = Snapshot()
            about = About(user_id, snapshot.of(properties), session_id, session_name, session_path, provider, url, snapshot.of(headers))
            asked, answered = snapshot.of(request), snapshot.of(response)
            told = Told(request_id, asked, answered, about, told_at, started_at, ended_at, status, ttft_ms, cost_usd)
            self._put(told, snapshot.weight)
        except Exception as error:  # noqa: BLE001 the application's call is more than its record
            self._misused("log", f"could not take a call, {type(error).__name__}")
        return request_id

    def call(
        self,
        request: Any = None,
        *,
        user_id: str | None = None,
        properties: Mapping[str, Any] | None = None,
        session_id: str | None = None,
        session_name: str | None = None,
        session_path: str | None = None,
        provider: str | None = None,
        url: str | None = None,
        headers: Mapping[str, Any] | None = None,
    ) -> Call:
        """`with logger.call(request) as call: call.response(…)`: its times are those of the block."""
        about = _about(user_id, properties, session_id, session_name, session_path, provider, url, headers)
        return Call(self._put, self._misused, request, about)

    def wrap(
        self,
        function: F,
        *,
        user_id: str | None = None,
        properties: Mapping[str, Any] | None = None,
        session_id: str | None = None,
        session_name: str | None = None,
        session_path: str | None = None,
        provider: str | None = None,
        url: str | None = None,
        headers: Mapping[str, Any] | None = None,
    ) -> F:
        """The same function, whose calls are told of: `create = logger.wrap(client.chat.completions.create)`.

        It may be a coroutine function; it may answer with a stream, which passes unaltered and is told of at its end. What it raises is
        told of, and raised.
        """
        if not _is(function, Callable):
            self._misused("function", f"must be callable; this is {type(function).__name__}")
            return function
        about = _about(user_id, properties, session_id, session_name, session_path, provider, url, headers)
        base_url = base_url_of(function)
        try:
            return recorded(function, lambda request: Call(self._put, self._misused, request, about, base_url=base_url))
        except Exception as error:  # noqa: BLE001 a function with code of its own for its name or signature
            self._misused("function", f"cannot be wrapped, {type(error).__name__}")
            return function

    def feedback(self, request_id: str, rating: bool | None, *, comment: str | None = None) -> None:
        """Good or bad; None takes it back."""
        body: dict[str, Any] = {"rating": rating}
        if comment is not None:
            body["comment"] = comment
        if rating is not None and not _is(rating, bool):
            self._misused("rating", "must be True, False or None")
        else:
            self._judge(request_id, "feedback", body)

    def score(self, request_id: str, scores: Mapping[str, float | bool | None]) -> None:
        """Numbers and booleans by name; None takes one back."""
        if _is(scores, Mapping):
            self._judge(request_id, "score", {"scores": scores})
        else:
            self._misused("scores", "must be a dict of names and numbers")

    # What became of it

    @property
    def sent(self) -> int:
        """Calls and judgements that Heliograph took, in this process."""
        return self._tally.sent

    @property
    def dropped(self) -> int:
        """Those for which there was no room, or no time at the end."""
        return self._tally.dropped

    @property
    def refused(self) -> int:
        """Those that Heliograph did not accept."""
        return self._tally.refused

    @property
    def misused(self) -> int:
        """Arguments that could not be understood, and were left out."""
        return self._tally.misused

    def flush(self, timeout: float | None = 10.0) -> bool:
        """Waits until all that was told before is sent, or refused. False: that took longer than `timeout` seconds."""
        return self._sender.flush(self._seconds(timeout))

    def close(self, timeout: float | None = 10.0) -> bool:
        """Takes no more, and sends what waits: what is left after `timeout` seconds is dropped, and False is returned."""
        return self._sender.close(self._seconds(timeout))

    async def aflush(self, timeout: float | None = 10.0) -> bool:
        return await _beside(lambda: self.flush(timeout))

    async def aclose(self, timeout: float | None = 10.0) -> bool:
        return await _beside(lambda: self.close(timeout))

    def __enter__(self: L) -> L:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    async def __aenter__(self: L) -> L:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.aclose()

    def __del__(self) -> None:
        sender = self.__dict__.get("_sender")
        if sender is not None:
            sender.leave()

    @property
    def _tally(self) -> Tally:
        return self._sender.tally

    def _put(self, item: Told | Judged, weight: int) -> None:
        self._sender.put(item, weight)

    def _misused(self, argument: str, why: str) -> None:
        self._tally.was_misused(argument, why)

    def _judge(self, request_id: str, endpoint: str, body: Mapping[str, Any]) -> None:
        try:
            snapshot = Snapshot()
            self._put(Judged(request_id, endpoint, snapshot.of(body)), snapshot.weight)
        except Exception as error:  # noqa: BLE001 as in log
            self._misused(endpoint, f"could not be taken, {type(error).__name__}")

    def _seconds(self, timeout: Any) -> float | None:
        """What a lock can wait; None is as long as it takes."""
        if timeout is None:
            return None
        if isinstance(timeout, (int, float)) and not math.isnan(timeout):
            return float(min(max(timeout, 0), threading.TIMEOUT_MAX))
        self._misused("timeout", "must be seconds, or None")
        return 0.0


def _about(*said: Any) -> About:
    """As it is now: the application goes on to use what it handed over."""
    return About(*map(Snapshot().of, said))


def _is(value: object, kind: Any) -> bool:
    """Annotations promise it; applications without a type checker do not."""
    return isinstance(value, kind)


async def _beside(work: Callable[[], bool]) -> bool:
    return await asyncio.get_running_loop().run_in_executor(None, work)


def _check(name: str, value: Any, *, above: float | None) -> None:
    """Raises ValueError."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value >= 0 and value != above:
        return
    raise ValueError(f"{name} must be a number{', not negative' if above is None else ' above 0'}, not {value!r}")
