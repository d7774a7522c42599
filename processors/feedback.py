"""The feedback join: a judgement meets the facts of its call, whichever comes first. Pure: no clock, no log, no framework.

State is held for one partition, batch by batch and packed; an index by organization and request id says which batch to look into. Each
turn says what leaves (`out`) and what is to be remembered for a next life (`kept`: the new value of a batch's key, or None to forget it).
Whoever carries a turn out makes `out` durable, then `kept`, and only then acknowledges what it came from. A crash in between repeats:

- before `kept` is durable, the batch comes again and the same pairs leave once more;
- after it, the batch is held and known, and nothing more leaves.

So each judgement leaves with its call at least once, and the pairs do not depend on order, repeats or crashes, as long as both sides come
within the patience of each other. A judgement whose patience ends leaves once without a call. Of several calls with one request id (an
SDK that retries) the newest is the judgement's: one that comes later and is newer makes another pair, an older one does not.

State is kept until the patience ends, not until the match: more judgements may come, and a newer call. Both sides are bounded by count too;
what is pushed out by others leaves as if its patience had ended.
"""

from array import array
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import msgspec
import zstandard
from msgspec import Struct
from msgspec.structs import replace

from eventlog.codec import Batch, BatchId, Message, encode_event, message_of_lines
from eventlog.events import CallPriced, CallScored, FeedbackGiven, Instant
from eventlog.topics import SCORED_CALLS


class JoinLimits(Struct, frozen=True, kw_only=True):
    """How much is held, of each partition."""

    patience: timedelta = timedelta(hours=24)
    """How far a judgement and its call may come apart."""
    calls: int = 20_000
    """About 200 bytes each."""
    feedback: int = 20_000
    """About 300 bytes each, more when they come one by one."""


class Turn(Struct, frozen=True):
    """What one batch, or the passing of time, leads to."""

    out: tuple[CallScored, ...] = ()
    kept: dict[str, bytes | None] = {}


class Version(Struct, frozen=True, order=True, array_like=True):
    """Which of the calls of one request: the newest is the greatest."""

    created_at: Instant
    call_id: str


class _Head(Struct, frozen=True, omit_defaults=True):
    """The first line of a packed batch; its events follow, a line each."""

    at: Instant
    met: dict[int, Version] = {}
    """Of a batch of judgements: by line, the call that each has met."""


class _Held(Struct):
    """A batch that is held."""

    key: str
    at: datetime
    packed: bytes
    names: "array[int]"
    """By line: the hash of organization and request id."""
    met: dict[int, Version]


class _Key(Struct):
    """As little of an event as its name takes."""

    request_id: str = ""
    organization: str = "default"


class _CallKey(Struct):
    call: _Key


_CALLS = "calls/"
_FEEDBACK = "feedback/"

_compressor = zstandard.ZstdCompressor(level=3)
_decompressor = zstandard.ZstdDecompressor()
_encode = msgspec.json.Encoder().encode
_head = msgspec.json.Decoder(_Head)
_call_key = msgspec.json.Decoder(_CallKey)
_feedback_key = msgspec.json.Decoder(_Key)
_call = msgspec.json.Decoder(CallPriced)
_feedback = msgspec.json.Decoder(FeedbackGiven)


class _Side:
    """One of the two things that meet: its batches in the order they came, and where to find those of each request."""

    def __init__(self, limit: int) -> None:
        self.batches: dict[str, _Held] = {}
        self.events = 0
        self._limit = limit
        self._index: dict[int, tuple[_Held, ...]] = {}

    def add(self, held: _Held) -> None:
        self.drop(held.key)
        self.batches[held.key] = held
        self.events += len(held.names)
        alone = (held,)
        for name in set(held.names):
            others = self._index.get(name)
            self._index[name] = alone if others is None else (*others, held)

    def drop(self, key: str) -> None:
        held = self.batches.pop(key, None)
        if held is None:
            return
        self.events -= len(held.names)
        for name in set(held.names):
            left = tuple(each for each in self._index[name] if each is not held)
            if left:
                self._index[name] = left
            else:
                del self._index[name]

    def places(self, name: int) -> Iterator[tuple[_Held, int]]:
        """Batch and line of each event of that name."""
        for held in self._index.get(name, ()):
            for line, each in enumerate(held.names):
                if each == name:
                    yield held, line

    def before(self, until: datetime) -> list[_Held]:
        return [held for held in self.batches.values() if held.at <= until]

    def surplus(self) -> list[_Held]:
        """The oldest batches, as far as there are more events than may be held."""
        found, over = [], self.events - self._limit
        for held in self.batches.values():
            if over <= 0:
                break
            found.append(held)
            over -= len(held.names)
        return found

    def sort(self) -> None:
        self.batches = dict(sorted(self.batches.items(), key=lambda item: item[1].at))


