"""What is sent to confuse, to smuggle or to hold a connection: refused with a status, or cut; the next caller notices nothing."""

import contextlib
import json
import re
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator

import httpx
import pytest

from tests.fakes.stack import Stack
from tests.fakes.stack import stack as running

HOST = b"Host: localhost\r\n"
POST = b"POST /v1/echo HTTP/1.1\r\n" + HOST
TARGETS = {
    "decimal": "http://2130706433/",
    "octal": "http://0177.0.0.1/",
    "hexadecimal": "http://0x7f000001/",
    "short": "http://127.1/",
    "IPv6": "http://[::1]/",
    "IPv6-mapped": "http://[::ffff:127.0.0.1]/",
    "zero": "http://0.0.0.0/",
    "metadata": "http://169.254.169.254/latest/meta-data",
    "private": "http://10.0.0.1/",
    "shared": "http://100.64.0.1/",
    "a name of this machine": "http://localhost/",
}


def talk(stack: Stack, sent: bytes, *, seconds: float = 5) -> bytes:
    """All that comes back until the connection closes or nothing comes any more."""
    received = b""
    with socket.create_connection(("127.0.0.1", stack.port), seconds) as client:
        client.sendall(sent)
        client.settimeout(1.5)
        with contextlib.suppress(TimeoutError, ConnectionResetError):
            while piece := client.recv(65536):
                received += piece
    return received


