"""Links that open one thing for a while, without a key: the address has what it opens, the time it ends, and a signature over both.

HMAC-SHA256 (RFC 2104). The key is drawn from the operator's secret (HKDF, RFC 5869); without one it is drawn anew at every start, and links
of before no longer open. What a webhook is told has links of the webhook's own key, which open for as long as there is the webhook.
"""

import base64
import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from urllib.parse import urlencode

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from starlette.requests import Request

LASTS_S = 24 * 3600
EXPIRES, SIGNATURE, WEBHOOK = "expires", "signature", "webhook"

KeyOf = Callable[[str], str | None]
"""The key of a webhook's links, by its id; None: there is none."""


class Links:
    """Makes links, and knows its own."""

    def __init__(
        self,
        secret: str | None = None,
        *,
        public_url: str | None = None,
        key_of: KeyOf = lambda _: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`public_url`: where this server is found; None: where each request found it."""
        self._public_url = public_url
        self._key_of = key_of
        self._clock = clock
        self._key = _key(secrets.token_bytes(32) if secret is None else secret.encode())

    def to(self, path: str, request: Request, **named: str) -> str:
        """The address of `path`, which begins with a slash; `named` are its query parameters."""
        base = (self._public_url or str(request.base_url)).rstrip("/")
        return base + signed(path, self._key, self._clock(), named)

    def opens(self, path: str, said: Mapping[str, str]) -> bool:
        """Whether a link of ours, that has not ended, is what was followed."""
        named = {name: value for name, value in said.items() if name != SIGNATURE}
        ends = named.get(EXPIRES, "")
        in_time = ends.isascii() and ends.isdigit() and len(ends) < 20 and int(ends) >= self._clock()
        key = self._key_for(named)
        return (
            in_time
            and key is not None
            and hmac.compare_digest(_signature(path, key, named), said.get(SIGNATURE, "").encode(errors="replace"))
        )

    def _key_for(self, named: Mapping[str, str]) -> bytes | None:
        if WEBHOOK not in named:
            return self._key
        secret = self._key_of(named[WEBHOOK])
        return None if secret is None else _key(secret.encode())


def webhook_link(base: str, path: str, *, webhook: str, secret: str, now: float, **named: str) -> str:
    """The address of `path` at `base`, for the receiver of a webhook."""
    return base.rstrip("/") + signed(path, _key(secret.encode()), now, {**named, WEBHOOK: webhook})


def signed(path: str, key: bytes, now: float, named: Mapping[str, str]) -> str:
    ends = {**named, EXPIRES: str(int(now) + LASTS_S)}
    return f"{path}?{urlencode({**ends, SIGNATURE: _signature(path, key, ends).decode()})}"


def _key(drawn: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=b"heliograph links").derive(drawn)


def _signature(path: str, key: bytes, named: Mapping[str, str]) -> bytes:
    over = f"{path}?{urlencode(sorted(named.items()), errors='replace')}".encode()
    return base64.urlsafe_b64encode(hmac.digest(key, over, "sha256")).rstrip(b"=")


def links_of(request: Request) -> Links:
    """The app's: whoever makes it sets them."""
    links: Links = request.app.state.links
    return links
