"""The line between an asker and an answerer: messages over a pair of sockets, in blocking calls."""

import socket
from threading import Lock
from typing import IO

from storage.asked import HEAD, Kind, framed


class HungUp(Exception):
    """The other end is gone."""


class Line:
    """One end. One thread may hear while others say."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._reading: IO[bytes] = end.makefile("rb")
        self._saying = Lock()
        """A message goes out whole: a stop may come while a long question is being said."""

    def patient_for(self, seconds: float | None) -> None:
        """How long `hear` waits before it raises TimeoutError; None: for ever."""
        self._socket.settimeout(seconds)

    def hear(self) -> tuple[Kind, bytes]:
        """The next message. Raises HungUp."""
        length, kind = HEAD.unpack(self._exactly(HEAD.size))
        return Kind(kind), self._exactly(length)

    def say(self, kind: Kind, payload: bytes | memoryview = b"") -> None:
        """Raises HungUp."""
        try:
            with self._saying:
                self._socket.sendall(framed(kind, payload))
        except ConnectionError as error:
            raise HungUp from error

    def close(self) -> None:
        self._reading.close()
        self._socket.close()

    def _exactly(self, length: int) -> bytes:
        try:
            found = self._reading.read(length)
        except ConnectionError as error:
            raise HungUp from error
        if len(found) < length:
            raise HungUp
        return found