class Held:
    """What one partition holds. It changes with every turn, in place: hundreds of thousands of calls are not copied for one more."""

    def __init__(self, limits: JoinLimits) -> None:
        self._patience = limits.patience
        self._calls = _Side(limits.calls)
        self._feedback = _Side(limits.feedback)

    @property
    def calls(self) -> int:
        return self._calls.events

    @property
    def feedback(self) -> int:
        return self._feedback.events

    def meet_calls(self, batch: Batch[CallPriced], at: datetime) -> Turn:
        """Calls came. `at` is when their message was appended to its topic."""
        key = f"{_CALLS}{batch.id}"
        if not batch.events or key in self._calls.batches:
            return Turn()
        names = array("q", [_name(event.call.organization, event.call.request_id) for event in batch.events])
        held = _Held(key, at, _packed(_Head(at), batch.events), names, {})
        self._calls.add(held)
        out: dict[tuple[str, int], CallScored] = {}
        changed: dict[str, _Held] = {}
        for call, name in zip(batch.events, names, strict=True):
            for waiting, line in self._feedback.places(name):
                feedback = _feedback.decode(_line(waiting.packed, line))
                if _belong(feedback, call) and _is_newer(call, waiting.met.get(line)):
                    waiting.met[line] = _version(call)
                    changed[waiting.key] = waiting
                    out[waiting.key, line] = CallScored(feedback=feedback, call=call)  # of two calls in one batch the newer stays
        kept: dict[str, bytes | None] = {key: held.packed}
        for waiting in changed.values():
            waiting.packed = kept[waiting.key] = _with_met(waiting)
        for surplus in self._calls.surplus():
            self._calls.drop(surplus.key)
            kept[surplus.key] = None
        return Turn(tuple(out.values()), kept)

    def meet_feedback(self, batch: Batch[FeedbackGiven], at: datetime) -> Turn:
        """Judgements came. `at` is when their message was appended to its topic."""
        key = f"{_FEEDBACK}{batch.id}"
        if not batch.events or key in self._feedback.batches:
            return Turn()
        names = array("q", [_name(event.organization, event.request_id) for event in batch.events])
        out: list[CallScored] = []
        met: dict[int, Version] = {}
        for line, feedback in enumerate(batch.events):
            call = self._newest(names[line], feedback)
            if call is not None:
                met[line] = _version(call)
                out.append(CallScored(feedback=feedback, call=call))
        held = _Held(key, at, _packed(_Head(at, met), batch.events), names, met)
        self._feedback.add(held)
        gone = self._forget_feedback(self._feedback.surplus())
        kept: dict[str, bytes | None] = {key: held.packed}
        return Turn((*out, *gone.out), kept | gone.kept)

    def expire(self, until: datetime) -> Turn:
        """All that was appended up to `until` has met what it could meet; what came a whole patience before has waited long enough."""
        ended = until - self._patience
        kept: dict[str, bytes | None] = {}
        for calls in self._calls.before(ended):
            self._calls.drop(calls.key)
            kept[calls.key] = None
        gone = self._forget_feedback(self._feedback.before(ended))
        return Turn(gone.out, kept | gone.kept)

    # A next life

    def restore(self, key: str, packed: bytes | None) -> None:
        """Remembers what a former life kept, in the order it did. Raises ValueError for what is no packed batch."""
        is_calls = key.startswith(_CALLS)
        side = self._calls if is_calls else self._feedback
        if packed is None:
            side.drop(key)
            return
        try:
            head, lines = _unpacked(packed)
            keys = [_call_key.decode(line).call if is_calls else _feedback_key.decode(line) for line in lines]
        except (msgspec.MsgspecError, zstandard.ZstdError, UnicodeDecodeError) as error:
            raise ValueError(f"what was kept as {key} cannot be read: {error}") from error
        names = array("q", [_name(each.organization, each.request_id) for each in keys])
        side.add(_Held(key, head.at, packed, names, dict(head.met)))

    def restored(self) -> None:
        """All of it is there. What lowered limits do not allow any more is forgotten when the next batch comes."""
        self._calls.sort()
        self._feedback.sort()

    # Parts of a turn

    def _newest(self, name: int, feedback: FeedbackGiven) -> CallPriced | None:
        calls = [_call.decode(_line(held.packed, line)) for held, line in self._calls.places(name)]
        return max((call for call in calls if _belong(feedback, call)), key=_version, default=None)

    def _forget_feedback(self, batches: Sequence[_Held]) -> Turn:
        for held in batches:
            self._feedback.drop(held.key)
        return Turn(tuple(scored for held in batches for scored in _unmet(held)), {held.key: None for held in batches})


