"""The demo provider on the wire: it tells exactly what arrived, repeats itself, and breaks exactly as asked."""

import hashlib
import http.client
import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from runtime.demo_faults import Faults, UnknownFault, parse_faults
from tests.fakes.stack import Stack

CHAT: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello!"}]}
PATHS = ["/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/embeddings", "/v1/messages"]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    made = Stack(folder=tmp_path_factory.mktemp("demo"))
    made.start_provider()
    yield made.provider
    made.stop("provider")


def ask(base: str, fault: str = "", path: str = PATHS[0], body: Any = CHAT) -> httpx.Response:
    return httpx.post(base + path, json=body, headers={"x-demo-fault": fault}, timeout=10)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", PATHS)
def test_the_same_request_is_answered_by_the_same_bytes(base: str, path: str, stream: bool) -> None:
    body = CHAT | {"prompt": "Hi", "input": "Hi", "stream": stream}
    first, second = (ask(base, path=path, body=body) for _ in range(2))
    assert first.status_code == 200
    assert (first.content, first.headers) == (second.content, second.headers)
    assert not {"server", "date"} & set(first.headers)


@pytest.mark.parametrize("target", ["/v1/echo", "/v1/echo?", "/v1/echo/a%2Fb//c/%2e%2e/d;p=1?x=1&x=&q", "/v1/echo/?a=b?c"])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_the_echo_tells_what_arrived(base: str, method: str, target: str) -> None:
    connection = http.client.HTTPConnection(base.removeprefix("http://"), timeout=5)
    connection.request(method, target, b"\0body", {"x-twice": "one", "X-Other": "two"})
    seen = json.loads(connection.getresponse().read())
    connection.close()
    assert (seen["method"], seen["raw_path"]) == (method, target)
    assert (seen["body_bytes"], seen["body_sha256"]) == (5, hashlib.sha256(b"\0body").hexdigest())
    assert ["x-other", "two"] in seen["headers"]


def test_the_models_have_a_head(base: str) -> None:
    answer = httpx.head(f"{base}/v1/models")
    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer.headers["content-length"]) > 0


@pytest.mark.parametrize("body", [b"", b"[]", b"7", b"{", b'{"messages": 5}', b'{"tools": [5], "tool_choice": "any"}'])
def test_a_body_that_is_no_request_is_the_clients_fault(base: str, body: bytes) -> None:
    answer = httpx.post(f"{base}/v1/chat/completions", content=body)
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")


def test_elsewhere_is_nothing(base: str) -> None:
    assert ask(base, path="/v1/nowhere").json()["error"]["code"] == "not_found"


def test_faults_are_parsed() -> None:
    assert parse_faults("") == Faults()
    assert parse_faults(" half , split=3,stall-before=0.5") == Faults(half=True, split=3, stall_before=0.5)


@pytest.mark.parametrize("text", ["sliced=1", "split=0", "split=many", "status=99", "encoding=lzma", "delay-ms=-1", "stall-mid"])
def test_an_unknown_fault_is_named(base: str, text: str) -> None:
    with pytest.raises(UnknownFault):
        parse_faults(text)
    answer = ask(base, text)
    assert (answer.status_code, answer.json()["error"]["message"][:14]) == (400, "x-demo-fault: ")


@pytest.mark.parametrize("path", [*PATHS, "/v1/models", "/v1/echo", "/healthz"])
def test_faults_apply_to_every_route(base: str, path: str) -> None:
    assert ask(base, "status=503", path).status_code == 503
    assert len(ask(base, "size=12345", path).content) == 12345
    with pytest.raises(httpx.ReadError):
        ask(base, "reset-before", path)


@pytest.mark.parametrize("status", [201, 204, 302, 304, 400, 404, 529])
def test_a_status_is_as_asked(base: str, status: int) -> None:
    answer = ask(base, f"status={status}")
    assert (answer.status_code, answer.content == b"") == (status, status in {204, 304})


def test_malformed_json_is_malformed(base: str) -> None:
    with pytest.raises(ValueError, match="Expecting"):
        ask(base, "malformed-json").json()
    assert b'choices": [\n\n' in ask(base, "malformed-json", body=CHAT | {"stream": True}).content


@pytest.mark.parametrize("path", [path for path in PATHS if path != "/v1/embeddings"])
def test_chunks_are_counted(base: str, path: str) -> None:
    text = ask(base, "chunks=17", path, CHAT | {"stream": True}).text
    assert "word16 " in text
    assert "word17 " not in text


def raw(base: str, fault: str, *, stream: bool = False) -> tuple[dict[str, str], bytes, bool]:
    """The headers and body that a socket reads, and whether it ended in a reset."""
    host, port = base.removeprefix("http://").split(":")
    body, seen, was_reset = json.dumps(CHAT | {"stream": stream}).encode(), b"", False
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nx-demo-fault: {fault}\r\ncontent-length: {len(body)}\r\n\r\n"
    with socket.create_connection((host, int(port)), 5) as client:
        client.sendall(head.encode() + body)
        try:
            while piece := client.recv(65536):
                seen += piece
        except ConnectionResetError:
            was_reset = True
    answered, _, rest = seen.partition(b"\r\n\r\n")
    lines = (line.partition(": ") for line in answered.decode().split("\r\n")[1:])
    return {name: value for name, _, value in lines}, rest, was_reset


def test_a_reset_is_a_reset(base: str) -> None:
    assert raw(base, "reset-before") == ({}, b"", True)
    headers, body, was_reset = raw(base, "reset-after=40")
    assert (len(body), was_reset) == (40, True)
    assert int(headers["content-length"]) > 40


def test_half_an_answer_announces_all_of_it(base: str) -> None:
    headers, body, was_reset = raw(base, "half")
    assert (len(body), was_reset) == (int(headers["content-length"]) // 2, False)


def test_half_a_stream_is_half_its_events_and_no_end(base: str) -> None:
    whole = ask(base, body=CHAT | {"stream": True}).text.count("data: ")
    _, body, was_reset = raw(base, "half", stream=True)
    assert (body.count(b"data: "), was_reset) == (whole // 2, False)
    assert not body.endswith(b"0\r\n\r\n")


def test_a_wrong_length_promises_more_than_comes(base: str) -> None:
    headers, body, _ = raw(base, "wrong-length")
    assert int(headers["content-length"]) == len(body) + 10


def test_split_is_as_many_writes_of_the_same_bytes(base: str) -> None:
    with httpx.stream("POST", f"{base}/v1/chat/completions", json=CHAT, headers={"x-demo-fault": "split=100, delay-ms=15"}) as answer:
        pieces = list(answer.iter_raw())
    size = int(answer.headers["content-length"])
    assert [len(piece) for piece in pieces] == [100] * (size // 100) + [size % 100] * bool(size % 100)
    assert b"".join(pieces) == ask(base).content == ask(base, "split=1").content


@pytest.mark.parametrize("stream", [False, True])
def test_stalls_fall_where_they_should(base: str, stream: bool) -> None:
    body, begun = CHAT | {"stream": stream}, time.monotonic()
    with httpx.stream("POST", f"{base}/v1/chat/completions", json=body, headers={"x-demo-fault": "stall-mid=0.5"}) as answer:
        head_s = time.monotonic() - begun
        content = b"".join(answer.iter_raw())
    assert head_s < 0.5 <= time.monotonic() - begun
    assert content == ask(base, body=body).content
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{base}/v1/echo", headers={"x-demo-fault": "stall-before=1"}, timeout=0.2)
