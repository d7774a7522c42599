import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.dialects.sse import ServerSentEvent, SSEDecoder

STREAMS = {
    "one event": (b"data: a\n\n", [("", b"a")]),
    "a named event": (b"event: ping\ndata: a\n\n", [("ping", b"a")]),
    "CR LF": (b"event: x\r\ndata: a\r\n\r\ndata: b\r\n\r\n", [("x", b"a"), ("", b"b")]),
    "lone CR": (b"data: a\r\rdata: b\r\r", [("", b"a"), ("", b"b")]),
    "mixed line ends": (b"data: a\r\n\ndata: b\n\r\ndata: c\r\n\r", [("", b"a"), ("", b"b"), ("", b"c")]),
    "several data lines": (b"data: a\ndata:b\ndata\ndata:  c\n\n", [("", b"a\nb\n\n c")]),
    "comments": (b": hello\n\n:\ndata: a\n: in between\ndata: b\n\n", [("", b"a\nb")]),
    "an event without data is none": (b"event: ping\n\ndata: a\n\n", [("", b"a")]),
    "an empty data line is an event": (b"data\n\ndata:\n\n", [("", b""), ("", b"")]),
    "other fields": (b"id: 1\nretry: 5\nnonsense\nx: y\ndata: a\n\n", [("", b"a")]),
    "no final blank line": (b"data: a\n\ndata: b\n", [("", b"a"), ("", b"b")]),
    "no final newline": (b"data: a\n\ndata: b", [("", b"a"), ("", b"b")]),
    "a byte order mark": (b"\xef\xbb\xbfdata: a\n\n", [("", b"a")]),
    "a byte order mark later is none": (b"data: a\n\n\xef\xbb\xbfdata: b\n\n", [("", b"a")]),
    "half a byte order mark": (b"\xef\xbb", []),
    "no UTF-8": (b"event: \xff\ndata: \xfe\n\n", [("\ufffd", b"\xfe")]),
    "other line separators are text": ("data: a\u2028b\x0bc\x85\n\n".encode(), [("", "a\u2028b\x0bc\x85".encode())]),
    "nothing": (b"", []),
    "blank lines": (b"\n\n\r\n\r", []),
}


def decoded(pieces: list[bytes]) -> list[ServerSentEvent]:
    decoder = SSEDecoder()
    return [event for piece in [*pieces, b""] for event in decoder.feed(piece)]


@pytest.mark.parametrize(("data", "events"), STREAMS.values(), ids=STREAMS)
def test_events(data: bytes, events: list[tuple[str, bytes]]) -> None:
    expected = [ServerSentEvent(name, text) for name, text in events]
    assert decoded([data] if data else []) == expected
    assert decoded([data[at : at + 1] for at in range(len(data))]) == expected


@given(
    st.lists(st.sampled_from([b"data: x", b"data", b"event: y", b":", b"\n", b"\r", b"\r\n", b"\n\n", b"\xef\xbb\xbf", b"\xef", b"z"])),
    st.lists(st.integers(0, 60)),
)
def test_any_slicing_gives_the_same(parts: list[bytes], cuts: list[int]) -> None:
    data = b"".join(parts)
    edges = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    pieces = [data[start:end] for start, end in itertools.pairwise(edges) if start < end]
    whole = decoded([data] if data else [])
    assert decoded(pieces) == whole
    assert decoded([data[at : at + 1] for at in range(len(data))]) == whole


def test_the_end_begins_anew() -> None:
    decoder = SSEDecoder()
    assert decoder.feed(b"event: a\ndata: cut") == []
    assert decoder.feed(b"") == [ServerSentEvent("a", b"cut")]
    assert decoder.feed(b"\xef\xbb\xbfdata: b\n\n") == [ServerSentEvent("", b"b")]


def test_a_long_event_in_small_pieces_costs_no_more_than_its_length() -> None:
    decoder, piece = SSEDecoder(), b"x" * 16
    decoder.feed(b"data: ")
    for _ in range(100_000):
        assert decoder.feed(piece) == []
    assert [len(event.data) for event in decoder.feed(b"\n\n")] == [1_600_000]
