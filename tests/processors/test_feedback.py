"""The feedback join, pure: whatever the order, the repeats and the crashes, the same judgements leave with the same calls."""

import random
import tracemalloc
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

import processors.feedback
import processors.held
from eventlog.codec import Batch, BatchId, decode, encode_event
from eventlog.events import CallId, CallPriced, CallScored, FeedbackGiven, Organization, RequestId
from eventlog.topics import SCORED_CALLS
from processors.feedback import Held, JoinLimits, Turn, scored_messages
from tests.fakes.facts import priced

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
PATIENCE = timedelta(minutes=60)
LIMITS = JoinLimits(patience=PATIENCE)
EPOCH = "0f" * 16

Pair = tuple[str, str | None]


def at(minute: float) -> datetime:
    return NOON + timedelta(minutes=minute)


def call(request: str, *, call_id: str | None = None, age: float = 0, organization: str = "default") -> CallPriced:
    """A call that began `age` minutes before noon."""
    return priced(
        1,
        call_id=CallId(call_id or f"call-of-{request}"),
        request_id=RequestId(request),
        organization=Organization(organization),
        created_at=at(-age),
    )


def said(request: str, *, feedback_id: str | None = None, organization: str = "default", **more: object) -> FeedbackGiven:
    facts: dict[str, object] = {"rating": True, "given_at": NOON}
    return FeedbackGiven(
        feedback_id=feedback_id or f"on-{request}",
        request_id=RequestId(request),
        organization=Organization(organization),
        **(facts | more),  # type: ignore[arg-type]
    )


def calls(sequence: int, *events: CallPriced) -> Batch[CallPriced]:
    return Batch(id=BatchId(EPOCH, sequence), partition=0, events=events)


def judgements(sequence: int, *events: FeedbackGiven) -> Batch[FeedbackGiven]:
    return Batch(id=BatchId(EPOCH, sequence), partition=0, events=events)


def pairs(out: Sequence[CallScored]) -> list[Pair]:
    return [(each.feedback.feedback_id, None if each.call is None else each.call.call.call_id) for each in out]


MET = [("on-r", "call-of-r")]


def test_feedback_after_its_call() -> None:
    held = Held(LIMITS)
    assert held.meet_calls(calls(1, call("q"), call("r")), at(0)).out == ()
    turn = held.meet_feedback(judgements(1, said("r")), at(1))
    assert pairs(turn.out) == MET
    assert turn.out[0] == CallScored(feedback=said("r"), call=call("r"))
    assert held.expire(at(1000)).out == ()


def test_feedback_before_its_call() -> None:
    held = Held(LIMITS)
    assert held.meet_feedback(judgements(1, said("r"), said("q")), at(0)).out == ()
    assert pairs(held.meet_calls(calls(1, call("r")), at(1)).out) == MET
    assert pairs(held.expire(at(1000)).out) == [("on-q", None)]


def test_several_judgements_of_one_call_each_leave() -> None:
    held = Held(LIMITS)
    held.meet_feedback(judgements(1, said("r", feedback_id="a")), at(0))
    assert pairs(held.meet_calls(calls(1, call("r")), at(1)).out) == [("a", "call-of-r")]
    later = judgements(2, said("r", feedback_id="b"), said("r", feedback_id="c"))
    assert pairs(held.meet_feedback(later, at(2)).out) == [("b", "call-of-r"), ("c", "call-of-r")]


def test_tenants_never_meet() -> None:
    held = Held(LIMITS)
    held.meet_calls(calls(1, call("r", organization="theirs")), at(0))
    assert held.meet_feedback(judgements(1, said("r", organization="ours")), at(1)).out == ()


RETRIES = {
    "in one batch": [[("old", 2), ("new", 1)]],
    "in one batch, the newer first": [[("new", 1), ("old", 2)]],
    "in two batches": [[("old", 2)], [("new", 1)]],
    "in two batches, the newer first": [[("new", 1)], [("old", 2)]],
    "begun at the same moment": [[("a", 1), ("new", 1)]],
}


