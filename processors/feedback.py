"""The feedback join: a judgement meets the facts of its call, whichever comes first. Pure: no clock, no log, no framework.

State is held for one partition, batch by batch and packed; an index by organization and request id says which batch to look into. Each
turn says what leaves (`out`) and what is to be remembered for a next life (`kept`: the new value of a batch's key, or None to forget it).
Whoever carries a turn out makes `out` durable, then `kept`, and only then acknowledges what it came from. A crash in between repeats:

- before `kept` is durable, the batch comes again and the same pairs leave once more;
- after it, the batch is held and known, and nothing more leaves.

So each judgement leaves with its call at least once, and the pairs do not depend on order, repeats or crashes, as long as both sides come
within the patience of each other. A judgement whose patience ends leaves once without a call. Of several calls with one request id (an
SDK that retries) the newest is the judgement's: one that comes later and is newer makes another pair, an older one does not.

State is kept until the patience ends, not until the match: more judgements may come, and a newer call. Both sides are bounded by count and
by bytes too, and so are the judgements of one request; what is pushed out by others leaves as if its patience had ended.
"""

from array import array
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from eventlog.codec import Batch, BatchId, Message, encode_event, message_of_lines
from eventlog.events import CallFacts, CallPriced, CallScored, FeedbackGiven
from eventlog.topics import SCORED_CALLS
from processors.held import Head, HeldBatch, Side, Version, gathered, name_of, packed, packed_lines, unpacked


class JoinLimits(Struct, frozen=True, kw_only=True):
    """How much is held, of each partition."""

    patience: timedelta = timedelta(hours=24)
    """How far a judgement and its call may come apart."""
    calls: int = 20_000
    """About 200 bytes each, while their properties are few."""
    feedback: int = 20_000
    """About 300 bytes each, more when they come one by one."""
    bytes: int = 16 << 20
    """What they take together, packed: half for the calls, half for the judgements."""
    of_one_request: int = 100
    """Judgements of one request."""


class Turn(Struct, frozen=True):
    """What one batch, or the passing of time, leads to."""

    out: tuple[CallScored, ...] = ()
    kept: dict[str, bytes | None] = {}


class _CallName(Struct):
    """As little of a call as finding it takes."""

    created_at: datetime
    request_id: str = ""
    organization: str = "default"


class _CallKey(Struct):
    call: _CallName


class _FeedbackKey(Struct):
    request_id: str = ""
    organization: str = "default"


GONE = Version(datetime.max.replace(tzinfo=UTC), "")
"""What a judgement that was pushed out has met: no call is newer, and it does not leave again."""

_CALLS = "calls/"
_FEEDBACK = "feedback/"

_call_key = msgspec.json.Decoder(_CallKey)
_feedback_key = msgspec.json.Decoder(_FeedbackKey)
_call = msgspec.json.Decoder(CallPriced)
_feedback = msgspec.json.Decoder(FeedbackGiven)


