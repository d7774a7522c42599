"""A small server that takes logs as Heliograph's batch endpoint does: each request is answered by the next words of a script, and kept."""

import gzip
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Taken:
    path: str
    headers: dict[str, str]
    """By their names in lower case."""
    raw: bytes
    peer: tuple[str, int]

    @property
    def batch(self) -> str:
        return self.headers.get("heliograph-batch", "")

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in gzip.decompress(self.raw).split(b"\n")]

    @property
    def models(self) -> list[str]:
        """Of the requests, by which tests tell calls apart."""
        return [line["providerRequest"]["json"].get("model") for line in self.lines]


@dataclass(frozen=True)
class Says:
    status: int = 200
    body: Any = None
    """None: all lines are accepted."""
    headers: dict[str, str] = field(default_factory=dict)
    hangs_up: bool = False
    """It ends the connection in the place of an answer."""


def accepting(taken: Taken) -> Says:
    return Says()


Script = Says | Callable[[Taken], Says]


class LogTaker:
    """`script` is used up, answer by answer; then `then` goes on. What comes is kept, unless there is too much of it."""

    def __init__(
        self,
        script: Sequence[Script] = (),
        *,
        then: Script = accepting,
        port: int = 0,
        keeps: bool = True,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.script, self.then, self._keeps = list(script), then, keeps
        self.taken: list[Taken] = []
        self._came = threading.Condition()
        self._open: list[socket.socket] = []
        self._server = self._listening(port)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def batches(self) -> list[Taken]:
        return [taken for taken in self.taken if taken.path == "/v1/log/batch"]

    def wait_for(self, what: Callable[["LogTaker"], bool], *, seconds: float = 30) -> None:
        """`seconds` is patience for a busy machine."""
        with self._came:
            assert self._came.wait_for(lambda: what(self), seconds), self.taken

    def stop(self) -> None:
        """And ends the connections that are open."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _listening(self, port: int) -> ThreadingHTTPServer:
        taker = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self) -> None:
                super().setup()
                taker._open.append(self.connection)

            def do_POST(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                raw = self.rfile.read(int(headers["content-length"]))
                taken = Taken(self.path, headers, raw, self.client_address[:2])
                with taker._came:
                    says = taker.script.pop(0) if taker.script else taker.then
                says = says if isinstance(says, Says) else says(taken)
                with taker._came:
                    if taker._keeps:
                        taker.taken.append(taken)
                    taker._came.notify_all()
                if says.hangs_up:
                    self.close_connection = True
                    return
                body = json.dumps({"accepted": [], "refused": []} if says.body is None else says.body).encode()
                self.send_response(says.status)
                for name, value in {**says.headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *said: Any) -> None: ...

        server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        server.daemon_threads = True
        return server


@contextmanager
def log_taker(*script: Script, then: Script = accepting, port: int = 0) -> Iterator[LogTaker]:
    made = LogTaker(script, then=then, port=port)
    try:
        yield made
    finally:
        made.stop()


def until(what: Callable[[], bool], *, seconds: float = 30) -> None:
    """What no event tells of."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)
