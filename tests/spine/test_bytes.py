"""The proxied bytes are sacred: what passes through Heliograph is what passes without it."""

import hashlib
import os
import threading
from collections.abc import Iterator

import httpx
import pytest

from tests.fakes.soak import children
from tests.fakes.stack import Stack

BODY = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}
FRAMING = {"date", "server", "connection", "keep-alive", "transfer-encoding", "content-length", "helicone-id", "helicone-status"}


def raw(base: str, path: str, fault: str, body: dict[str, object]) -> tuple[int, bytes, dict[str, str]]:
    """Status, undecoded body and end-to-end headers of one call."""
    headers = {"authorization": "Bearer sk-test", "x-demo-fault": fault, "accept-encoding": "gzip, br, zstd"}
    with httpx.stream("POST", base + path, json=body, headers=headers, timeout=30) as answer:
        content = b"".join(answer.iter_raw())
    return answer.status_code, content, {name: value for name, value in answer.headers.items() if name not in FRAMING}


ANSWERS = {
    "plain": "",
    "gzip": "encoding=gzip",
    "brotli": "encoding=br",
    "zstd": "encoding=zstd",
    "split bytewise": "split=1",
    "split in sevens, gzip": "split=7, encoding=gzip",
    "empty": "size=0",
    "one byte": "size=1",
    "a megabyte": "size=1048576",
    "20 MB": "size=20971520",
    "204": "status=204",
    "304": "status=304",
    "an error": "status=503",
    "malformed JSON": "malformed-json",
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("fault", ANSWERS.values(), ids=ANSWERS)
def test_answers_are_the_same_with_and_without_us(stack: Stack, fault: str, stream: bool) -> None:
    direct = raw(stack.provider, "/v1/chat/completions", fault, BODY | {"stream": stream})
    through = raw(stack.proxy, "/v1/chat/completions", fault, BODY | {"stream": stream})
    assert through == direct


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_encoded_answers_are_understood_in_the_copy(stack: Stack, encoding: str, stream: bool) -> None:
    headers = {"authorization": "Bearer sk-test", "x-demo-fault": f"encoding={encoding}", "accept-encoding": encoding}
    body = BODY | {"stream": stream, "stream_options": {"include_usage": True}} if stream else BODY
    answer = httpx.post(f"{stack.proxy}/v1/chat/completions", json=body, headers=headers)
    assert answer.headers["content-encoding"] == encoding
    row = stack.row(f"request_id = '{answer.headers['helicone-id']}'")
    assert row["completion_tokens"] > 0


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 1 << 20, 20 << 20])
@pytest.mark.parametrize("chunked", [False, True], ids=["sized", "chunked"])
def test_request_bodies_arrive_unaltered(stack: Stack, size: int, chunked: bool) -> None:
    content = os.urandom(size)

    def pieces() -> Iterator[bytes]:
        for start in range(0, size, 50_000):
            yield content[start : start + 50_000]

    seen = httpx.post(f"{stack.proxy}/v1/echo", content=pieces() if chunked else content, timeout=60).json()
    assert seen["body_bytes"] == size
    assert seen["body_sha256"] == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "POST"])
def test_every_method_path_and_query_pass_as_written(stack: Stack, method: str) -> None:
    path = "/v1/echo/a%2Fb/%7Etilde;p=1//double/%2e%2e/up?x=1&x=2&empty=&plus=a+b&pct=%26&q"
    seen, direct = (httpx.request(method, base + path).json() for base in (stack.proxy, stack.provider))
    assert seen["method"] == method
    assert seen["raw_path"] == direct["raw_path"] == path


def test_head_has_no_body(stack: Stack) -> None:
    answer = httpx.head(f"{stack.proxy}/v1/models")
    assert answer.status_code == 200
    assert answer.content == b""


def test_end_to_end_headers_pass_and_hop_by_hop_headers_do_not(stack: Stack) -> None:
    sent = {
        "x-kept": "käse".encode(),
        "openai-organization": b"org-1",
        "x-named": b"secret-hop",
        "connection": b"x-named, keep-alive",
        "te": b"trailers",
        "proxy-authorization": b"Basic abc",
    }
    seen = httpx.post(f"{stack.proxy}/v1/echo", headers=list(sent.items()), content=b"x").json()
    names = {name.lower() for name, _ in seen["headers"]}
    assert {"x-kept", "openai-organization"} <= names
    assert not {"x-named", "te", "proxy-authorization", "keep-alive"} & names
    assert dict(seen["headers"])["host"] == f"127.0.0.1:{stack.provider_port}"


def test_an_upload_of_100_mb_in_constant_memory(stack: Stack) -> None:
    (worker,) = children(stack, "ingress")
    httpx.post(f"{stack.proxy}/v1/echo", content=b"warm")
    before, highest, over = worker.memory_info().rss, 0, threading.Event()

    def watch() -> None:
        nonlocal highest
        while not over.wait(0.02):
            highest = max(highest, worker.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    piece = os.urandom(1 << 20)
    seen = httpx.post(f"{stack.proxy}/v1/echo", content=(piece for _ in range(100)), timeout=60).json()
    over.set()
    watcher.join()
    assert seen["body_bytes"] == 100 << 20
    assert highest - before < 60 << 20, f"{(highest - before) >> 20} MB more than before"
