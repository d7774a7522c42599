"""AWS event streams are redacted across their frames, which stay frames: AWS's own decoder reads them, and checks their checksums."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from eventlog.events import Body, Organization
from eventlog.eventstream import CONTENT_TYPE, EventStreamDecoder
from eventlog.redaction import Detector, Redaction
from ingress.budget import LARGE, Budget, GivenUp
from ingress.detectors import Rule
from ingress.redaction import BORDER, NOT_SEARCHED, Redacted, is_clean, redacted_body
from tests.processors import frames

AT = datetime(2026, 11, 26, tzinfo=UTC)
RULE = Rule(Redaction(organization=Organization("default"), detectors=tuple(Detector), patterns={}, set_at=AT))
PIECES = ["mail bo", "b@exam", "ple.com card 4111 11", "11 1111 1111 ok"]
USAGE = {"usage": {"inputTokens": 1000, "outputTokens": 100}, "metrics": {"latencyMs": 412}}
Frames = Callable[[str], bytes]


def converse(piece: str) -> bytes:
    return frames.event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": piece}, "p": "abcdef"})


def claude(piece: str) -> bytes:
    return frames.chunk({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}})


def nova(piece: str) -> bytes:
    return frames.chunk({"contentBlockDelta": {"delta": {"text": piece}, "contentBlockIndex": 0}})


def titan(piece: str) -> bytes:
    return frames.chunk({"outputText": piece, "index": 0})


def llama(piece: str) -> bytes:
    return frames.chunk({"generation": piece, "prompt_token_count": None})


def on_lines(piece: str) -> bytes:
    """JSON may have line ends of its own."""
    return frames.frame(
        {":event-type": "contentBlockDelta", ":message-type": "event"}, json.dumps({"delta": {"text": piece}}, indent=1).encode()
    )


SHAPES: list[Frames] = [converse, claude, nova, titan, llama, on_lines]
METADATA = frames.event("metadata", USAGE)


def framed(*parts: bytes, **more: Any) -> Body:
    raw = b"".join(parts)
    return Body(base64=base64.b64encode(raw).decode(), size=len(raw), content_type=CONTENT_TYPE, **more)


def bytes_of(kept: Redacted) -> bytes:
    assert kept.body.base64 is not None, kept.body.undecodable
    return base64.b64decode(kept.body.base64)


def payloads(data: bytes) -> list[bytes]:
    """What both decoders read, with nothing broken."""
    decoder, buffer = EventStreamDecoder(), EventStreamBuffer()
    found = [frame.payload for piece in (data, b"") for frame in decoder.feed(piece)]
    buffer.add_data(data)
    assert found == [message.payload for message in buffer]
    assert not decoder.skipped
    return found


def texts_in(value: Any) -> str:
    if not isinstance(value, dict):
        return ""
    if isinstance(coded := value.get("bytes"), str):
        return texts_in(json.loads(base64.b64decode(coded)))
    named = (value[name] for name in ("text", "outputText", "generation") if name in value)
    return "".join(named) + "".join(texts_in(inner) for inner in value.values())


def heard(data: bytes) -> str:
    return "".join(texts_in(json.loads(payload)) for payload in payloads(data))


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_said_over_several_frames_is_found(shape: Frames) -> None:
    stream = [*map(shape, PIECES), METADATA]
    kept = redacted_body(framed(*stream), RULE)
    data = bytes_of(kept)
    assert heard(data) == "mail [redacted:email] card [redacted:card] ok"
    assert kept.counts == {"email": 1, "card": 1}
    assert data.endswith(METADATA)
    assert len(payloads(data)) == len(stream)


@pytest.mark.parametrize("shape", SHAPES)
@given(st.lists(st.integers(0, len("".join(PIECES))), max_size=12))
def test_any_slicing_over_frames_finds_the_same(shape: Frames, cuts: list[int]) -> None:
    text, places = "".join(PIECES), sorted(cuts)
    pieces = [text[start:end] for start, end in zip([0, *places], [*places, len(text)], strict=True)]
    kept = redacted_body(framed(*map(shape, pieces), METADATA), RULE)
    assert heard(bytes_of(kept)) == "mail [redacted:email] card [redacted:card] ok"
    assert kept.counts == {"email": 1, "card": 1}
    assert bytes_of(kept).endswith(METADATA)


@pytest.mark.parametrize("shape", SHAPES)
def test_where_nothing_is_found_no_byte_changes(shape: Frames) -> None:
    body = framed(*map(shape, ["Grüß ", 'dich "\n', ""]), frames.frame({}, b""), METADATA, frames.error("InternalFailure", "It broke"))
    assert redacted_body(body, RULE) == Redacted(body, {})


def test_a_frame_without_anything_found_stays_as_it_was() -> None:
    image = frames.event("contentBlockDelta", {"delta": {"image": {"source": {"bytes": base64.b64encode(b"\x89PNG").decode()}}}})
    same = on_lines("all is well") + image
    data = bytes_of(redacted_body(framed(same, converse("bob@x.com")), RULE))
    assert data.startswith(same)
    assert heard(data.removeprefix(same)) == "[redacted:email]"


def test_blocks_are_not_mixed() -> None:
    said = [(0, "bob@"), (1, "jim@"), (0, "x.com"), (1, "y.org")]
    stream = [frames.event("contentBlockDelta", {"contentBlockIndex": block, "delta": {"text": piece}}) for block, piece in said]
    assert heard(bytes_of(redacted_body(framed(*stream), RULE))) == "[redacted:email]" * 2


def test_what_an_exception_says_is_searched() -> None:
    kept = redacted_body(framed(frames.exception("validationException", {"message": "no bob@x.com"})), RULE)
    assert payloads(bytes_of(kept)) == [b'{"message": "no [redacted:email]"}']


def test_the_short_end_of_a_stream_that_broke_off_is_left_out() -> None:
    whole = [converse("bob@x.com "), converse("and ji")]
    for end in range(1, len(whole[1])):
        data = bytes_of(redacted_body(framed(whole[0], whole[1][:end]), RULE))
        assert heard(data) == "[redacted:email] "
        decoder = EventStreamDecoder()
        assert len(decoder.feed(data) + decoder.feed(b"")) == 1
        assert decoder.cut, "it is still told that the stream ended within a frame"
        assert data[-1:] == b"\x00"


def test_of_a_stream_too_long_to_keep_the_border_is_given_up() -> None:
    body = framed(converse("bob@x.com " + "x" * 2_000), converse(" y" * 1_000), converse("jim@")[:-5], truncated=True)
    said = heard(bytes_of(redacted_body(body, RULE)))
    assert said == "[redacted:email] " + "x" * 2_000 + " y" * (1_000 - BORDER // 2) + "[redacted:cut]"


DAMAGED = {
    "a wrong checksum": ([converse("a"), converse("bob@x.com")[:-1] + b"?", METADATA], "frames of the event stream are broken"),
    "bytes between frames": ([converse("a"), b"bob@x.com", METADATA], "frames of the event stream are broken"),
    "none that is whole": ([converse("bob@x.com")[:-1]], "no frame of the event stream is whole"),
    "no frame at all": ([b"\xffbob@x.com"], "no frame of the event stream is whole"),
    "broken JSON that goes on": ([frames.frame({}, b'{"logprobs": [1, 2'), converse("bob@x.com")], "its lines are fewer than its frames"),
    "found in a header": ([frames.error("InternalFailure", "of bob@x.com")], "something was found in the headers of a frame"),
}


@pytest.mark.parametrize(("parts", "why"), DAMAGED.values(), ids=DAMAGED)
def test_what_cannot_be_searched_is_not_kept(parts: list[bytes], why: str) -> None:
    kept = redacted_body(framed(*parts), RULE)
    assert (kept.body.base64, kept.body.text, kept.counts) == (None, None, {})
    assert kept.body.undecodable == f"{why}; {NOT_SEARCHED}"


def test_an_error_in_json_is_searched_as_json() -> None:
    kept = redacted_body(Body(text='{"message": "bob@x.com"}', size=24, content_type=CONTENT_TYPE), RULE)
    assert kept.body.text == '{"message": "[redacted:email]"}'


def test_frames_that_happen_to_be_text_are_frames() -> None:
    """A checksum may be UTF-8 by chance."""
    numbered = (converse("x" * number + " bob@x.com") for number in range(10_000))
    text = next(each for each in numbered if not any(byte >> 7 for byte in each)).decode()
    body = Body(text=text, size=len(text), content_type=None)
    assert not is_clean(body, RULE, Budget())
    assert "[redacted:email]" in heard(bytes_of(redacted_body(body, RULE)))


def test_many_frames_are_given_up() -> None:
    with pytest.raises(GivenUp) as given_up:
        redacted_body(framed(frames.frame({}, b"") * 200_000), RULE, Budget(60))
    assert given_up.value.reason == LARGE
