"""Sessions of the dashboard: a cookie that holds the key somebody signed in with, sealed, and tokens that show a write was meant.

AES-256-GCM (NIST SP 800-38D); both ciphers' keys are drawn by HKDF-SHA256 (RFC 5869) from the operator's secret, or anew at every start
where there is none, and everybody signs in again then. Nothing is kept here: the key in the cookie is judged anew with every request, so
one that is revoked ends its sessions at once. A token is a nonce and its HMAC with the session (OWASP, "signed double-submit cookie",
read 2026-11); it is another in every answer, so that its length under compression tells nothing.
"""

import base64
import binascii
import hmac
import secrets
from collections.abc import Callable

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from msgspec import Struct

LASTS_S = 30 * 24 * 3600
KEY_CHARACTERS = 500
NONCE_BYTES = 12
_ABOUT = b"heliograph dashboard session"


class Session(Struct, frozen=True, kw_only=True):
    """Who signed in, and until when that holds."""

    key: str
    ends: int
    """Seconds since 1970."""

    def __repr__(self) -> str:
        return f"Session(ends={self.ends})"


class Sessions:
    """Seals, opens, and makes tokens. `clock` gives seconds since 1970."""

    def __init__(self, secret: str | None, clock: Callable[[], float]) -> None:
        root = secrets.token_bytes(32) if secret is None else secret.encode()
        self._cipher = AESGCM(_drawn(root, _ABOUT))
        self._token_key = _drawn(root, b"heliograph dashboard tokens")
        self._clock = clock

    def begin(self, key: str) -> str:
        """The cookie's value."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        said = msgspec.json.encode(Session(key=key, ends=int(self._clock()) + LASTS_S))
        return _text(nonce + self._cipher.encrypt(nonce, said, _ABOUT))

    def open(self, cookie: str | None) -> Session | None:
        """None where it is not ours, or has ended."""
        raw = _bytes(cookie)
        try:
            said = self._cipher.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], _ABOUT)
            session = msgspec.json.decode(said, type=Session)
        except (InvalidTag, ValueError, msgspec.MsgspecError):
            return None
        return session if session.ends > self._clock() else None

    def token(self, bound: str) -> str:
        """For the writes of whoever has the cookie `bound`."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return _text(nonce + self._signed(nonce, bound))

    def meant(self, token: str | None, bound: str) -> bool:
        """Whether a write carries a token that was made for whoever has this cookie."""
        raw = _bytes(token)
        return hmac.compare_digest(raw[NONCE_BYTES:], self._signed(raw[:NONCE_BYTES], bound))

    def _signed(self, nonce: bytes, bound: str) -> bytes:
        return hmac.digest(self._token_key, nonce + bound.encode("utf-8", "replace"), "sha256")


def _drawn(root: bytes, about: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=about).derive(root)


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _bytes(text: str | None) -> bytes:
    """Nothing where it is no base64."""
    said = (text or "")[:4096]
    try:
        return base64.b64decode(said + "=" * (-len(said) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""