@pytest.mark.parametrize("batches", RETRIES.values(), ids=RETRIES)
def test_of_a_call_and_its_retry_the_newest_is_joined(batches: list[list[tuple[str, float]]]) -> None:
    held = Held(LIMITS)
    for sequence, batch in enumerate(batches, 1):
        held.meet_calls(calls(sequence, *[call("r", call_id=name, age=age) for name, age in batch]), at(0))
    assert pairs(held.meet_feedback(judgements(1, said("r")), at(1)).out) == [("on-r", "new")]


def test_a_retry_that_comes_after_the_judgement_makes_another_pair_and_an_older_call_does_not() -> None:
    held = Held(LIMITS)
    held.meet_feedback(judgements(1, said("r")), at(0))
    assert pairs(held.meet_calls(calls(1, call("r", call_id="second", age=2)), at(1)).out) == [("on-r", "second")]
    assert pairs(held.meet_calls(calls(2, call("r", call_id="first", age=3)), at(1)).out) == []
    assert pairs(held.meet_calls(calls(3, call("r", call_id="third", age=1)), at(1)).out) == [("on-r", "third")]


def test_of_retries_in_one_batch_only_the_newest_leaves() -> None:
    held = Held(LIMITS)
    held.meet_feedback(judgements(1, said("r")), at(0))
    retried = calls(1, call("r", call_id="old", age=2), call("r", call_id="new", age=1))
    assert pairs(held.meet_calls(retried, at(1)).out) == [("on-r", "new")]


def test_a_redelivery_changes_nothing() -> None:
    held = Held(LIMITS)
    held.meet_calls(calls(1, call("r")), at(0))
    held.meet_feedback(judgements(1, said("r"), said("q")), at(1))
    assert held.meet_calls(calls(1, call("r")), at(9)) == Turn()
    assert held.meet_feedback(judgements(1, said("r"), said("q")), at(9)) == Turn()
    assert (held.calls, held.feedback) == (1, 2)


def test_an_empty_batch_is_not_held() -> None:
    held = Held(LIMITS)
    assert held.meet_calls(calls(1), at(0)) == held.meet_feedback(judgements(1), at(0)) == Turn()


def test_nothing_expires_before_its_patience_is_over() -> None:
    held = Held(LIMITS)
    held.meet_feedback(judgements(1, said("early")), at(0))
    held.meet_calls(calls(1, call("r")), at(0))
    assert held.expire(at(59)) == Turn()
    gone = held.expire(at(60))
    assert pairs(gone.out) == [("on-early", None)]
    assert gone.kept == {f"feedback/{EPOCH}/1": None, f"calls/{EPOCH}/1": None}
    assert (held.calls, held.feedback) == (0, 0)
    assert held.expire(at(1000)) == Turn()


def test_one_write_for_a_batch() -> None:
    held = Held(LIMITS)
    assert list(held.meet_calls(calls(1, *[call(f"r{n}") for n in range(50)]), at(0)).kept) == [f"calls/{EPOCH}/1"]
    assert list(held.meet_feedback(judgements(1, said("r1"), said("r2")), at(1)).kept) == [f"feedback/{EPOCH}/1"]
    both = held.meet_calls(calls(2, call("r1", call_id="z"), call("r2", call_id="z")), at(2))
    assert sorted(both.kept) == [f"calls/{EPOCH}/2", f"feedback/{EPOCH}/1"]


def test_the_oldest_calls_are_pushed_out() -> None:
    held = Held(JoinLimits(patience=PATIENCE, calls=3))
    held.meet_calls(calls(1, call("a"), call("b")), at(0))
    turn = held.meet_calls(calls(2, call("c"), call("d")), at(1))
    assert turn.kept[f"calls/{EPOCH}/1"] is None
    assert (held.calls, pairs(held.meet_feedback(judgements(1, said("a"), said("d")), at(2)).out)) == (2, [("on-d", "call-of-d")])


