"""What was sent and what was not, counted; of each way to lose a call the first is warned of, in the log `heliograph`."""

from __future__ import annotations

import contextlib
import logging
import threading

LOG = logging.getLogger("heliograph")


class Tally:
    """Of one logger in one process. Counts calls and judgements."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._warned: set[str] = set()
        self.sent = self.dropped = self.refused = self.misused = 0

    def was_sent(self, count: int) -> None:
        with self._lock:
            self.sent += count

    def was_dropped(self, count: int, why: str) -> None:
        with self._lock:
            self.dropped += count
        self._warn("dropped", "%d dropped: %s. Further ones are counted in `dropped`.", count, why)

    def was_refused(self, why: str) -> None:
        with self._lock:
            self.refused += 1
        self._warn(f"refused {why}"[:100], "Heliograph refused one: %s. Further ones are counted in `refused`.", why)

    def was_misused(self, argument: str, why: str) -> None:
        with self._lock:
            self.misused += 1
        self._warn(f"misused {argument}", "%s: %s. It is left out; further ones are counted in `misused`.", argument, why)

    def _warn(self, kind: str, message: str, *values: object) -> None:
        """Once for each kind, of which there are not many."""
        with self._lock:
            if kind in self._warned or len(self._warned) >= _MOST_KINDS:
                return
            self._warned.add(kind)
        with contextlib.suppress(Exception):  # an application's own handlers and filters
            LOG.warning(message, *values)


_MOST_KINDS = 50
