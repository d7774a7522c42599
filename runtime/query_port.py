"""The running query side, as a command of this machine asks it."""

import http.client
import json
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import msgspec

from runtime.settings import Misconfigured, Settings
from storage.asked import Take, Told
from storage.refusal import Refusal, Refused

READ_BYTES = 256 << 10
SLACK_S = 10.0
"""Beyond the time of a question, until its answer begins."""


class Cancelled(Exception):
    """Nobody waits for the answer any more."""


class QueryPort:
    """One request at a time; `cancel` comes from another thread."""

    def __init__(self, chosen: Settings) -> None:
        self._chosen = chosen
        self._request: _Request | None = None

    def ask(self, said: dict[str, Any], take: Take) -> Told:
        """Hands on the answer to `POST /v1/query` as it comes.

        Raises Refused, Cancelled, and ConnectionRefusedError where nobody listens.
        """
        with self._sent("POST", "/v1/query", said) as answer:
            if answer.status != 200:
                raise Refused(_refusal(answer.all(), answer.status))
            while piece := answer.read():
                take(piece)
            rows = None if "heliograph-limits" in answer.headers else int(answer.headers.get("heliograph-rows", 0))
            unread = int(answer.headers.get("heliograph-unread-files", 0))
            return Told(rows=rows, truncated="heliograph-truncated" in answer.headers, unread=("a file",) * unread)

    def rest(self, method: str, path: str, said: dict[str, Any] | None = None) -> Any:
        """`data` of an endpoint that answers as Helicone's API does. Raises as `ask`."""
        with self._sent(method, path, said) as answer:
            body = answer.all()
            if answer.status not in {200, 201}:
                raise Refused(_refusal(body, answer.status))
            return json.loads(body)["data"]

    def cancel(self) -> None:
        """Ends the request that goes on: the query side stops a question whose client has left."""
        if self._request is not None:
            self._request.cancel()

    @contextmanager
    def _sent(self, method: str, path: str, said: dict[str, Any] | None) -> Iterator["_Request"]:
        headers = {} if said is None else {"content-type": "application/json"}
        if self._chosen.api_key is not None:
            headers["authorization"] = f"Bearer {key_said(self._chosen.api_key.get_secret_value())}"
        self._request = _Request(self._chosen.api_port, self._chosen.query.timeout_s + SLACK_S)
        try:
            self._request.send(method, path, None if said is None else json.dumps(said).encode(), headers)
            yield self._request
        finally:
            self._request.close()
            self._request = None


class _Request:
    """One request, and its answer while it is read. What goes wrong on the way is Refused, or Cancelled."""

    def __init__(self, port: int, patience_s: float) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=patience_s)
        self._answer: http.client.HTTPResponse
        self._cancelled = False
        self.status, self.headers = 0, http.client.HTTPMessage()

    def send(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> None:
        """Until the head of the answer is there. Raises ConnectionRefusedError too."""
        try:
            self._connection.connect()
            self._connection.request(method, path, body, headers)
            self._answer = self._connection.getresponse()
        except ConnectionRefusedError:
            raise
        except (OSError, http.client.HTTPException) as error:
            self._raise_cancelled()
            message = f"The query side does not answer: {error or type(error).__name__}."
            raise Refused(Refusal(code="unreachable", message=message, fix="Look at its log, or try again.")) from None
        self.status, self.headers = self._answer.status, self._answer.headers

    def read(self) -> bytes:
        """The next piece; empty at the end."""
        try:
            piece = self._answer.read(READ_BYTES)
        except (OSError, http.client.HTTPException):
            piece = None
        if piece is None or (not piece and self._answer.length):
            self._raise_cancelled()
            raise Refused(_broken_off(self.headers.get("heliograph-limits"))) from None
        return piece

    def all(self) -> bytes:
        return b"".join(iter(self.read, b""))

    def cancel(self) -> None:
        self._cancelled = True
        if self._connection.sock is not None:
            with suppress(OSError):
                self._connection.sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._connection.close()

    def _raise_cancelled(self) -> None:
        if self._cancelled:
            raise Cancelled from None


def key_said(said: str) -> str:
    """A key as it may stand in a header. Raises Misconfigured, which does not say it again."""
    key = said.strip()
    if re.fullmatch(r"[\x21-\x7e]+", key) is None:
        raise Misconfigured("HELIOGRAPH_API_KEY is no key: it has blanks, line ends or other signs in it.")
    return key


def _broken_off(limits: str | None) -> Refusal:
    return Refusal(
        code="broken_off",
        message="The answer broke off: what came is not all." + (f" It met a limit ({limits}), or failed." if limits else ""),
        fix="Ask for less, or add a LIMIT; the log of the query side says why (answer_broken_off).",
    )


class _Told(msgspec.Struct):
    error: Refusal | str


def _refusal(body: bytes, status: int) -> Refusal:
    """Of either shape of errors."""
    try:
        told = msgspec.json.decode(body, type=_Told).error
    except msgspec.DecodeError:
        return Refusal(
            code="not_heliograph",
            message=f"What listens on the query port answered {status}, and not as Heliograph does.",
            fix="Look at HELIOGRAPH_API_PORT.",
        )
    if isinstance(told, Refusal):
        return told
    return Refusal(code="refused", message=f"{told.rstrip('.')}.", fix=f"It was answered with the status {status}.", status=status)
