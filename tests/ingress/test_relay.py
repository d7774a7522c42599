"""What waits, under strict durability, until the log has the end of a call."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingress.copies import Copy
from ingress.relay import HELD_BYTES, LastPiece

LONG = b"data: " + b"x" * (3 * HELD_BYTES) + b"\n"


class Passing:
    """A client's side of `LastPiece`: what it has been given, and how much it had when the answer was complete."""

    def __init__(self, content_type: str | None = "text/event-stream", length: int | None = None) -> None:
        self._copy = Copy(1 << 20, None)
        self.last = LastPiece(length, content_type, self._copy)
        self.given = b""
        self.before_end: int | None = None

    def feed(self, piece: bytes) -> None:
        self._copy.feed(piece)
        if self.last.sees(piece):
            self.before_end = len(self.given)
        self.given += b"".join(self.last.due())

    @property
    def held(self) -> int:
        return sum(map(len, self.last.held))


def test_an_end_marker_whose_event_never_ends_is_not_held_back_for_ever() -> None:
    passing = Passing()
    passing.feed(b"data: {}\n\n")
    passing.feed(b"data: [DONE]\n")
    assert passing.held == len(b"data: [DONE]\n")
    for _ in range(100):
        passing.feed(b"data: " + b"x" * 1_000 + b"\n")
        assert passing.held < HELD_BYTES + 2_000
    assert passing.before_end is None


def test_of_a_long_last_event_the_end_waits() -> None:
    passing = Passing()
    for start in range(0, len(event := b"event: response.completed\n" + LONG), 5_000):
        passing.feed(event[start : start + 5_000])
    passing.feed(b"\n")
    assert passing.before_end is not None
    assert len(LONG) - 2 * HELD_BYTES < passing.before_end < len(event) - HELD_BYTES + 1
    assert (passing.held, passing.given) == (0, event + b"\n")


ENDS = {
    "a marker": ("text/event-stream", None, b"data: {}\n\ndata: [DONE]\n\n", b"data: {}\n\ndata: [DONE]"),
    "a length": ("application/json", 12, b'{"a": [1]}\r\n', b'{"a": [1]}\r'),
}


@pytest.mark.parametrize(("content_type", "length", "sent", "free"), ENDS.values(), ids=ENDS)
@given(size=st.integers(1, 40))
def test_in_any_slicing_the_end_waits_and_all_is_given(content_type: str, length: int | None, sent: bytes, free: bytes, size: int) -> None:
    passing = Passing(content_type, length)
    for start in range(0, len(sent), size):
        passing.feed(sent[start : start + size])
    assert passing.before_end is not None
    assert passing.before_end <= len(free)
    assert (passing.held, passing.given) == (0, sent)