SMUGGLING = {
    "both framings": POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /v1/models HTTP/1.1\r\n" + HOST + b"\r\n",
    "two lengths": POST + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
    "two lengths in one": POST + b"Content-Length: 4, 5\r\n\r\nabcde",
    "a length with a sign": POST + b"Content-Length: +4\r\n\r\nabcd",
    "a length that is none": POST + b"Content-Length: 4x\r\n\r\nabcd",
    "a folded header": POST + b"X-One: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    "a space before the colon": POST + b"Content-Length : 4\r\n\r\nabcd",
    "an unknown transfer coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked not last": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "chunked twice": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a bad chunk size": POST + b"Transfer-Encoding: chunked\r\n\r\n0x4\r\nabcd\r\n0\r\n\r\n",
    "a NUL in a value": POST + b"X-One: a\0b\r\nContent-Length: 0\r\n\r\n",
    "a bare CR in a value": POST + b"X-One: a\rb\r\nContent-Length: 0\r\n\r\n",
    "a header name that is none": POST + b"X One: a\r\nContent-Length: 0\r\n\r\n",
    "no host": b"POST /v1/echo HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
    "two hosts": POST + HOST + b"Content-Length: 0\r\n\r\n",
    "no HTTP at all": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 60,
    "another version": b"POST /v1/echo HTTP/3.0\r\n" + HOST + b"Content-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("sent", SMUGGLING.values(), ids=SMUGGLING)
def test_ambiguous_requests_are_refused_and_cut(stack: Stack, sent: bytes) -> None:
    received = talk(stack, sent)
    statuses = re.findall(rb"HTTP/1\.1 (\d\d\d)", received)
    assert statuses in ([], [b"400"], [b"501"], [b"505"]), received


def test_a_head_that_is_too_large_is_refused(stack: Stack) -> None:
    sent = POST + b"X-Large: " + b"x" * 70_000 + b"\r\nContent-Length: 0\r\n\r\n"
    assert re.match(rb"HTTP/1\.1 431 ", talk(stack, sent))


def test_many_headers_within_the_limit_pass(stack: Stack) -> None:
    headers = {f"x-header-{number}": "v" * 100 for number in range(300)}
    seen = httpx.post(f"{stack.proxy}/v1/echo", headers=headers).json()
    assert len([name for name, _ in seen["headers"] if name.lower().startswith("x-header-")]) == 300


def test_a_half_head_does_not_stop_others(stack: Stack) -> None:
    with socket.create_connection(("127.0.0.1", stack.port), 5) as slow:
        slow.sendall(POST + b"X-Slow: ")
        assert httpx.post(f"{stack.proxy}/v1/echo", content=b"x").status_code == 200


def test_header_values_from_a_caller_cannot_split_the_upstream_request(stack: Stack) -> None:
    answer = httpx.post(f"{stack.proxy}/v1/echo", headers={"helicone-target-url": f"{stack.provider}/\tx"}, content=b"x")
    assert answer.status_code in {200, 400}


@pytest.fixture(scope="module")
def strict_targets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running(tmp_path_factory.mktemp("targets"), HELIOGRAPH_ALLOW_PRIVATE_TARGETS="false") as made:
        yield made


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_private_targets_are_refused(strict_targets: Stack, target: str) -> None:
    answer = httpx.post(f"{strict_targets.proxy}/v1/x", json={}, headers={"helicone-target-url": target}, timeout=20)
    assert answer.status_code in {400, 403}, answer.text
    assert "HELIOGRAPH_ALLOW_PRIVATE_TARGETS" in answer.text or "bad_target" in answer.text
    assert "Helicone-Target-URL" in answer.text


BROWSERS = {
    "a foreign origin": {"origin": "https://evil.example"},
    "an opaque origin": {"origin": "null"},
    "a cross-site fetch": {"sec-fetch-site": "cross-site"},
    "a sister site": {"sec-fetch-site": "same-site"},
}


@pytest.mark.parametrize("door", ["proxy", "api"])
@pytest.mark.parametrize("headers", BROWSERS.values(), ids=BROWSERS)
def test_a_web_page_may_neither_read_nor_write(stack: Stack, door: str, headers: dict[str, str]) -> None:
    path = "/v1/chat/completions" if door == "proxy" else "/v1/query"
    answer = httpx.post(getattr(stack, door) + path, json={"sql": "SELECT 1"}, headers=headers)
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers


@pytest.fixture(scope="module")
def with_a_page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running(tmp_path_factory.mktemp("page"), HELIOGRAPH_ALLOWED_ORIGINS="https://app.example") as made:
        yield made


@pytest.mark.parametrize("door", ["proxy", "api"])
def test_a_page_that_the_operator_allows_may_call_and_read(with_a_page: Stack, door: str) -> None:
    path = "/v1/chat/completions" if door == "proxy" else "/v1/query"
    url, page = getattr(with_a_page, door) + path, {"origin": "https://app.example", "sec-fetch-site": "cross-site"}
    preflight = httpx.options(
        url, headers=page | {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    )
    assert (preflight.status_code, preflight.headers["access-control-allow-headers"]) == (204, "authorization")
    body = {"sql": "SELECT 1"} if door == "api" else {"model": "gpt-4o-mini", "messages": []}
    answer = httpx.post(url, json=body, headers=page)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "https://app.example"
    assert httpx.post(url, json=body, headers={"origin": "https://evil.example"}).status_code == 403


def test_a_person_may_open_a_proxied_path_in_a_browser(stack: Stack) -> None:
    assert httpx.get(f"{stack.proxy}/v1/models", headers={"sec-fetch-site": "none"}).status_code == 200


@pytest.mark.parametrize("door", ["proxy", "api"])
def test_a_name_that_is_not_ours_is_misdirected(stack: Stack, door: str) -> None:
    assert httpx.get(getattr(stack, door) + "/healthz", headers={"host": "rebound.example"}).status_code == 421


def test_a_form_cannot_ask_sql(stack: Stack) -> None:
    answer = httpx.post(f"{stack.api}/v1/query", content=json.dumps({"sql": "SELECT 1"}), headers={"content-type": "text/plain"})
    assert answer.status_code == 415


SQL = {
    "a write": "DELETE FROM calls",
    "a copy": "COPY calls TO '/tmp/out.csv'",
    "a file": "SELECT * FROM '/etc/passwd'",
    "a reader": "SELECT * FROM read_text('/etc/passwd')",
    "two statements": "SELECT 1; SELECT 2",
    "a setting": "SET enable_external_access = true",
    "an extension": "INSTALL httpfs",
    "the environment": "SELECT getenv('HOME')",
    "nonsense": "SELEC 1",
}


@pytest.mark.parametrize("sql", SQL.values(), ids=SQL)
def test_sql_may_only_ask(stack: Stack, sql: str) -> None:
    request = urllib.request.Request(
        f"{stack.api}/v1/query", json.dumps({"sql": sql}).encode(), {"content-type": "application/json"}, method="POST"
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    with refused.value as answer:
        error = json.load(answer)["error"]
    assert refused.value.code == 400
    assert error["code"]
    assert error["message"]
    assert "Traceback" not in json.dumps(error)
