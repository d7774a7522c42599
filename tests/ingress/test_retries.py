"""Again, elsewhere, or the end: the decisions by tables, and their laws over many cases."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingress.retries import Again, Failed, GiveUp, MoveOn, Retries, Step, next_step, pause_of, retry_after_of, worth_another

THREE = Retries(more=3)
BUSY = Failed(status=429, retryable=True)
GONE = Failed(status=None, retryable=True)
NEVER = Failed(status=None, retryable=False)
LISTED = Failed(status=401, retryable=False)
LATER = Failed(status=429, retryable=True, retry_after_s=20)

# What failed, the retries, the tries made, whether there is another target for it, the seconds left: what comes next.
STEPS: dict[str, tuple[Failed, Retries | None, int, bool, float, Step]] = {
    "the first failure": (BUSY, THREE, 1, False, 300, Again(1)),
    "the third": (BUSY, THREE, 3, False, 300, Again(4)),
    "the fourth is the last": (BUSY, THREE, 4, False, 300, GiveUp()),
    "no answer at all": (GONE, THREE, 1, False, 300, Again(1)),
    "what would come out the same": (NEVER, THREE, 1, False, 300, GiveUp()),
    "what would come out the same, with another target": (NEVER, THREE, 1, True, 300, MoveOn()),
    "not asked to try again": (BUSY, None, 1, False, 300, GiveUp()),
    "not asked to try again, with another target": (BUSY, None, 1, True, 300, MoveOn()),
    "the same target first": (BUSY, THREE, 3, True, 300, Again(4)),
    "then the next": (BUSY, THREE, 4, True, 300, MoveOn()),
    "a status that is not worth another try": (LISTED, THREE, 1, True, 300, MoveOn()),
    "the provider names a time": (LATER, THREE, 1, False, 300, Again(20)),
    "it names one that is too late": (LATER, THREE, 1, False, 19, GiveUp()),
    "it names one that is too late, with another target": (LATER, THREE, 1, True, 19, MoveOn()),
    "no time is left": (BUSY, THREE, 1, True, 0, GiveUp()),
    "no further try": (BUSY, Retries(more=0), 1, False, 300, GiveUp()),
}


@pytest.mark.parametrize(("failed", "retries", "made", "moves_on", "left_s", "step"), STEPS.values(), ids=STEPS)
def test_steps(failed: Failed, retries: Retries | None, made: int, moves_on: bool, left_s: float, step: Step) -> None:
    assert next_step(failed, retries, made=made, moves_on=moves_on, left_s=left_s, chance=1.0) == step


def test_the_usual_pauses() -> None:
    """Those that Helicone's docs name; chance takes up to half of each."""
    assert [pause_of(Retries(), made, 1.0) for made in range(1, 7)] == [1, 2, 4, 8, 10, 10]
    assert [pause_of(Retries(), made, 0.0) for made in range(1, 4)] == [0.5, 1, 2]


@given(
    st.builds(Retries, more=st.integers(0, 1000), factor=st.floats(1, 100), least_s=st.floats(0, 600), most_s=st.floats(0, 600)),
    st.integers(1, 2000),
    st.floats(0, 1),
)
def test_a_pause_is_bounded(retries: Retries, made: int, chance: float) -> None:
    assert 0 <= pause_of(retries, made, chance) <= retries.most_s


def test_statuses() -> None:
    assert [status for status in range(100, 700) if worth_another(status)] == [429, *range(500, 600)]


NOW = datetime(2026, 11, 26, 12, tzinfo=UTC).timestamp()
SAID = {
    "nothing": ([], 0),
    "seconds": ([(b"Retry-After", b"7")], 7),
    "a fraction": ([(b"retry-after", b"0.5")], 0.5),
    "milliseconds": ([(b"retry-after-ms", b"250"), (b"retry-after", b"1")], 0.25),
    "a date": ([(b"Retry-After", b"Thu, 26 Nov 2026 12:00:30 GMT")], 30),
    "a date that is past": ([(b"Retry-After", b"Thu, 26 Nov 2026 11:00:30 GMT")], 0),
    "nonsense": ([(b"Retry-After", b"soon")], 0),
    "less than nothing": ([(b"Retry-After", b"-5")], 0),
    "for ever": ([(b"Retry-After", b"inf")], 0),
    "no number": ([(b"Retry-After", b"nan")], 0),
    "bytes": ([(b"Retry-After", b"\xff\xfe")], 0),
}


@pytest.mark.parametrize(("headers", "seconds"), SAID.values(), ids=SAID)
def test_retry_after(headers: list[tuple[bytes, bytes]], seconds: float) -> None:
    assert retry_after_of(headers, NOW) == seconds
