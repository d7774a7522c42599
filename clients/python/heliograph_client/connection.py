"""One connection to Heliograph, kept open from request to request."""

from __future__ import annotations

import codecs
import http.client
import ssl
from typing import Mapping, NamedTuple
from urllib.parse import urlsplit

from heliograph_client.answers import Answer

LONGEST_ANSWER = 16 << 20
"""Bytes. That of a full batch of which every line is refused has about 3 MB."""
codecs.lookup("idna")
"""`getaddrinfo` would import it at the first connection: a fork at that moment leaves its lock closed in the child, for ever."""
_GONE = (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError, ConnectionAbortedError)


class Target(NamedTuple):
    """Where Heliograph is."""

    tls: bool
    host: str
    port: int | None
    prefix: str
    """Of the path."""

    @staticmethod
    def parse(url: object, named: str) -> Target:
        """Raises ValueError, which calls the URL by the name under which it was given."""
        try:
            parts = urlsplit(str(url).strip()) if isinstance(url, str) else None
            if parts and parts.scheme in {"http", "https"} and parts.hostname and not (parts.query or parts.fragment or parts.username):
                return Target(parts.scheme == "https", parts.hostname, parts.port, parts.path.rstrip("/"))
        except ValueError:
            pass
        raise ValueError(f"{named} must be an address such as http://localhost:8787")


class Connection:
    """Of one thread. `timeout_s` is for each wait on the socket, not for the whole."""

    def __init__(self, target: Target, timeout_s: float) -> None:
        self._target, self._timeout_s = target, timeout_s
        self._open: http.client.HTTPConnection | None = None

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Raises OSError and http.client.HTTPException; the next request opens a new connection then."""
        kept = self._open is not None
        try:
            return self._post(path, body, headers)
        except _GONE:
            self.close()
            if not kept:
                raise
        except BaseException:
            self.close()
            raise
        try:
            return self._post(path, body, headers)  # the server had closed it while nothing was said
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        connection, self._open = self._open, None
        if connection is not None:
            connection.close()

    def _post(self, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        if self._open is None:
            self._open = self._connected()
        self._open.request("POST", self._target.prefix + path, body, dict(headers))
        with self._open.getresponse() as response:
            found = response.read(LONGEST_ANSWER)
            if response.will_close or not response.isclosed():
                self.close()
            return Answer(response.status, response.headers.get("Retry-After"), found)

    def _connected(self) -> http.client.HTTPConnection:
        target = self._target
        if target.tls:
            return http.client.HTTPSConnection(target.host, target.port, timeout=self._timeout_s, context=ssl.create_default_context())
        return http.client.HTTPConnection(target.host, target.port, timeout=self._timeout_s)
