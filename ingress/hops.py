"""What of a head ends at this hop, what travels on, and what may be in none."""

import re

FOREVER = float("inf")
HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""RFC 9110, section 7.6.1, and those that RFC 2616 named before it."""
CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
"""Characters that no header's value may have (RFC 9110, section 5.5)."""
TIMEOUT = re.compile(rb"timeout\s*=\s*(\d{1,9})", re.IGNORECASE)

Header = tuple[bytes, bytes]


def end_to_end(headers: list[Header]) -> tuple[list[Header], int | None, bytes, float]:
    """The headers that travel on, content length, transfer coding in lower case, and for how many seconds the connection may lie idle.

    The parser has refused lengths that contradict themselves or a coding.
    """
    kept: list[Header] = []
    length: int | None = None
    coding = b""
    kept_s = FOREVER
    named: set[bytes] = set()
    for name, value in headers:
        lower = name.lower()
        if lower in HOP_BY_HOP:
            if lower == b"connection":
                named.update(token.strip().lower() for token in value.split(b","))
            elif lower == b"transfer-encoding":
                coding = coding + b"," + value.strip().lower() if coding else value.strip().lower()
            elif lower == b"keep-alive":
                kept_s = announced_s(value)
            continue
        if lower == b"content-length":
            length = int(value)
        kept.append((name, value))
    named -= {b"close", b"keep-alive", b"content-length"}
    if named:
        kept = [(name, value) for name, value in kept if name.lower() not in named]
    return kept, length, coding, kept_s


def announced_s(keep_alive: bytes) -> float:
    """How long a provider keeps an idle connection by its Keep-Alive header, less a second for the way: `timeout=5, max=100`."""
    found = TIMEOUT.search(keep_alive)
    if found is None:
        return FOREVER
    timeout_s = int(found[1])
    return timeout_s - min(1, timeout_s / 2)
