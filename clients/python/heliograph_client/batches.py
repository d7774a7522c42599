"""Lines in numbered batches: one is on its way at a time, and is sent again as it was until the server has decided on it."""

from __future__ import annotations

import gzip
import os
from collections import deque
from typing import Mapping, NamedTuple

PATH = "/v1/log/batch"
NUMBER = "Heliograph-Batch"
MOST_LINES, MOST_BYTES = 10_000, 1_000_000
NUMBERED_BYTES = 4 << 20
"""What Heliograph takes by a number. Only a call that is longer by itself goes without."""
LONGEST_LINE = 10 << 20
"""Characters, and Heliograph's limit of a call."""
QUICK = 1
"""Of gzip's levels: the others take several times as long for a tenth less."""


class Line(NamedTuple):
    number: int
    """Of what waits, see `Outbox`."""
    data: bytes


class Batch(NamedTuple):
    headers: Mapping[str, str]
    body: bytes
    lines: list[Line]

    def without_number(self) -> Batch:
        return self._replace(headers={name: text for name, text in self.headers.items() if name != NUMBER})


class Batches:
    """Numbers them 1, 2, 3, … within an epoch of its own, by which the server knows one that it has seen."""

    def __init__(self) -> None:
        self.epoch = os.urandom(16).hex()
        self._number = 0
        self._lines: deque[Line] = deque()

    def __len__(self) -> int:
        return len(self._lines)

    @property
    def oldest(self) -> int | None:
        return self._lines[0].number if self._lines else None

    def add(self, line: Line) -> None:
        self._lines.append(line)

    def send_again(self, lines: list[Line]) -> None:
        """They stand at the head of the next batch."""
        self._lines.extendleft(reversed(lines))

    def next(self) -> Batch:
        """Of the oldest lines; there is one at least."""
        taken = [self._lines.popleft()]
        size = len(taken[0].data)
        while self._lines and len(taken) < MOST_LINES and size + len(self._lines[0].data) < MOST_BYTES:
            taken.append(self._lines.popleft())
            size += 1 + len(taken[-1].data)
        self._number += 1
        headers = {
            "Content-Type": "application/x-ndjson",
            "Content-Encoding": "gzip",
            NUMBER: f"{self.epoch}/{self._number}",
        }
        batch = Batch(headers, gzip.compress(b"\n".join(line.data for line in taken), QUICK), taken)
        return batch if size <= NUMBERED_BYTES else batch.without_number()
