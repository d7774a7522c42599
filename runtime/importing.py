"""Brings an export to a running Heliograph, batch by batch: what the lake has is left out, the rest is logged, judged, and waited for.

The lake does not know a call that is told twice: whoever tells it has to ask. A call that was logged is in the lake a moment later; until
it is seen there, its key is remembered here, and no more than `MOST_UNSEEN` batches go ahead of that. So one import after the other books
nothing twice; two at the same moment would.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Protocol

from msgspec import Struct

from ingress.async_log import BadLog, Refused
from ingress.log_line import parse_line
from runtime.export_files import Element, Unreadable
from runtime.exported import BadElement, Exported, exported_of
from runtime.import_target import Known, Lost, Took

BATCH, BATCH_BYTES = 500, 8 << 20
"""What goes together, at most, in calls and in bytes; a longer call goes alone."""
MOST_UNSEEN = 20
SEEN_S, LOOK_S = 120.0, 0.3
"""How long nothing may come to rest before we stop, and how often we look."""
AT_ONCE = 8
"""Judgements that are given at the same time."""
NOT_KNOWN = Known()


class Heliograph(Protocol):
    """Where calls are brought."""

    def known(self, calls: Sequence[Exported]) -> dict[str, Known]: ...

    def log(self, calls: Sequence[Exported]) -> Took: ...

    def judge(self, call: Exported, known: Known) -> str | None: ...


class Rejected(Struct, frozen=True):
    """An element that is not brought, or not all of it."""

    line: int
    reason: str
    element: str


class Tally(Struct):
    """What came of an import until now."""

    read: int = 0
    logged: int = 0
    known: int = 0
    rejected: int = 0
    bodiless: int = 0
    """Logged, of a request or an answer that the export has no body of."""
    durable: int = 0
    """Up to this line all was taken, found, or rejected."""


class Stopped(Exception):
    """It cannot go on. The message says why."""

    retryable = False


class _Wanted(NamedTuple):
    element: Element
    call: Exported


class Importing:
    """`reject` is told of each element that is not brought; `tell` that a batch is done. `pause` lets time pass, `clock` measures it."""

    def __init__(
        self,
        target: Heliograph,
        reject: Callable[[Rejected], None],
        tell: Callable[[Tally], None],
        *,
        pause: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.tally = Tally()
        self._target, self._reject, self._tell = target, reject, tell
        self._pause, self._clock = pause, clock
        self._unseen: deque[dict[str, Exported]] = deque()
        self._judges = ThreadPoolExecutor(AT_ONCE)

    def bring(self, elements: Iterable[Element]) -> None:
        """All of them. Raises Stopped, Refused, and whatever `elements` raises; `tally.durable` says how far it came."""
        batch: list[_Wanted] = []
        faults: list[Exception] = []
        size = last = 0
        for element in _until_fault(elements, faults):
            wanted = self._wanted(element)
            if wanted is not None and batch and (len(batch) == BATCH or size + len(wanted.call.line) > BATCH_BYTES):
                self._carry(batch)
                self._reached(last if element.number != last else last - 1)
                batch, size = [], 0
            if wanted is not None:
                batch.append(wanted)
                size += len(wanted.call.line)
            last = element.number
        self._carry(batch)
        self._reached(last)
        if faults:
            raise faults[0]

    def wait(self) -> None:
        """Until all that was logged is in the lake. Raises Stopped where it does not come there."""
        self._see(0)

    def close(self) -> None:
        self._judges.shutdown()

    def _wanted(self, element: Element) -> _Wanted | None:
        self.tally.read += 1
        try:
            if element.wrong is not None:
                raise BadElement(element.wrong)
            return _Wanted(element, exported_of(element.raw))
        except BadElement as error:
            self._rejected(element, str(error))
            return None

    def _rejected(self, element: Element, reason: str) -> None:
        self.tally.rejected += 1
        self._reject(Rejected(element.number, reason, element.raw.decode("utf-8", "replace")))

    def _reached(self, line: int) -> None:
        self.tally.durable = max(self.tally.durable, line)
        self._tell(self.tally)

    def _carry(self, batch: Sequence[_Wanted]) -> None:
        if not batch:
            return
        self._see(MOST_UNSEEN - 1)
        known = self._asked([wanted.call for wanted in batch])
        unseen = {key: NOT_KNOWN for calls in self._unseen for key in calls}
        new: dict[str, _Wanted] = {}
        for wanted in batch:
            if wanted.call.key not in known and wanted.call.key not in unseen:
                new.setdefault(wanted.call.key, wanted)
        refused = self._logged(list(new.values()))
        taken = {key: wanted.call for key, wanted in new.items() if key not in refused}
        self._unseen.append(taken)
        self.tally.logged += len(taken)
        self.tally.bodiless += sum(bool(call.lacks) for call in taken.values())
        self.tally.known += len(batch) - len(new)
        judged = [wanted for wanted in batch if wanted.call.key not in refused and wanted.call.key not in unseen]
        self._judge(judged, known)

    def _logged(self, new: Sequence[_Wanted]) -> set[str]:
        """The keys of those that were refused."""
        if not new:
            return set()
        try:
            took = self._target.log([wanted.call for wanted in new])
        except Lost as error:
            lines = f"{new[0].element.number} to {new[-1].element.number}"
            raise Stopped(
                f"the answer to lines {lines} was lost ({error}): they may be there or not. Wait a minute, so that what is there is seen in"
                " the lake, and left out"
            ) from None
        for place, reason in took.refused.items():
            self._rejected(new[place].element, reason)
        return {new[place].call.key for place in took.refused}

    def _judge(self, judged: Sequence[_Wanted], known: Mapping[str, Known]) -> None:
        """What the lake has of judgements is left as it is."""

        def given(wanted: _Wanted) -> str | None:
            return self._target.judge(wanted.call, known.get(wanted.call.key, NOT_KNOWN))

        telling = [wanted for wanted in judged if wanted.call.rating is not None or wanted.call.scores]
        try:
            for wanted, reason in zip(telling, self._judges.map(given, telling), strict=True):
                if reason is not None:
                    self._rejected(wanted.element, reason)
        except Lost as error:
            raise Stopped(f"the answer to a judgement was lost ({error})") from None

    def _asked(self, calls: Sequence[Exported]) -> dict[str, Known]:
        try:
            return self._target.known(calls)
        except Lost as error:
            raise Stopped(f"what the lake has already could not be asked ({error})") from None

    def _see(self, most: int) -> None:
        """Until no more than so many batches are not yet seen in the lake."""
        moved = self._clock()
        while len(self._unseen) > most:
            oldest = self._unseen[0]
            seen = self._asked(list(oldest.values())).keys() & oldest.keys() if oldest else set[str]()
            if seen:
                moved = self._clock()
                for key in seen:
                    del oldest[key]
            if not oldest:
                self._unseen.popleft()
            elif self._clock() - moved > SEEN_S:
                raise Stopped(
                    f"{len(oldest)} calls were taken, and are not seen in the lake after {SEEN_S:.0f} s: is the pipeline running?"
                )
            else:
                self._pause(LOOK_S)


def _until_fault(elements: Iterable[Element], faults: list[Exception]) -> Iterator[Element]:
    """What could be read before a fault, which is put aside: that much is brought before it is told."""
    try:
        yield from elements
    except (Unreadable, OSError) as error:
        faults.append(error)


class DryRun:
    """In the place of a Heliograph, an empty one: what would be refused is, and nothing is sent."""

    def __init__(self, now: float) -> None:
        self._now = now
        self._taken: set[str] = set()

    def known(self, calls: Sequence[Exported]) -> dict[str, Known]:
        return dict.fromkeys(self._taken & {call.key for call in calls}, NOT_KNOWN)

    def log(self, calls: Sequence[Exported]) -> Took:
        self._taken.update(call.key for call in calls)
        return Took({place: fault for place, call in enumerate(calls) if (fault := self._fault(call)) is not None})

    def _fault(self, call: Exported) -> str | None:
        try:
            parse_line(call.line, [], self._now)
        except Refused as error:
            return str(error)
        except BadLog as error:
            return f"{error.field} {error}"
        return None

    def judge(self, call: Exported, known: Known) -> None:
        """Nothing is given."""
