"""The end of a process, and its forks: what waits is sent within a bounded time; a child begins with nothing of its parent's."""

from __future__ import annotations

import atexit
import os
import threading
import time
import weakref
from typing import Protocol

from heliograph_client.sender import Sender


class Forked(Protocol):
    def begin_anew(self) -> None:
        """In the child: its parent's queue, thread and connection are not its own."""


_loggers: weakref.WeakSet[Forked] = weakref.WeakSet()
_senders: weakref.WeakSet[Sender] = weakref.WeakSet()
_held = threading.local()
LONGEST_HOLD_S = 1.0


def watch_forks(logger: Forked) -> None:
    _loggers.add(logger)


def watch_exit(sender: Sender) -> None:
    """The thread that sends keeps it alive, also where the logger is gone."""
    _senders.add(sender)


def _hold_still() -> None:
    """Within a bounded time: a fork waits for no object that never ends."""
    _held.senders = [sender for sender in list(_senders) if sender.encoding.acquire(timeout=LONGEST_HOLD_S)]


def _go_on() -> None:
    for sender in _held.senders:
        sender.encoding.release()


def _begin_anew() -> None:
    _held.senders = []
    _senders.clear()
    for logger in list(_loggers):
        logger.begin_anew()


def _close_all() -> None:
    """The longest that one of them asks for is the time for all."""
    senders = list(_senders)
    deadline = time.monotonic() + max((sender.options.exit_s for sender in senders), default=0.0)
    for sender in senders:
        sender.close(max(0.0, min(sender.options.exit_s, deadline - time.monotonic())))


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_hold_still, after_in_parent=_go_on, after_in_child=_begin_anew)
