"""The join over partitions: what leaves it, and of what nobody hears twice."""

from msgspec.structs import replace

from eventlog.codec import BatchId, Message, Record, decode, encode_event, message_of
from eventlog.events import CallScored, FeedbackGiven, Organization, RequestId
from eventlog.replay import Replays
from eventlog.topics import CALLS, FEEDBACK
from processors.feedback import JoinLimits
from processors.joins import Joins
from tests.fakes.facts import BEGAN, calls_message, priced

IDENTITIES = {CALLS.name: "log/calls", FEEDBACK.name: "log/feedback"}


def joins() -> Joins:
    return Joins(JoinLimits(), IDENTITIES, 1 << 20)


def record(message: Message, offset: int) -> Record:
    return Record(message=message, offset=offset, appended_at=BEGAN.timestamp())


def judgement(number: int) -> FeedbackGiven:
    return FeedbackGiven(
        feedback_id=f"f-{number}",
        request_id=RequestId(f"call-{number:06d}"),
        organization=Organization("default"),
        given_at=BEGAN,
        rating=True,
    )


def joined(*messages: Message) -> list[Message]:
    made = joins()
    return [each for offset, message in enumerate(messages) for each in made.take(record(message, offset)).messages]


def told(made: Joins, *messages: Message) -> int:
    """How many judged calls leave."""
    turns = [made.take(record(message, offset)) for offset, message in enumerate(messages)]
    return sum(message.count for turn in turns for message in turn.messages)


def test_a_call_and_its_judgement_leave_together_whichever_comes_first() -> None:
    call, given = calls_message("a", 1, [1]), message_of(FEEDBACK, 0, BatchId("f", 1), [judgement(1)])
    assert told(joins(), call, given) == 1
    assert told(joins(), given, call) == 1


def test_a_judgement_of_a_session_waits_for_no_call() -> None:
    of_session = replace(judgement(1), request_id=RequestId(""), session_id="s")
    made, given = joins(), message_of(FEEDBACK, 0, BatchId("f", 1), [of_session, judgement(1), of_session])
    assert told(made, given, calls_message("a", 1, [1])) == 1
    assert made.feedback == 1
    only = joins()
    assert told(only, message_of(FEEDBACK, 0, BatchId("f", 1), [of_session])) == 0
    assert only.feedback == 0


def test_what_takes_a_judgement_back_meets_the_call_too() -> None:
    back = replace(judgement(1), feedback_id="f-2", rating=None, rating_retracted=True)
    given = message_of(FEEDBACK, 0, BatchId("f", 1), [judgement(1), back])
    [message] = joined(given, calls_message("a", 1, [1]))
    pairs, bad = decode(CallScored, message)
    assert [(each.feedback.rating, each.feedback.rating_retracted, each.call is None) for each in pairs.events] == [
        (True, False, False),
        (None, True, False),
    ]
    assert bad == ()


def test_a_replayed_call_is_told_of_no_second_time() -> None:
    call, given = calls_message("a", 1, [1]), message_of(FEEDBACK, 0, BatchId("f", 1), [judgement(1)])
    [again] = Replays("r", 1).messages((CALLS.name, 0), [encode_event(priced(1))])
    assert told(joins(), call, given, again) == 1
    assert told(joins(), given, again) == 0


def test_a_message_that_does_not_tell_its_batch_is_passed_over() -> None:
    unsound = Message(topic=CALLS.name, partition=0, batch_id=BatchId("", 0), count=1, value=encode_event(priced(1)) + b"\n")
    assert told(joins(), message_of(FEEDBACK, 0, BatchId("f", 1), [judgement(1)]), unsound) == 0
