"""What is asked of an answerer and what it answers, as both travel between two processes. Nothing here reads or writes.

A message is its length, its kind, and its payload. A question is its number, and JSON as Python's own library writes it: parameters may
hold numbers beyond 64 bits and text that is no UTF-8, whose fault the engine is to tell. An answer comes in pieces, and then what is known
of it.
"""

import json
import struct
from collections.abc import Callable, Iterator, Sequence
from enum import IntEnum
from typing import Any

import msgspec
from msgspec import Struct

from eventlog.events import Organization
from storage.formats import Format

HEAD = struct.Struct(">IB")
"""Bytes of the payload, and its kind."""
NUMBER = struct.Struct(">I")
"""Of a question, counted by its asker: a stop that comes late names one that is over, and ends no other."""
PIECE_BYTES = 256 << 10


WIDTH = 200
"""Of a table for people whose terminal nobody named."""


class Kind(IntEnum):
    """What a message says."""

    BEGIN = 1
    """To the answerer, once: `Begin`."""
    ASK = 2
    """To the answerer: a question's number and `Asked`. The next one only after the answer to this."""
    STOP = 3
    """To the answerer: nobody waits for the answer to the question of this number. It comes all the same, or a refusal."""
    READY = 4
    LOGGED = 5
    """What the asker is to log in the answerer's name."""
    PIECE = 6
    """Of an answer. Of a form that is streamed it may come before the rest is found, and a refusal after it."""
    ANSWERED = 7
    """The last of an answer: `Told`."""
    REFUSED = 8
    """Instead of it: a `Refusal`."""
    FAILED = 9
    """Instead of it: the text of a fault of ours."""
    LACKING = 10
    """Before the pieces of an answer that is streamed: the names of the files that cannot be read, where there are any."""


class SqlAsked(Struct, frozen=True, kw_only=True, tag="sql"):
    """One SELECT over the rows of an organization; None: of all."""

    sql: str
    parameters: list[Any] | dict[str, Any] = []
    form: Format = Format.JSON
    organization: Organization | None = None
    width: int = WIDTH
    """Of a table for people, in characters."""


class CallAsked(Struct, frozen=True, kw_only=True, tag="call"):
    """One call, with its bodies or without."""

    key: str
    organization: Organization | None = None
    bodies: bool = True


Asked = SqlAsked | CallAsked


class Told(Struct, frozen=True, kw_only=True):
    """What is known of an answer beside its bytes."""

    found: bool = True
    """Whether there is what was asked for."""
    rows: int | None = 0
    """None: not told, of an answer that was read while it was found."""
    truncated: bool = False
    """There were more rows than the limit."""
    unread: tuple[str, ...] = ()
    """Files of the lake that cannot be read: what is in them is not in the answer."""


class Answer(Struct, frozen=True, kw_only=True):
    """An answer, written out: in pieces, as they came. Whoever holds it may let them go one by one."""

    pieces: tuple[bytes, ...]
    told: Told = Told()

    @property
    def body(self) -> bytes:
        """All of it, once more."""
        return b"".join(self.pieces)


Take = Callable[[bytes], object]
"""Where the pieces of an answer go, in order."""
Lacking = Callable[[Sequence[str]], object]
"""Who is told before the pieces of a streamed answer which files of the lake it lacks, if it does."""


def unheard(_: Sequence[str]) -> None:
    """Nobody. What is told at the end has them, too."""


def encoded(asked: Asked) -> bytes:
    """Raises RecursionError for parameters that are nested too deeply."""
    return json.dumps(msgspec.to_builtins(asked)).encode()


def decoded(payload: bytes) -> Asked:
    asked: Asked = msgspec.convert(json.loads(payload), Asked)
    return asked


def framed(kind: Kind, payload: bytes | memoryview = b"") -> bytes:
    return HEAD.pack(len(payload), kind) + payload


def pieces(body: bytes) -> Iterator[memoryview]:
    """The body in messages that neither side has to hold twice."""
    view = memoryview(body)
    for start in range(0, len(view), PIECE_BYTES):
        yield view[start : start + PIECE_BYTES]