def scored_messages(out: Sequence[CallScored], partition: int, source: BatchId, limit: int) -> list[Message]:
    """What leaves, in as few messages as may be of at most `limit` bytes each. Their ids are `source`'s epoch, numbered from 1.

    A judgement and a call that are above it together leave as if they had never met, and a judgement that is above it alone leaves without
    what it says: nobody can take more, and a message that cannot be sent would hold up its partition.
    """
    messages: list[Message] = []
    lines: list[bytes] = []
    taken = 0

    def close() -> None:
        if lines:
            messages.append(message_of_lines(SCORED_CALLS.name, partition, BatchId(source.epoch, len(messages) + 1), lines))

    for scored in out:
        line = _line_of(scored, limit)
        if taken + len(line) + 1 > limit:
            close()
            lines, taken = [], 0
        lines.append(line)
        taken += len(line) + 1
    close()
    return messages


def _line_of(scored: CallScored, limit: int) -> bytes:
    line = encode_event(scored)
    if len(line) >= limit:
        line = encode_event(CallScored(feedback=scored.feedback))
    if len(line) >= limit:
        line = encode_event(CallScored(feedback=replace(scored.feedback, scores={}, properties={})))
    return line


def _unmet(held: _Held) -> list[CallScored]:
    if len(held.met) == len(held.names):
        return []
    _, lines = _unpacked(held.packed)
    return [CallScored(feedback=_feedback.decode(line)) for number, line in enumerate(lines) if number not in held.met]


def _belong(feedback: FeedbackGiven, call: CallPriced) -> bool:
    """Names are hashes, and two may be equal by chance."""
    return feedback.request_id == call.call.request_id and feedback.organization == call.call.organization


def _version(call: CallPriced) -> Version:
    return Version(call.call.created_at, call.call.call_id)


def _is_newer(call: CallPriced, met: Version | None) -> bool:
    return met is None or _version(call) > met


def _name(organization: str, request_id: str) -> int:
    return hash((organization, request_id))


# Packed batches


def _packed(head: _Head, events: Sequence[CallPriced] | Sequence[FeedbackGiven]) -> bytes:
    return _compressed([_encode(head), *map(encode_event, events)])


def _unpacked(packed: bytes) -> tuple[_Head, list[bytes]]:
    head, *lines = _decompressor.decompress(packed).split(b"\n")
    return _head.decode(head), lines


def _line(packed: bytes, number: int) -> bytes:
    return _decompressor.decompress(packed).split(b"\n")[number + 1]


def _with_met(held: _Held) -> bytes:
    _, lines = _unpacked(held.packed)
    return _compressed([_encode(_Head(held.at, held.met)), *lines])


def _compressed(lines: Sequence[bytes]) -> bytes:
    """A copy, of its own size: what the compressor answers keeps the room that it had asked for, ten times as much."""
    return bytes(memoryview(_compressor.compress(b"\n".join(lines))))
