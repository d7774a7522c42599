"""What each call is, told by its number alone: whoever reads a row knows what it must say.

Costs are whole micro-dollars: a call of the base `b` costs `b` as it came, and `b * (1 + level)` after repricing at that level.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import numpy as np
from msgspec.structs import replace

from eventlog.codec import BatchId, Message, message_of
from eventlog.events import CallPriced, FeedbackGiven, Organization
from eventlog.lifetimes import Lifetimes, Span
from eventlog.topics import CALLS, FEEDBACK, REQUESTS
from tests.fakes.facts import priced, received

ORGANIZATIONS = ("acme", "globex", "initech")
KEPT_DAYS = 5
"""Days that the last of them keeps its rows. The others keep them for ever."""
DAYS = 8
USERS = 20
"""Of each organization."""
RATED_EACH, SAID_EACH = 5, 4
"""Every so manieth call is rated, or has its request beside it."""
BATCH = 24
LATE_TOGETHER = 42
"""Batches, until what comes late goes to another day."""
PARTITIONS = 2
EPOCH = "f" * 32
LIFETIMES = Lifetimes(own={Organization(ORGANIZATIONS[2]): Span(KEPT_DAYS, KEPT_DAYS)})

Numbers = np.ndarray[tuple[int], np.dtype[np.int64]]
Flags = np.ndarray[tuple[int], np.dtype[np.bool_]]


def days_ago(numbers: Numbers) -> Numbers:
    """A batch is of one day: of six, five are of today or yesterday, one comes late, to an older day that others follow to for a while."""
    batch = numbers // BATCH
    return np.where(batch % 6 < 3, 0, np.where(batch % 6 < 5, 1, 2 + batch // LATE_TOGETHER % (DAYS - 2)))


def organizations(numbers: Numbers) -> Numbers:
    """Their places in ORGANIZATIONS."""
    return numbers % 3


def users(numbers: Numbers) -> Numbers:
    """Of all organizations: no two have a user in common."""
    return numbers % (3 * USERS)


def bases(numbers: Numbers) -> Numbers:
    return numbers % 97 + 1


def user_name(user: int) -> str:
    return f"user-{user:02}"


def organization_of(user: int) -> Organization:
    return Organization(ORGANIZATIONS[user % 3])


def kept_too_long(numbers: Numbers) -> Flags:
    """Retention may have removed them, or be about to."""
    gone: Flags = (organizations(numbers) == 2) & (days_ago(numbers) > KEPT_DAYS)
    return gone


def messages(batch: int, today: date) -> list[Message]:
    """All that is said of a batch's calls: the calls, the requests of some, the ratings of some."""
    numbers = np.arange(batch * BATCH, (batch + 1) * BATCH)
    partition, sequence = batch % PARTITIONS, BatchId(EPOCH, batch // PARTITIONS + 1)
    calls = [call(int(number), today) for number in numbers]
    said = [
        replace(received(number), call=each.call) for number, each in zip(numbers.tolist(), calls, strict=True) if not number % SAID_EACH
    ]
    given = [rating(number, each) for number, each in zip(numbers.tolist(), calls, strict=True) if not number % RATED_EACH]
    return [
        message_of(REQUESTS, partition, sequence, said),
        message_of(CALLS, partition, sequence, calls),
        message_of(FEEDBACK, partition, sequence, given),
    ]


def call(number: int, today: date) -> CallPriced:
    [at] = np.array([number])[None]
    begins = datetime.combine(today - timedelta(days=int(days_ago(at)[0])), time(), UTC)
    user = int(users(at)[0])
    made = priced(number, organization=organization_of(user), user_id=user_name(user), session_id=f"session-{number // 50}")
    made = replace(made, call=replace(made.call, created_at=begins + timedelta(milliseconds=number)))
    return replace(made, completed_at=made.call.created_at + timedelta(seconds=1), cost_usd=f"{Decimal(int(bases(at)[0])) / 1_000_000:f}")


def rating(number: int, about: CallPriced) -> FeedbackGiven:
    return FeedbackGiven(
        feedback_id=f"feedback-{number:06d}",
        request_id=about.call.request_id,
        organization=about.call.organization,
        given_at=about.completed_at,
        rating=bool(number % 2),
    )


def numbers_of(call_ids: Iterable[str]) -> Numbers:
    return np.array([int(each[5:]) for each in call_ids], np.int64)
