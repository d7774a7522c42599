"""One of the processes that answer questions, as its asker holds it: started, asked, stopped, ended; and what its end is told as."""

import os
import signal
import socket
from contextlib import suppress

import msgspec
import structlog

from storage.answerer import Begin
from storage.asked import NUMBER, Kind, Lacking, Take, Told, unheard
from storage.engine import OUT_OF_MEMORY
from storage.forking import Child, ForkServer
from storage.line import HungUp, Line
from storage.log_lines import tell
from storage.refusal import Refusal, Refused

log = structlog.get_logger()

CRASHED = Refusal(
    code="question_failed",
    message="The engine broke down over this question; others were not affected.",
    fix="Write the question differently, and please report it.",
    field="sql",
    status=422,
)
STOPPING = Refusal(code="stopping", message="Heliograph is being stopped.", fix="Ask again once it runs.", status=503)


class Failed(Exception):
    """A fault of ours in an answerer."""


class Answerer:
    """One of the processes, as its asker holds it.

    `begin`, `ask` and `wait` block, one of them at a time, in a thread; `stop` and `kill` come from elsewhere and end what they wait for.
    """

    def __init__(self, server: ForkServer) -> None:
        """Raises OSError."""
        ours, self._theirs = socket.socketpair()
        self._server, self._line = server, Line(ours)
        self._process: Child | None = None
        self._verdict: Refusal | None = None
        self._base = self._most_taken = self._given = 0
        self.number = 0
        """Of the question that was asked last."""

    def begin(self, begin: Begin) -> None:
        """Starts the process, and waits until it is ready. Raises OSError."""
        with self._theirs:
            self._process = self._server.fork(self._theirs, begin.limits.start_s)
        if self._verdict is not None:
            self._process.kill()
        self._line.patient_for(begin.limits.start_s)
        try:
            self._line.say(Kind.BEGIN, msgspec.json.encode(begin))
            self._hear()
        except HungUp as error:
            raise OSError("an answerer ended before it was ready") from error
        self._line.patient_for(None)
        self._base, self._given = self._resident(), begin.limits.memory_bytes

    def ask(self, question: bytes, take: Take, lacking: Lacking = unheard) -> Told:
        """Hands each piece to `take`, which must not raise, nor must `lacking`.

        Raises Refused, also when the process had to be ended, and Failed.
        """
        try:
            self.number += 1
            self._line.say(Kind.ASK, NUMBER.pack(self.number) + question)
            return self._answer(take, lacking)
        except HungUp:
            raise Refused(self._verdict or self._breakdown()) from None

    def _answer(self, take: Take, lacking: Lacking) -> Told:
        while True:
            kind, payload = self._hear()
            if kind is Kind.PIECE:
                take(payload)
            elif kind is Kind.LACKING:
                lacking(msgspec.json.decode(payload, type=list[str]))
            elif kind is Kind.ANSWERED:
                return msgspec.json.decode(payload, type=Told)
            elif kind is Kind.REFUSED:
                raise Refused(msgspec.json.decode(payload, type=Refusal))
            else:
                raise Failed(payload.decode())

    def _hear(self) -> tuple[Kind, bytes]:
        """The next message that is no log line."""
        while True:
            kind, payload = self._line.hear()
            if kind is not Kind.LOGGED:
                return kind, payload
            tell(msgspec.json.decode(payload))

    def _breakdown(self) -> Refusal:
        """It ended and nobody here did it. Nearly always it was refused memory, and could not even say so."""
        code = self._ended()
        log.warning("answerer_died", exit_code=code)
        return OUT_OF_MEMORY if of_hunger(code, self._most_taken, self._given) else CRASHED

    def stop(self, number: int) -> None:
        """Nobody waits for the answer to this question any more."""
        with suppress(HungUp):
            self._line.say(Kind.STOP, NUMBER.pack(number))

    def kill(self, verdict: Refusal = STOPPING) -> None:
        """Ends it at once; whoever waits for its answer is told `verdict`, the first that was given."""
        self._verdict = self._verdict or verdict
        if self._process is not None:  # else it is being started, and ended then
            self._process.kill()

    def wait(self) -> None:
        """Until one that was killed is gone. Its line goes first: whoever else should hold it, and what tells of its end, ends too."""
        self._theirs.close()
        self._line.close()
        self._ended()

    @property
    def alive(self) -> bool:
        return self._verdict is None and self._process is not None and self._process.alive

    def taken(self) -> int:
        """Bytes of memory that questions made it take."""
        taken = max(0, self._resident() - self._base)
        self._most_taken = max(self._most_taken, taken)
        return taken

    def _ended(self) -> int:
        """Waits for it: its exit code."""
        return self._process.wait() if self._process is not None else 0

    def _resident(self) -> int:
        """Bytes of memory it takes; 0 where the system does not tell."""
        pid = self._process.pid if self._process is not None else 0
        try:
            with open(f"/proc/{pid}/statm", "rb") as file:
                return int(file.read().split()[1]) * _PAGE
        except (OSError, IndexError):
            return 0


_PAGE = os.sysconf("SC_PAGE_SIZE")
_OF_HUNGER = {-signal.SIGKILL, -signal.SIGABRT, 1}
"""The system's own end of it, an allocation that failed in native code, one that failed in Python."""


def of_hunger(exit_code: int, most_taken: int, given: int) -> bool:
    """Whether it ended for want of memory. Native code may also write to where it was refused some: that is likely near the limit only."""
    return exit_code in _OF_HUNGER or (exit_code == -signal.SIGSEGV and most_taken > given // 2)
