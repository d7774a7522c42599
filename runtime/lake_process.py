"""The lake of a data directory, asked in a process of its own: so any question can be ended, whatever the engine is doing."""

import threading
from contextlib import suppress

from runtime.query_port import Cancelled
from storage.answerer import Begin
from storage.asked import SqlAsked, Take, Told, encoded
from storage.config import StorageConfig
from storage.engine import OUT_OF_MEMORY, timed_out
from storage.forking import ForkServer
from storage.handle import Answerer
from storage.query import Limits
from storage.refusal import Refusal, Refused

GRACE_S = 1.0
"""Between a stop and the end of the process; and how much later than the engine the process is ended."""
LOOK_S = 0.1


class LakeProcess:
    """One question at a time; `cancel` comes from another thread. Close it at the end."""

    def __init__(self, config: StorageConfig, limits: Limits) -> None:
        self._begin, self._limits = Begin(config=config, limits=limits), limits
        self._server = ForkServer()
        self._answerer: Answerer | None = None
        self._cancelled = False

    def ask(self, asked: SqlAsked, take: Take) -> Told:
        """Hands on the answer as it comes. Raises Refused and Cancelled."""
        self._cancelled = False
        answerer = self._alive()
        over = threading.Event()
        watching = threading.Thread(target=self._watch, args=(answerer, over), daemon=True)
        watching.start()
        try:
            return answerer.ask(encoded(asked), take)
        except Refused:
            if self._cancelled:
                raise Cancelled from None
            raise
        finally:
            over.set()
            watching.join()

    def cancel(self) -> None:
        self._cancelled = True

    def close(self) -> None:
        self._end()
        self._server.close()

    def _end(self) -> None:
        answerer, self._answerer = self._answerer, None
        if answerer is not None:
            answerer.kill()
            answerer.wait()

    def _alive(self) -> Answerer:
        if self._answerer is not None and not self._answerer.alive:
            self._end()
        if self._answerer is None:
            started = Answerer(self._server)
            try:
                started.begin(self._begin)
            except OSError as error:
                started.kill()
                started.wait()
                raise Refused(_not_started(error)) from error
            self._answerer = started
        return self._answerer

    def _watch(self, answerer: Answerer, over: threading.Event) -> None:
        """What the query side does for its processes, for this one."""
        left = self._limits.timeout_s + GRACE_S
        most = self._limits.memory_bytes + max(self._limits.memory_bytes // 4, 128 << 20)
        while not over.wait(LOOK_S):
            left -= LOOK_S
            if self._cancelled:
                with suppress(OSError):
                    answerer.stop(answerer.number)
                if not over.wait(GRACE_S):
                    answerer.kill()
                return
            if left <= 0:
                answerer.kill(timed_out(self._limits.timeout_s))
            elif answerer.taken() > most:
                answerer.kill(OUT_OF_MEMORY)


def _not_started(error: OSError) -> Refusal:
    return Refusal(
        code="not_answering", message=f"The process that reads the lake did not start: {error}.", fix="What it said stands above."
    )
