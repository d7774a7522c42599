"""The end of a stream, wherever it is cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingress.streams import EndOfStream, has_ended, is_event_stream

CHAT = b'data: {"a":"[DONE]"}\n\n'
ENDED = {
    "chat": CHAT + b"data: [DONE]\n\n",
    "chat, no space": CHAT + b"data:[DONE]\n\n",
    "chat, CRLF": CHAT.replace(b"\n", b"\r\n") + b"data: [DONE]\r\n\r\n",
    "messages": b'event: ping\ndata: {}\n\nevent: message_stop\ndata: {"type":"message_stop"}\n\n',
    "responses": b'event: response.created\ndata: {}\n\nevent: response.completed\ndata: {"long": "' + b"x" * 5000 + b'"}\n\n',
    "an error": b'event: error\ndata: {"type":"error"}\n\n',
}
OPEN = {
    "chat": CHAT,
    "the marker in a text": b'data: {"text": "data: [DONE]"}\n\n',
    "no blank line": CHAT + b"data: [DONE]\n",
    "messages": b"event: message_delta\ndata: {}\n\n",
    "the last event not complete": b'event: response.completed\ndata: {"long": ',
    "nothing": b"",
}


@pytest.mark.parametrize("stream", ENDED.values(), ids=ENDED)
def test_it_has_ended(stream: bytes) -> None:
    assert has_ended(stream)


@pytest.mark.parametrize("stream", OPEN.values(), ids=OPEN)
def test_it_has_not_ended(stream: bytes) -> None:
    assert not has_ended(stream)


@pytest.mark.parametrize("stream", [*ENDED.values(), *OPEN.values()])
@given(size=st.integers(1, 40))
def test_any_slicing_is_the_same(stream: bytes, size: int) -> None:
    end = EndOfStream()
    seen = [end.feed(stream[start : start + size]) for start in range(0, len(stream), size)]
    assert end.seen == has_ended(stream)
    assert seen == sorted(seen)


def test_what_is_an_event_stream() -> None:
    assert is_event_stream("text/event-stream; charset=utf-8")
    assert not is_event_stream("application/json")
    assert not is_event_stream(None)
