"""What must not be written down, and what must not be sent on.

Credentials come in three places that are kept: the query of a URL, its user information, and (Heliograph's own keys only) a segment of
its path. Masking leaves order and spelling of the rest alone, so that a stored URL can be compared with what a provider logs.
"""

from urllib.parse import unquote_plus

MASK = "***"
OUR_KEYS = (b"sk-helicone", b"pk-helicone")
"""How a Heliograph key begins; Helicone's begin the same way (its proxy's key patterns, read 2026-11-24)."""

# fmt: off
_SECRET_NAMES = frozenset({
    "key", "apikey", "api-key", "api_key", "x-api-key", "x-goog-api-key", "access_key", "access-key", "awsaccesskeyid",
    "subscription-key", "ocp-apim-subscription-key", "auth", "authorization", "bearer", "jwt", "token", "access_token",
    "access-token", "accesstoken", "auth_token", "id_token", "refresh_token", "session_token", "session", "secret",
    "client_secret", "password", "passwd", "pwd", "credential", "credentials", "sig", "signature",
})
# fmt: on
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


def _is_secret(name: str, value: str) -> bool:
    plain = unquote_plus(name.removeprefix(";")).strip().lower()
    if plain in _SECRET_NAMES or (plain.startswith(_SECRET_PREFIXES) and plain not in _PLAIN):
        return True
    return unquote_plus(value).lower().startswith(_SECRET_VALUES)


def mask_target(target: str) -> str:
    """A request target (`/path?query`) as it may be written down."""
    path, question, query = target.partition("?")
    return f"{path}?{mask_query(query)}" if question else target


def is_our_key(value: bytes) -> bool:
    """Whether a credential is a Heliograph key, which providers must never see; `Bearer` before it or not."""
    bare = value.strip()
    if bare[:7].lower() == b"bearer ":
        bare = bare[7:].lstrip()
    return bare.startswith(OUR_KEYS)


def without_our_key(authorization: bytes) -> bytes | None:
    """An Authorization value less the Heliograph keys in it; None when nothing remains.

    Helicone documents `Bearer <provider key>, Bearer <its own key>` in one header.
    """
    kept = [part.strip() for part in authorization.split(b",") if not is_our_key(part)]
    return b", ".join(kept) or None


def without_key_segment(path: bytes) -> bytes:
    """`path` less the segments that are Heliograph keys: the way to send one by URL alone."""
    segments = path.split(b"/")
    kept = [segment for segment in segments if not segment.startswith(OUR_KEYS)]
    return b"/".join(kept) or b"/"