class Held:
    """What one partition holds. It changes with every turn, in place: hundreds of thousands of calls are not copied for one more.

    A turn looks at each held event once at most, and unpacks each held batch once at most, whatever the batch that came is about.
    """

    def __init__(self, limits: JoinLimits) -> None:
        self._patience, self._of_one_request = limits.patience, limits.of_one_request
        self._calls = Side(limits.calls, limits.bytes // 2)
        self._feedback = Side(limits.feedback, limits.bytes // 2)

    @property
    def calls(self) -> int:
        return self._calls.events

    @property
    def feedback(self) -> int:
        return self._feedback.events

    @property
    def size(self) -> int:
        """Bytes that they take, packed."""
        return self._calls.bytes + self._feedback.bytes

    def meet_calls(self, batch: Batch[CallPriced], at: datetime) -> Turn:
        """Calls came. `at` is when their message was appended to its topic."""
        key = f"{_CALLS}{batch.id}"
        if not batch.events or key in self._calls.batches:
            return Turn()
        held = _held_calls(key, at, packed(Head(at), batch.events), [event.call for event in batch.events])
        self._calls.add(held)
        met = self._meet_waiting(set(held.names), batch.events)
        kept = met.kept | {key: held.packed}  # in this order: once it is durable that they came, so is what they met
        for surplus in self._calls.surplus():
            self._calls.drop(surplus.key)
            kept[surplus.key] = None
        return Turn(met.out, kept)

    def meet_feedback(self, batch: Batch[FeedbackGiven], at: datetime) -> Turn:
        """Judgements came. `at` is when their message was appended to its topic."""
        key = f"{_FEEDBACK}{batch.id}"
        if not batch.events or key in self._feedback.batches:
            return Turn()
        held = _held_feedback(key, at, packed(Head(at), batch.events), batch.events)
        newest = self._newest(set(held.names))
        out: list[CallScored] = []
        for line, feedback in enumerate(batch.events):
            call = newest.get((feedback.organization, feedback.request_id))
            if call is not None:
                held.met[line] = _version(call)
                out.append(CallScored(feedback=feedback, call=call))
        if held.met:
            held.packed = packed(Head(at, held.met), batch.events)
        self._feedback.add(held)
        crowded = self._push_out(set(held.names))
        gone = self._forget_feedback(self._feedback.surplus())
        kept = crowded.kept | gone.kept
        kept[key] = kept.pop(key, held.packed)  # last, as above
        return Turn((*out, *crowded.out, *gone.out), kept)

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

    def restore(self, key: str, batch: bytes | None) -> None:
        """Remembers what a former life kept, in the order it did. Raises ValueError for what is no packed batch."""
        side = self._calls if key.startswith(_CALLS) else self._feedback
        if batch is None:
            side.drop(key)
            return
        try:
            head, lines = unpacked(batch)
            if side is self._calls:
                held = _held_calls(key, head.at, batch, [_call_key.decode(line).call for line in lines])
            else:
                held = _held_feedback(key, head.at, batch, [_feedback_key.decode(line) for line in lines])
        except ValueError as error:
            raise ValueError(f"what was kept as {key} cannot be read: {error}") from error
        held.met |= head.met
        side.add(held)

    def restored(self) -> None:
        """All of it is there. What lowered limits do not allow any more is forgotten when the next batch comes."""
        self._calls.sort()
        self._feedback.sort()

    # Parts of a turn

    def _meet_waiting(self, names: set[int], calls: Sequence[CallPriced]) -> Turn:
        """The judgements that have waited for these calls. Of two calls of one request the newer counts."""
        waiting = self._feedback.places(names)
        newest = _newest_of(calls) if waiting else {}
        out: list[CallScored] = []
        kept: dict[str, bytes | None] = {}
        for held, lines in waiting:
            head, events = unpacked(held.packed)
            for line in lines:
                feedback = _feedback.decode(events[line])
                call = newest.get((feedback.organization, feedback.request_id))
                if call is not None and _is_newer(call, held.met.get(line)):
                    held.met[line] = _version(call)
                    out.append(CallScored(feedback=feedback, call=call))
            if held.met != head.met:
                held.packed = kept[held.key] = packed_lines(Head(held.at, held.met), events)
        return Turn(tuple(out), kept)

    def _newest(self, names: set[int]) -> dict[tuple[str, str], CallPriced]:
        """The newest call of each request. Of two whose names are equal by chance, one in 2^64, one may be missed: none is mistaken."""
        found: dict[int, tuple[float, list[tuple[HeldBatch, int]]]] = {}
        for held, lines in self._calls.places(names):
            for line in lines:
                name, born = held.names[line], held.born[line]
                best = found.get(name)
                if best is None or born > best[0]:
                    found[name] = born, [(held, line)]
                elif born == best[0]:
                    best[1].append((held, line))
        calls: list[CallPriced] = []
        for held, lines in gathered(place for _, places in found.values() for place in places):
            _, events = unpacked(held.packed)
            calls += [_call.decode(events[line]) for line in lines]
        return _newest_of(calls)

    def _push_out(self, names: set[int]) -> Turn:
        """Each judgement of a request leaves again with each newer call of it: so many wait, and the oldest of more leave as they are."""
        waiting: dict[int, list[tuple[HeldBatch, int]]] = {}
        for held, lines in self._feedback.places(names):
            for line in lines:
                if held.met.get(line) != GONE:
                    waiting.setdefault(held.names[line], []).append((held, line))
        out: list[CallScored] = []
        kept: dict[str, bytes | None] = {}
        for held, lines in gathered(place for places in waiting.values() for place in places[: -self._of_one_request]):
            _, events = unpacked(held.packed)
            out += [CallScored(feedback=_feedback.decode(events[line])) for line in lines if line not in held.met]
            held.met |= dict.fromkeys(lines, GONE)
            held.packed = kept[held.key] = packed_lines(Head(held.at, held.met), events)
            if all(held.met.get(line) == GONE for line in range(len(held.names))):
                self._feedback.drop(held.key)
                kept[held.key] = None
        return Turn(tuple(out), kept)

    def _forget_feedback(self, batches: Sequence[HeldBatch]) -> Turn:
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
        line = encode_event(CallScored(feedback=replace(scored.feedback, comment=None, scores={}, scores_retracted=[], properties={})))
    return line


def _held_calls(key: str, at: datetime, batch: bytes, calls: Sequence[CallFacts] | Sequence[_CallName]) -> HeldBatch:
    names = array("q", [name_of(each.organization, each.request_id) for each in calls])
    return HeldBatch(key, at, batch, names, array("d", [each.created_at.timestamp() for each in calls]), {}, len(batch))


def _held_feedback(key: str, at: datetime, batch: bytes, judgements: Sequence[FeedbackGiven] | Sequence[_FeedbackKey]) -> HeldBatch:
    names = array("q", [name_of(each.organization, each.request_id) for each in judgements])
    return HeldBatch(key, at, batch, names, array("d"), {}, len(batch))


def _unmet(held: HeldBatch) -> list[CallScored]:
    if len(held.met) == len(held.names):
        return []
    _, lines = unpacked(held.packed)
    return [CallScored(feedback=_feedback.decode(line)) for number, line in enumerate(lines) if number not in held.met]


def _newest_of(calls: Sequence[CallPriced]) -> dict[tuple[str, str], CallPriced]:
    """By organization and request id."""
    return {(call.call.organization, call.call.request_id): call for call in sorted(calls, key=_version)}


def _version(call: CallPriced) -> Version:
    return Version(call.call.created_at, call.call.call_id)


def _is_newer(call: CallPriced, met: Version | None) -> bool:
    return met is None or _version(call) > met
