"""One thread beside the event loop, where bodies are searched one after the other. It keeps no process from ending."""

import asyncio
import contextlib
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Generic, TypeVar

T = TypeVar("T")


class Work(Generic[T]):
    """Something that is done in the thread. `result` is known once it is done, or somebody says it is no longer waited for."""

    def __init__(self, do: Callable[[], T], loop: asyncio.AbstractEventLoop) -> None:
        self._do, self._loop = do, loop
        self.result: asyncio.Future[T] = loop.create_future()

    def run(self) -> None:
        """In the thread. What nobody waits for any more is not begun."""
        if self.result.done():
            return
        found = self._do()
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self.resolve, found)

    def resolve(self, found: T) -> None:
        """On the loop. The first result counts."""
        if not self.result.done():
            self.result.set_result(found)


class SearchThread(Generic[T]):
    """Begun when it is first needed. Used from one event loop."""

    def __init__(self) -> None:
        self._asked: SimpleQueue[Work[T] | None] = SimpleQueue()
        self._begun = False

    def begin(self, do: Callable[[], T]) -> Work[T]:
        """`do` must not raise. Raises RuntimeError where there can be no thread."""
        work = Work(do, asyncio.get_running_loop())
        if not self._begun:
            Thread(target=self._work, name="redaction", daemon=True).start()
            self._begun = True
        self._asked.put(work)
        return work

    def end(self) -> None:
        """After what it does now."""
        self._asked.put(None)

    def _work(self) -> None:
        while self._do_next():
            pass

    def _do_next(self) -> bool:
        """False at the end. What was done is remembered no longer than this."""
        work = self._asked.get()
        if work is not None:
            work.run()
        return work is not None
