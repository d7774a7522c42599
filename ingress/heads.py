"""One pass over a request's headers: what goes on to the provider, what is for us, and what must be known on the way."""

from collections.abc import Sequence

from ingress.directives import PREFIX
from ingress.secrets import HINT, masked, without_our_key

Headers = Sequence[tuple[bytes, bytes]]

_DROP, _CONNECTION, _HOST, _LENGTH, _TRANSFER, _UPGRADE = range(6)
_TYPE, _ENCODING, _AUTHORIZATION, _VERSION, _TRACE, _ORIGIN, _SITE, _CUSTOMER = range(6, 14)

_KINDS = {
    # Hop by hop (RFC 9110, section 7.6.1, and what RFC 2616 named before), and what is written anew or answered here.
    b"expect": _DROP,
    b"keep-alive": _DROP,
    b"proxy-authenticate": _DROP,
    b"proxy-authorization": _DROP,
    b"proxy-connection": _DROP,
    b"te": _DROP,
    b"trailer": _DROP,
    b"http2-settings": _DROP,
    b"__helicone-mock-response": _DROP,
    b"connection": _CONNECTION,
    b"host": _HOST,
    b"content-length": _LENGTH,
    b"transfer-encoding": _TRANSFER,
    b"upgrade": _UPGRADE,
    b"content-type": _TYPE,
    b"content-encoding": _ENCODING,
    b"authorization": _AUTHORIZATION,
    b"anthropic-version": _VERSION,
    b"traceparent": _TRACE,
    b"origin": _ORIGIN,
    b"sec-fetch-site": _SITE,
    b"x-stripe-customer-id": _CUSTOMER,
}
_PLAIN_CONNECTION = frozenset({b"keep-alive", b"close", b"Keep-Alive", b"Close"})


class RequestHead:
    """The headers of one request, sorted. Not frozen, because it is filled in one pass over them on the hot path."""

    __slots__ = (
        "anthropic",
        "chunked",
        "content_encoding",
        "content_length",
        "content_type",
        "fetch_site",
        "forwarded",
        "host",
        "named",
        "origin",
        "ours",
        "stripe_customer",
        "traceparent",
        "websocket",
    )

    def __init__(self) -> None:
        self.forwarded: list[tuple[bytes, bytes]] = []
        """End-to-end headers, in the client's order, without Host and framing."""
        self.ours: list[tuple[bytes, bytes]] = []
        """Those that begin with `helicone-`."""
        self.host = b""
        self.content_length: int | None = None
        self.chunked = False
        self.content_type: str | None = None
        self.content_encoding: str | None = None
        self.traceparent: str | None = None
        self.anthropic = False
        """It has an `anthropic-version`."""
        self.websocket = False
        """It asks for a websocket. Any other protocol is only offered: it is ignored (RFC 9110, section 7.8)."""
        self.origin: bytes | None = None
        self.fetch_site: bytes | None = None
        self.stripe_customer: bytes | None = None
        self.named: frozenset[bytes] = frozenset()
        """Headers that Connection names: they end here."""


def read_head(headers: Headers) -> RequestHead:
    """`headers` have lower-case names, and framing that the parser has found sound."""
    head = RequestHead()
    forwarded, websocket = head.forwarded, False
    for pair in headers:
        kind = _KINDS.get(pair[0])
        if kind is None:
            (head.ours if pair[0].startswith(PREFIX) else forwarded).append(pair)
        elif kind == _HOST:
            head.host = pair[1]
        elif kind == _LENGTH:
            head.content_length = int(pair[1])
        elif kind == _CONNECTION:
            if pair[1] not in _PLAIN_CONNECTION:
                head.named |= {token.strip().lower() for token in pair[1].split(b",")}
        elif kind == _UPGRADE:
            websocket = b"websocket" in pair[1].lower()
        elif kind == _TRANSFER:
            head.chunked = True
        elif kind != _DROP:
            _notice(head, kind, pair)
    if head.named:
        head.websocket = websocket and b"upgrade" in head.named
        head.forwarded = [pair for pair in forwarded if pair[0] not in head.named]
    return head


def _notice(head: RequestHead, kind: int, pair: tuple[bytes, bytes]) -> None:
    """Headers that go on, and that we look at as they pass."""
    name, value = pair
    if HINT in value and kind != _AUTHORIZATION:
        value = masked(value)  # as it is remembered; it is not sent on either
    if kind == _AUTHORIZATION:
        if HINT in value or value[1:2] in b"aA":  # Basic hides what it holds
            kept = without_our_key(value)
            if kept is not None:
                head.forwarded.append((name, kept))
            return
    elif kind == _TYPE:
        head.content_type = value.decode("latin-1")
    elif kind == _ENCODING:
        head.content_encoding = value.decode("latin-1")
    elif kind == _VERSION:
        head.anthropic = True
    elif kind == _TRACE:
        head.traceparent = value.decode("latin-1")[:128]
    elif kind == _ORIGIN:
        head.origin = value
    elif kind == _SITE:
        head.fetch_site = value
    elif kind == _CUSTOMER:
        head.stripe_customer = value
    head.forwarded.append(pair)
