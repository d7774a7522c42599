"""Links that open one thing for a while, without a key: the address has what it opens, the time it ends, and a signature over both.

HMAC-SHA256 (RFC 2104). The key is drawn from the operator's secret (HKDF, RFC 5869); without one it is drawn anew at every start, and links
of before no longer open.
"""

import base64
import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from urllib.parse import urlencode

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from fastapi import Request

LASTS_S = 24 * 3600
EXPIRES, SIGNATURE = "expires", "signature"


class Links:
    """Makes links, and knows its own."""

    def __init__(self, secret: str | None = None, *, public_url: str | None = None, clock: Callable[[], float] = time.time) -> None:
        """`public_url`: where this server is found; None: where each request found it."""
        self._public_url = public_url
        self._clock = clock
        drawn = secrets.token_bytes(32) if secret is None else secret.encode()
        self._key = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"heliograph links").derive(drawn)

    def to(self, path: str, request: Request, **named: str) -> str:
        """The address of `path`, which begins with a slash; `named` are its query parameters."""
        base = (self._public_url or str(request.base_url)).rstrip("/")
        ends = {**named, EXPIRES: str(int(self._clock()) + LASTS_S)}
        return f"{base}{path}?{urlencode({**ends, SIGNATURE: self._signature(path, ends)})}"

    def opens(self, path: str, said: Mapping[str, str]) -> bool:
        """Whether a link of ours, that has not ended, is what was followed."""
        named = {name: value for name, value in said.items() if name != SIGNATURE}
        ends = named.get(EXPIRES, "")
        in_time = ends.isascii() and ends.isdigit() and len(ends) < 20 and int(ends) >= self._clock()
        return in_time and hmac.compare_digest(self._signature(path, named).encode(), said.get(SIGNATURE, "").encode(errors="replace"))

    def _signature(self, path: str, named: Mapping[str, str]) -> str:
        signed = f"{path}?{urlencode(sorted(named.items()), errors='replace')}".encode()
        return base64.urlsafe_b64encode(hmac.digest(self._key, signed, "sha256")).rstrip(b"=").decode()


def links_of(request: Request) -> Links:
    """The app's: whoever makes it sets them."""
    links: Links = request.app.state.links
    return links