def test_judgements_that_are_pushed_out_leave_at_once() -> None:
    held = Held(JoinLimits(patience=PATIENCE, feedback=1))
    held.meet_feedback(judgements(1, said("a")), at(0))
    turn = held.meet_feedback(judgements(2, said("b")), at(1))
    assert pairs(turn.out) == [("on-a", None)]
    assert turn.kept[f"feedback/{EPOCH}/1"] is None


def test_a_batch_above_the_limit_is_not_held_at_all() -> None:
    held = Held(JoinLimits(patience=PATIENCE, calls=1))
    assert held.meet_calls(calls(1, call("a"), call("b")), at(0)).kept == {f"calls/{EPOCH}/1": None}
    assert held.calls == 0


def test_calls_of_many_bytes_push_out_the_oldest() -> None:
    """Properties of 48 KB, which do not pack: what is held is bounded in bytes, not in calls alone."""
    held, limit, spoken = Held(JoinLimits(patience=PATIENCE, bytes=1 << 20)), 1 << 20, random.Random(1)
    for number in range(1, 101):
        turn = held.meet_calls(calls(number, priced(number, properties={"x": spoken.randbytes(24_000).hex()})), at(0))
        assert held.size <= limit // 2
    assert 15 < held.calls < 25
    assert [key for key, packed in turn.kept.items() if packed is None] == [f"calls/{EPOCH}/{100 - held.calls}"]
    judged = held.meet_feedback(judgements(1, said("call-000100"), said("call-000001")), at(1))
    assert pairs(judged.out) == [("on-call-000100", "call-000100")]


def test_judgements_of_many_bytes_push_out_the_oldest_which_leave_at_once() -> None:
    held, spoken = Held(JoinLimits(patience=PATIENCE, bytes=1 << 20)), random.Random(1)
    left: list[Pair] = []
    for number in range(1, 41):
        left += pairs(
            held.meet_feedback(judgements(number, said(f"r{number}", properties={"x": spoken.randbytes(24_000).hex()})), at(0)).out
        )
    assert held.size <= 1 << 19
    assert left == [(f"on-r{number}", None) for number in range(1, 41 - held.feedback)]


def test_what_is_pushed_out_by_bytes_does_not_depend_on_what_was_met() -> None:
    """Read back from a log, the two sides may come in another order: nothing else may be pushed out then, for it would leave unheard."""
    first, second = Held(LIMITS), Held(LIMITS)
    for held, steps in ((first, "cj"), (second, "jc")):
        for step in steps:
            if step == "c":
                held.meet_calls(calls(1, call("r")), at(0))
            else:
                held.meet_feedback(judgements(1, said("r")), at(0))
    assert first.size == second.size


