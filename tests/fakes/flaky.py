"""A provider that fails at first: before another one, which answers everything else."""

import contextlib
import http.client
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Flaky:
    """Answers 503 to so many requests whose body holds `mark`; all others are the provider's."""

    provider_port: int
    mark: bytes
    failures: int
    port: int = 0
    marked: list[int] = field(default_factory=list)
    """What requests with the mark were answered, in their order."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextlib.contextmanager
def flaky(made: Flaky) -> Iterator[Flaky]:
    """Running, until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            status, kind, said = self._failure() if self._fails(body) else self._asked(body)
            if made.mark in body:
                made.marked.append(status)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def _fails(self, body: bytes) -> bool:
            return made.mark in body and len(made.marked) < made.failures

        def _failure(self) -> tuple[int, str, bytes]:
            return 503, "application/json", b'{"error": {"message": "not now", "type": "server_error"}}'

        def _asked(self, body: bytes) -> tuple[int, str, bytes]:
            asking = http.client.HTTPConnection("127.0.0.1", made.provider_port, timeout=10)
            with contextlib.closing(asking):
                asking.request("POST", self.path, body, {"Content-Type": "application/json"})
                answer = asking.getresponse()
                return answer.status, answer.headers["content-type"], answer.read()

        def log_message(self, *_words: object) -> None:
            """Nothing: the calls are looked at, not their log."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield made
        finally:
            server.shutdown()
