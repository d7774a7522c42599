"""A request that offers another protocol, read on as the HTTP/1.1 that it is: a server may ignore an Upgrade (RFC 9110, section 7.8).

The parser stops after the head of such a request and leaves its body to whoever speaks the other protocol. So a parser of its own
reads on: it is told the body's framing as a head that nobody hears of, and from the body on it tells the connection everything.
"""

from collections.abc import Sequence
from typing import Protocol

import httptools

FRAMING = frozenset({b"content-length", b"transfer-encoding"})
LENIENT = {"lenient_data_after_close": True}
"""As uvicorn's own parser."""


class Listener(Protocol):
    """What hears of requests."""

    def on_message_begin(self) -> None: ...
    def on_url(self, url: bytes) -> None: ...
    def on_header(self, name: bytes, value: bytes) -> None: ...
    def on_headers_complete(self) -> None: ...
    def on_body(self, body: bytes) -> None: ...
    def on_message_complete(self) -> None: ...


class _FromTheBodyOn:
    """Passes everything on but the first head."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._heard = False
        self.on_body = listener.on_body
        self.on_message_complete = listener.on_message_complete

    def on_message_begin(self) -> None:
        if self._heard:
            self._listener.on_message_begin()

    def on_url(self, url: bytes) -> None:
        if self._heard:
            self._listener.on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._heard:
            self._listener.on_header(name, value)

    def on_headers_complete(self) -> None:
        if self._heard:
            self._listener.on_headers_complete()
        self._heard = True


def has_body(headers: Sequence[tuple[bytes, bytes]]) -> bool:
    """Whether a body follows a head. `headers` have lower-case names, and framing that the parser has found sound."""
    return any(name in FRAMING and value.strip(b"0 \t") for name, value in headers)


def parser_of_body(listener: Listener, headers: Sequence[tuple[bytes, bytes]]) -> httptools.HttpRequestParser:
    """Reads the body that `headers` announce, and the requests that follow it."""
    parser = httptools.HttpRequestParser(_FromTheBodyOn(listener))
    parser.set_dangerous_leniencies(**LENIENT)
    framing = b"".join(b"%b: %b\r\n" % (name, value) for name, value in headers if name in FRAMING)
    parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n" % framing)
    return parser