def test_one_request_id_for_all_calls_costs_a_judgement_one_unpacking(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client may send a constant request id: the newest of all its calls is found without looking into the others."""
    held, count = Held(LIMITS), 40
    for number in range(1, count + 1):
        held.meet_calls(calls(number, *[call("same", call_id=f"{number}-{more}", age=-number - more / 60) for more in range(50)]), at(0))
    unpackings = counted(monkeypatch)
    turn = held.meet_feedback(judgements(1, *[said("same", feedback_id=f"f{number}") for number in range(20)]), at(1))
    assert pairs(turn.out) == [(f"f{number}", "40-49") for number in range(20)]
    assert len(unpackings) == 1


def test_calls_of_one_request_unpack_each_waiting_batch_once(monkeypatch: pytest.MonkeyPatch) -> None:
    held = Held(LIMITS)
    for number in range(1, 11):
        held.meet_feedback(judgements(number, said("same", feedback_id=f"f{number}"), said("same", feedback_id=f"g{number}")), at(0))
    unpackings = counted(monkeypatch)
    turn = held.meet_calls(calls(1, *[call("same", call_id=f"{more:02}", age=-more) for more in range(50)]), at(1))
    assert sorted(pairs(turn.out)) == sorted((f"{side}{number}", "49") for side in "fg" for number in range(1, 11))
    assert len(unpackings) == 10


def counted(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The batches that are unpacked from now on."""
    seen: list[bytes] = []

    def unpacked(batch: bytes) -> object:
        seen.append(batch)
        return processors.held.unpacked(batch)

    monkeypatch.setattr(processors.feedback, "unpacked", unpacked)
    return seen


def test_of_one_request_the_oldest_judgements_are_pushed_out_and_meet_nothing_more() -> None:
    held = Held(JoinLimits(patience=PATIENCE, of_one_request=2))
    first = held.meet_feedback(judgements(1, said("r", feedback_id="a"), said("q")), at(0))
    assert first.out == ()
    held.meet_feedback(judgements(2, said("r", feedback_id="b")), at(1))
    third = held.meet_feedback(judgements(3, said("r", feedback_id="c"), said("r", feedback_id="d")), at(2))
    assert pairs(third.out) == [("a", None), ("b", None)]
    assert third.kept[f"feedback/{EPOCH}/2"] is None  # nothing of it waits any more
    again = Held(JoinLimits(patience=PATIENCE, of_one_request=2))
    for key, batch in (first.kept | third.kept).items():
        again.restore(key, batch)
    again.restored()
    for each in (held, again):
        assert pairs(each.meet_calls(calls(1, call("r"), call("q")), at(3)).out) == [
            ("on-q", "call-of-q"),
            ("c", "call-of-r"),
            ("d", "call-of-r"),
        ]
        assert each.expire(at(1000)).out == ()


def test_a_judgement_that_has_met_its_call_is_pushed_out_silently() -> None:
    held = Held(JoinLimits(patience=PATIENCE, of_one_request=1))
    held.meet_calls(calls(1, call("r")), at(0))
    assert pairs(held.meet_feedback(judgements(1, said("r", feedback_id="a")), at(1)).out) == [("a", "call-of-r")]
    assert pairs(held.meet_feedback(judgements(2, said("r", feedback_id="b")), at(1)).out) == [("b", "call-of-r")]
    assert pairs(held.meet_calls(calls(2, call("r", call_id="newer", age=-1)), at(2)).out) == [("b", "newer")]


def test_a_held_call_takes_little() -> None:
    held = Held(LIMITS)
    packed = held.meet_calls(calls(1, *[priced(number) for number in range(50)]), at(0)).kept[f"calls/{EPOCH}/1"]
    assert packed is not None
    assert len(packed) < 50 * 60


def test_a_held_call_takes_little_memory_too() -> None:
    """A compressor may answer bytes that keep the room of what they came from."""
    held, batches = Held(LIMITS), 100
    made = [calls(number, *[priced(number * 50 + more) for more in range(50)]) for number in range(1, batches + 1)]
    tracemalloc.start()
    try:
        for batch in made:
            held.meet_calls(batch, at(0))
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken < batches * 50 * 250


@pytest.mark.parametrize("packed", [b"", b"nonsense", b"\x28\xb5\x2f\xfd\x00\x00"])
def test_what_cannot_be_read_again_is_told(packed: bytes) -> None:
    with pytest.raises(ValueError, match="calls/x/1"):
        Held(LIMITS).restore("calls/x/1", packed)


def test_messages_of_what_leaves() -> None:
    out = [CallScored(feedback=said(f"r{n}"), call=call(f"r{n}")) for n in range(10)]
    limit = 3 * len(encode_event(out[0])) + 10
    messages = scored_messages(out, 4, BatchId("e", 1), limit)
    assert [(message.topic, message.partition, str(message.batch_id), message.count) for message in messages] == [
        (SCORED_CALLS.name, 4, f"e/{n}", count) for n, count in enumerate([3, 3, 3, 1], 1)
    ]
    assert all(len(message.value) <= limit for message in messages)
    assert [event for message in messages for event in decode(CallScored, message)[0].events] == out
    assert scored_messages([], 4, BatchId("e", 1), limit) == []


def test_a_pair_that_no_topic_takes_leaves_as_far_as_it_fits() -> None:
    both = CallScored(feedback=said("r", properties={"a": "x" * 500}), call=call("r"))
    (message,) = scored_messages([both], 0, BatchId("e", 1), 900)
    assert decode(CallScored, message)[0].events == (CallScored(feedback=both.feedback),)
    (message,) = scored_messages([both], 0, BatchId("e", 1), 400)
    assert decode(CallScored, message)[0].events == (CallScored(feedback=said("r")),)


# Any order, any repeat, a crash anywhere


class Happening(Struct, frozen=True):
    """A batch on one of the two topics."""

    topic: str
    minute: int
    requests: tuple[str, ...]


class Life:
    """Two topics, a changelog, and a join that is killed at times. A turn becomes durable part by part: out, kept, position."""

    def __init__(self, happenings: Sequence[Happening], versions: bool = False) -> None:
        self.logs = {topic: [each for each in happenings if each.topic == topic] for topic in ("calls", "feedback")}
        self.versions = versions
        self.committed = {"calls": 0, "feedback": 0}
        self.changelog: list[tuple[str, bytes | None]] = []
        self.out: list[Pair] = []
        self.held = Held(LIMITS)

    def take(self, topic: str, survives: int | None = None) -> None:
        """The next message; `survives` durable writes happen before the crash, or all of them and none."""
        offset = self.committed[topic]
        if offset >= len(self.logs[topic]):
            return
        happening = self.logs[topic][offset]
        if topic == "calls":
            events = [
                call(name, call_id=f"{name}/{offset}" if self.versions else None, age=-offset if self.versions else 0)
                for name in happening.requests
            ]
            turn = self.held.meet_calls(calls(offset + 1, *events), at(happening.minute))
        else:
            said_now = [said(name, feedback_id=f"{name}/{offset}/{n}") for n, name in enumerate(happening.requests)]
            turn = self.held.meet_feedback(judgements(offset + 1, *said_now), at(happening.minute))
        if self.carry_out(turn, survives):
            self.committed[topic] = offset + 1

    def carry_out(self, turn: Turn, survives: int | None) -> bool:
        writes = [lambda pair=pair: self.out.append(pair) for pair in pairs(turn.out)]
        writes += [lambda item=item: self.changelog.append(item) for item in turn.kept.items()]
        for number, write in enumerate(writes):
            if number == survives:
                break
            write()
        if survives is not None:
            self.crash()
        return survives is None

    def crash(self) -> None:
        self.held = Held(LIMITS)
        for key, packed in self.changelog:
            self.held.restore(key, packed)
        self.held.restored()

    def compact(self) -> None:
        newest = {key: number for number, (key, _) in enumerate(self.changelog)}
        self.changelog = [item for number, item in enumerate(self.changelog) if newest[item[0]] == number]

    def expire(self, survives: int | None = None) -> None:
        """As far as everything before it was taken."""
        ahead = [self.logs[topic][offset].minute for topic, offset in self.committed.items() if offset < len(self.logs[topic])]
        self.carry_out(self.held.expire(at(min(ahead, default=10_000))), survives)

    def finish(self) -> set[Pair]:
        for topic in self.logs:
            while self.committed[topic] < len(self.logs[topic]):
                self.take(topic)
        self.expire()
        return set(self.out)


def test_a_crash_between_two_writes_never_forgets_what_was_met() -> None:
    for survives in range(4):
        life = Life([Happening("feedback", 0, ("r",)), Happening("calls", 1, ("r",))])
        life.take("feedback")
        life.take("calls", survives=survives)
        assert life.finish() == {("r/0/0", "call-of-r")}


REQUESTS = ["a", "b", "c", "d", "e"]
ACTIONS = st.one_of(
    st.tuples(st.just("take"), st.sampled_from(["calls", "feedback"]), st.none() | st.integers(0, 4)),
    st.tuples(st.just("expire"), st.none() | st.integers(0, 4)),
    st.tuples(st.just("crash")),
    st.tuples(st.just("compact")),
)


def live(life: Life, actions: Sequence[tuple[str, ...]]) -> set[Pair]:
    for name, *arguments in actions:
        getattr(life, name)(*arguments)
    return life.finish()


def feedback_ids(happenings: Sequence[Happening]) -> list[tuple[str, str, int]]:
    """Feedback id, request, minute."""
    given_ones = [each for each in happenings if each.topic == "feedback"]
    return [(f"{name}/{offset}/{n}", name, each.minute) for offset, each in enumerate(given_ones) for n, name in enumerate(each.requests)]


@st.composite
def worlds(draw: st.DrawFn, span: int) -> list[Happening]:
    """Each request has one call or none, and any number of judgements; each topic in the order of its minutes."""
    called = draw(st.lists(st.sampled_from(REQUESTS), unique=True))
    split = draw(st.integers(0, len(called)))
    found = [Happening("calls", draw(st.integers(0, span)), tuple(part)) for part in (called[:split], called[split:])]
    judged = draw(st.lists(st.lists(st.sampled_from(REQUESTS), max_size=3), max_size=4))
    found += [Happening("feedback", draw(st.integers(0, span)), tuple(part)) for part in judged]
    return sorted(found, key=lambda each: each.minute)


@given(worlds(span=59), st.lists(ACTIONS, max_size=25))
def test_no_order_repeat_or_crash_changes_the_pairs(happenings: list[Happening], actions: list[tuple[str, ...]]) -> None:
    called = {name for each in happenings if each.topic == "calls" for name in each.requests}
    expected = {(feedback, f"call-of-{name}" if name in called else None) for feedback, name, _ in feedback_ids(happenings)}
    assert live(Life(happenings), actions) == expected


@given(worlds(span=300), st.lists(ACTIONS, max_size=25))
def test_within_the_patience_pairs_are_certain_and_outside_nothing_is_lost(
    happenings: list[Happening], actions: list[tuple[str, ...]]
) -> None:
    called = {name: each.minute for each in happenings if each.topic == "calls" for name in each.requests}
    out = live(Life(happenings), actions)
    for feedback, name, minute in feedback_ids(happenings):
        left = {call_id for each, call_id in out if each == feedback}
        together = (feedback, f"call-of-{name}")
        if name not in called:
            assert left == {None}
        elif abs(called[name] - minute) < PATIENCE / timedelta(minutes=1):
            assert left == {together[1]}
        else:
            assert left
            assert left <= {together[1], None}


@given(st.lists(st.sampled_from(REQUESTS), max_size=8), st.lists(st.sampled_from(REQUESTS), max_size=4), st.lists(ACTIONS, max_size=25))
def test_with_retries_the_newest_call_always_leaves(retried: list[str], judged: list[str], actions: list[tuple[str, ...]]) -> None:
    happenings = [Happening("calls", 1, (name,)) for name in retried] + [Happening("feedback", 1, (name,)) for name in judged]
    out = live(Life(happenings, versions=True), actions)
    for feedback, name, _ in feedback_ids(happenings):
        own = {f"{name}/{offset}" for offset, each in enumerate(retried) if each == name}
        left = {call_id for each, call_id in out if each == feedback}
        newest = max(own, key=lambda call_id: int(call_id.split("/")[1]), default=None)
        assert newest in left
        assert left <= (own or {None})


def test_a_crash_after_what_left_and_before_it_was_kept_repeats_it() -> None:
    life = Life([Happening("calls", 0, ("r",)), Happening("feedback", 1, ("r",))])
    life.take("calls")
    life.take("feedback", survives=1)
    life.take("feedback")
    assert life.out == [("r/0/0", "call-of-r")] * 2


def test_a_crash_after_it_was_kept_repeats_nothing() -> None:
    life = Life([Happening("calls", 0, ("r",)), Happening("feedback", 1, ("r",))])
    life.take("calls")
    life.take("feedback", survives=2)
    life.take("feedback")
    assert life.out == [("r/0/0", "call-of-r")]
