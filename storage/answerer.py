"""A process that answers questions, one at a time, and may be killed at any moment.

DuckDB's own limits end at the door of some functions: while `levenshtein` or `repeat` runs, nothing interrupts it and nothing counts its
memory. So the limits that hold are those of a process: the asker ends it when it takes too long or too much, and the system refuses it
memory beyond what it was given. It ends by itself when the asker is gone, whatever it is doing.
"""

import os
import resource
import socket
import threading
import traceback
from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from typing import Any, NoReturn

import msgspec
import structlog
from msgspec import Struct

from storage.answers import pass_on
from storage.asked import NUMBER, Asked, Kind, decoded, pieces
from storage.config import StorageConfig
from storage.lake import Lake
from storage.line import HungUp, Line
from storage.query import Limits, Questions
from storage.refusal import Refused

NICER = 5
"""Whoever asks lets those go first who call; but it starts as fast as it can."""
SPARE_BYTES = 512 << 20
"""Beyond the memory of questions: stacks of threads, and an answer on its way out."""


class Begin(Struct, frozen=True, kw_only=True):
    """What an answerer is told first."""

    config: StorageConfig
    limits: Limits


def live(line: Line) -> None:
    """Until the asker hangs up. Questions run beside this thread, which only listens: so it can stop them, and end in the midst of one."""
    begin = msgspec.json.decode(line.hear()[1], type=Begin)
    structlog.configure(processors=[_forwarding(line)])
    os.nice(NICER)  # before the engine's threads are made, which take it over
    questions = Questions(Lake(begin.config), begin.limits)
    asked: SimpleQueue[tuple[int, Asked]] = SimpleQueue()
    current = Current()
    threading.Thread(target=_answer_all, args=(questions, asked, current, line), daemon=True).start()
    line.say(Kind.READY)
    while True:
        kind, payload = line.hear()
        if kind is Kind.ASK:
            asked.put((NUMBER.unpack_from(payload)[0], decoded(payload[NUMBER.size :])))
        elif kind is Kind.STOP:
            with current.if_it_is(NUMBER.unpack(payload)[0]) as it_is:
                if it_is:
                    questions.interrupt()


class Current:
    """The number of the question that is being answered. While one is looked at, none begins and none ends."""

    def __init__(self) -> None:
        self._number: int | None = None
        self._lock = threading.Lock()

    @contextmanager
    def answering(self, number: int) -> Iterator[None]:
        self._set(number)
        try:
            yield
        finally:
            self._set(None)

    @contextmanager
    def if_it_is(self, number: int) -> Iterator[bool]:
        with self._lock:
            yield self._number == number

    def _set(self, number: int | None) -> None:
        with self._lock:
            self._number = number


def _answer_all(questions: Questions, asked: "SimpleQueue[tuple[int, Asked]]", current: Current, line: Line) -> None:
    with suppress(Refused):
        questions.ask("SELECT 1 FROM calls, bodies LIMIT 0")  # opens the tables, at best before anybody waits for it
    bound_memory(questions.limits.memory_bytes + SPARE_BYTES)
    with suppress(HungUp):  # the other thread hears that too
        while True:
            number, question = asked.get()
            with current.answering(number):
                _answer(questions, question, line)


def _answer(questions: Questions, asked: Asked, line: Line) -> None:
    def say(written: bytes) -> None:
        for piece in pieces(written):
            line.say(Kind.PIECE, piece)

    def lacking(files: Sequence[str]) -> None:
        line.say(Kind.LACKING, msgspec.json.encode(files))

    try:
        told = pass_on(questions, asked, say, lacking)
    except HungUp:
        raise
    except Refused as refused:
        line.say(Kind.REFUSED, msgspec.json.encode(refused.refusal))
    except MemoryError:
        os._exit(1)  # what is left of it cannot be trusted to say so
    except Exception as error:  # noqa: BLE001 - told to the asker, who raises it
        line.say(Kind.FAILED, f"{type(error).__name__}: {error}".encode(errors="replace"))
    else:
        line.say(Kind.ANSWERED, msgspec.json.encode(told))


def _forwarding(line: Line) -> Any:
    def forward(_: Any, level: str, event: MutableMapping[str, Any]) -> Any:
        line.say(Kind.LOGGED, msgspec.json.encode({"level": level, **event}, enc_hook=str))
        raise structlog.DropEvent

    return forward


def bound_memory(more: int) -> None:
    """From now on the process may take `more` bytes; beyond, the system refuses. Only Linux counts what a process can write to."""
    with suppress(OSError):
        with open("/proc/self/status") as status:
            held = next(int(line.split()[1]) << 10 for line in status if line.startswith("VmData:"))
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        wanted = held + more
        resource.setrlimit(resource.RLIMIT_DATA, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))


def run(line: int) -> NoReturn:
    """The whole life of a process that holds this end of its line."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # it holds prompts, and being ended is its ordinary end
    try:
        with suppress(HungUp):
            live(Line(socket.socket(fileno=line)))
    except BaseException:  # noqa: BLE001 - said, and the end all the same
        traceback.print_exc()
        os._exit(2)
    os._exit(0)  # whatever still runs
