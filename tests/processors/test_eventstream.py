"""Frames of AWS event streams, under any slicing, cut, broken and hostile."""

import random
import time
import zlib

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given, settings
from hypothesis import strategies as st

from eventlog.eventstream import EventStreamDecoder, Frame, written
from tests.processors import frames

STREAM = [
    frames.event("messageStart", {"role": "assistant"}),
    frames.event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "Grüß dich \u0000"}}),
    frames.frame({":event-type": "empty", ":message-type": "event"}, b""),
    frames.exception("throttlingException", {"message": "Too many tokens"}),
    frames.error("InternalFailure", "It broke"),
    frames.frame({}, b"{}"),
]
WHOLE = b"".join(STREAM)


def decoded(*pieces: bytes) -> tuple[list[Frame], bool, bool]:
    decoder = EventStreamDecoder()
    found = [frame for piece in pieces if piece for frame in decoder.feed(piece)]
    return found + decoder.feed(b""), decoder.skipped, decoder.cut


def sliced(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({cut % (len(data) + 1) for cut in cuts})
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]


def test_frames() -> None:
    found, skipped, cut = decoded(WHOLE)
    assert [(frame.kind, frame.name) for frame in found] == [
        ("event", "messageStart"),
        ("event", "contentBlockDelta"),
        ("event", "empty"),
        ("exception", "throttlingException"),
        ("error", "InternalFailure"),
        ("", ""),
    ]
    assert found[0].payload == b'{"role":"assistant"}'
    assert found[4].message == "It broke"
    assert (skipped, cut) == (False, False)


def test_the_sdk_reads_the_same() -> None:
    """What the frames of these tests mean is decided by AWS's own decoder."""
    buffer = EventStreamBuffer()
    buffer.add_data(WHOLE)
    theirs = [(dict(message.headers).get(":message-type", ""), message.payload) for message in buffer]
    assert [(frame.kind, frame.payload) for frame in decoded(WHOLE)[0]] == theirs


def test_headers_of_every_type() -> None:
    """AWS sends texts; the encoding knows ten types, and one unknown ends what can be told of the headers."""
    values = b"\x01a\x00\x01b\x01\x01c\x02\x07\x01d\x03\x00\x07\x01e\x04\x00\x00\x00\x07\x01f\x05" + bytes(8)
    values += b"\x01g\x06\x00\x03xyz\x01h\x08" + bytes(8) + b"\x01i\x09" + bytes(16)
    named = b"\x0b:event-type\x07\x00\x04ping\x0d:message-type\x07\x00\x05event"
    for before, name in ((values, "ping"), (values + b"\x01j\x0a", "")):
        data = _with_headers(before + named)
        assert decoded(data) == ([Frame("event" if name else "", name, b"{}", headers=before + named)], False, False)


def test_what_is_written_is_what_was_read() -> None:
    assert b"".join(written(frame.headers, frame.payload) for frame in decoded(WHOLE)[0]) == WHOLE
    buffer = EventStreamBuffer()
    buffer.add_data(written(decoded(WHOLE)[0][1].headers, b"another, and longer than it was before" * 3))
    assert next(buffer).payload == b"another, and longer than it was before" * 3


def _with_headers(coded: bytes) -> bytes:
    lengths = (16 + len(coded) + 2).to_bytes(4, "big") + len(coded).to_bytes(4, "big")
    whole = lengths + zlib.crc32(lengths).to_bytes(4, "big") + coded + b"{}"
    return whole + zlib.crc32(whole).to_bytes(4, "big")


@given(st.lists(st.sampled_from(STREAM) | st.binary(max_size=40), max_size=8), st.lists(st.integers(0, 10_000), max_size=12))
@settings(max_examples=300)
def test_any_slicing_gives_the_same(parts: list[bytes], cuts: list[int]) -> None:
    data = b"".join(parts)
    assert decoded(*sliced(data, cuts)) == decoded(data)


@given(st.data())
@settings(max_examples=300)
def test_one_byte_at_a_time_of_a_broken_stream(data: st.DataObject) -> None:
    broken = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(broken) - 1))
        broken[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    assert decoded(*(bytes([byte]) for byte in broken)) == decoded(bytes(broken))


def test_a_stream_cut_anywhere_keeps_the_whole_frames() -> None:
    for end in range(len(WHOLE)):
        found, skipped, cut = decoded(WHOLE[:end])
        ends = [sum(map(len, STREAM[:count])) for count in range(len(STREAM) + 1)]
        assert len(found) == sum(0 < place <= end for place in ends)
        assert (skipped, cut) == (False, end not in ends)


def test_a_stream_that_begins_anywhere_gives_the_frames_after_it() -> None:
    for start in range(1, len(STREAM[0])):
        found, skipped, cut = decoded(WHOLE[start:])
        assert len(found) == len(STREAM) - 1
        assert (skipped, cut) == (True, False)


@pytest.mark.parametrize("at", range(len(STREAM[1])))
def test_one_wrong_byte_costs_one_frame(at: int) -> None:
    wrong = bytearray(STREAM[1])
    wrong[at] ^= 0x55
    found, skipped, cut = decoded(STREAM[0], bytes(wrong), *STREAM[2:])
    assert found == decoded(STREAM[0], *STREAM[2:])[0]
    assert (skipped, cut) == (True, False)


@pytest.mark.parametrize("size", [1, 5, 40])
def test_bytes_missing_within_a_frame_cost_that_frame(size: int) -> None:
    """The frame then reaches into the next one, which is found all the same; also when it was the last but one."""
    found, skipped, _ = decoded(STREAM[0], STREAM[1][: 20 - len(STREAM[1])], STREAM[1][20 + size :], *STREAM[2:])
    assert found == decoded(STREAM[0], *STREAM[2:])[0]
    assert skipped
    found, skipped, _ = decoded(STREAM[1][:20], STREAM[1][20 + size :], STREAM[4])
    assert [frame.name for frame in found] == ["InternalFailure"]
    assert skipped


HOSTILE = {
    "zeros": bytes(2 << 20),
    "noise": random.Random(20261124).randbytes(2 << 20),
    "what may begin a frame": b"\x00\x00\x01\x00\x00\x00\x00\x10XXXX" * 200_000,
    "frames that claim more than there is": (frames.frame({}, bytes(1 << 20))[:12] + b"x" * 20) * 40_000,
    "a million beginnings": frames.frame({}, bytes(4))[:12] * 100_000,
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_what_is_broken_is_given_up_in_time(data: bytes) -> None:
    begun = time.perf_counter()
    found, skipped, _ = decoded(data)
    assert not found
    assert skipped
    assert time.perf_counter() - begun < 2


def test_one_byte_at_a_time_is_no_square() -> None:
    decoder = EventStreamDecoder()
    large = frames.event("contentBlockDelta", {"delta": {"text": "x" * 200_000}})
    begun = time.perf_counter()
    found = [frame for byte in large for frame in decoder.feed(bytes([byte]))]
    assert len(found) == 1
    assert time.perf_counter() - begun < 5
