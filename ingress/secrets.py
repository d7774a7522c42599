"""What must not be written down, and what must not be sent on.

A provider's credentials come in two places that are kept, the query of a URL and its user information: they are masked there, and sent
on as they are. Masking leaves order and spelling of the rest alone, so that a stored URL can be compared with what a provider logs.
Heliograph's own keys may come anywhere, and go nowhere: whatever of a request holds one is left out.
"""

import base64
import binascii
import re
from collections.abc import Sequence
from urllib.parse import unquote_plus, unquote_to_bytes

MASK = "***"
HINT = b"k-heli"
"""In every key of ours, and in little else: to look for it costs next to nothing."""
_OURS = re.compile(rb"(?<![A-Za-z0-9])[sp]k-heli(?:cone|ograph)[\w-]*")
"""Heliograph's keys, and Helicone's (its proxy's key patterns, read 2026-11-24)."""
_DECODINGS = 3
"""So often a key may have been percent-encoded."""

# fmt: off
_SECRET_NAMES = frozenset({
    "key", "apikey", "api-key", "api_key", "x-api-key", "x-goog-api-key", "access_key", "access-key", "awsaccesskeyid",
    "subscription-key", "ocp-apim-subscription-key", "auth", "authorization", "bearer", "jwt", "token", "access_token",
    "access-token", "accesstoken", "auth_token", "id_token", "refresh_token", "session_token", "session", "secret",
    "client_secret", "password", "passwd", "pwd", "credential", "credentials", "sig", "signature",
})
# fmt: on
_SECRET_ENDINGS = ("key", "token", "secret", "password", "signature")
_SECRET_PREFIXES = ("x-amz-", "x-goog-")
_PLAIN = frozenset(
    {"x-amz-algorithm", "x-amz-date", "x-amz-expires", "x-amz-signedheaders", "x-goog-algorithm", "x-goog-date", "x-goog-expires"}
)
_SECRET_VALUES = ("sk-", "pk-helicone", "bearer ")


def mask_query(query: str) -> str:
    """`query` (without its question mark) with the values of key-like parameters replaced by `***`."""
    separated = query.replace(";", "&;")
    return "&".join(_mask_pair(pair) for pair in separated.split("&")).replace("&;", ";")


def _mask_pair(pair: str) -> str:
    name, equals, value = pair.partition("=")
    if not equals or not value or not _is_secret(name, value):
        return pair
    return f"{name}={MASK}"


def is_secret_name(plain: str) -> bool:
    """Whether a lower-case name is one of those that secrets have."""
    return plain in _SECRET_NAMES or plain.endswith(_SECRET_ENDINGS) or (plain.startswith(_SECRET_PREFIXES) and plain not in _PLAIN)


def _is_secret(name: str, value: str) -> bool:
    if is_secret_name(unquote_plus(name.removeprefix(";")).lower().strip(" []")):
        return True
    return unquote_plus(value).lower().startswith(_SECRET_VALUES)


def mask_target(target: str) -> str:
    """A request target (`/path?query`) as it may be written down."""
    path, question, query = target.partition("?")
    return f"{path}?{mask_query(query)}" if question else target


def our_key_in(value: bytes) -> str | None:
    """The first of our keys in it, percent-encoded or not."""
    for _ in range(_DECODINGS + 1):
        if found := _OURS.search(value):
            return found[0].decode()
        if b"%" not in value:
            return None
        value = unquote_to_bytes(value)
    return None


def holds_our_key(value: bytes) -> bool:
    return our_key_in(value) is not None


def presented(headers: Sequence[tuple[bytes, bytes]], target: bytes = b"") -> str | None:
    """The key by which a caller says who it is. Names of headers are lower-case.

    Helicone-Auth comes first, whatever it says; then a segment of the path; then one of ours where a provider's key is expected.
    """
    found = dict(headers)
    said = found.get(b"helicone-auth")
    if said is not None:
        plain = said.strip()
        return (plain[7:].strip() if plain[:7].lower() == b"bearer " else plain).decode("latin-1")
    path = target.partition(b"?")[0]
    if (HINT in path or b"%" in path) and (key := our_key_in(path)):
        return key
    for name in _BEARERS:
        value = found.get(name, b"")
        if name == b"authorization":
            value = _plain(value)
        if HINT in value and (key := our_key_in(value)):  # a key in disguise would not be known again when the call goes on
            return key
    return None


_BEARERS = (b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key")


def _plain(authorization: bytes) -> bytes:
    """User and password, where it is those in Base64; else what it was."""
    if authorization[:6].lower() != b"basic ":
        return authorization
    try:
        return base64.b64decode(authorization[6:].strip())
    except binascii.Error:
        return authorization


def without_our_keys(headers: Sequence[tuple[bytes, bytes]]) -> Sequence[tuple[bytes, bytes]]:
    """`headers` less those that hold one of our keys, as their name or in their value."""
    return [(name, value) for name, value in headers if HINT not in name and (HINT not in value or not holds_our_key(value))]


def without_our_key(authorization: bytes) -> bytes | None:
    """An Authorization value less our keys in it; None when nothing remains. User and password are one.

    Helicone documents `Bearer <provider key>, Bearer <its own key>` in one header.
    """
    if authorization[:6].lower() == b"basic ":
        return None if holds_our_key(_plain(authorization)) else authorization
    parts = authorization.split(b",")
    kept = [part.strip() for part in parts if not holds_our_key(part)]
    return authorization if len(kept) == len(parts) else b", ".join(kept) or None


def cleaned_target(target: bytes) -> bytes:
    """A request target less what holds one of our keys: segments of its path, the way to send one by URL alone, and parts of its query.

    Without any it is returned as it came.
    """
    path, _, query = target.partition(b"?")
    if holds_our_key(path):
        path = b"/".join(segment for segment in path.split(b"/") if not holds_our_key(segment)) or b"/"
    elif not holds_our_key(query):
        return target
    kept = b"".join(part for part in re.split(rb"(?=[&;])", query) if not holds_our_key(part))
    return path + b"?" + kept.lstrip(b"&;") if kept else path


def masked(text: bytes) -> bytes:
    """`text` with our keys replaced by `***`."""
    return _OURS.sub(MASK.encode(), text)
