"""What a web page can and cannot do with a Heliograph on its reader's machine."""

import json
from typing import Any

import httpx
import pytest

from ingress.exchange import Exchange
from ingress.heads import RequestHead
from runtime.guard import Guard, GuardedApp, Headers, readable_by
from runtime.refusals import refusing, with_cors
from tests.fakes.ingress import serving

GUARD = Guard(("helio.example", "*.team.example", "192.168.1.5"), ("https://dash.example", "http://localhost:3000/"))
HERE = b"localhost:8585"
ALLOWED = b"https://dash.example"


def verdict(guard: Guard, method: str, headers: Headers, **more: str) -> tuple[int, str, str] | None:
    refusal = guard.judge_headers(method, headers, **more)
    return None if refusal is None else (refusal.status, refusal.code, refusal.field)


HOSTS = {
    b"localhost": True,
    b"localhost:8585": True,
    b"LocalHost:8585": True,
    b"localhost.": True,
    b"127.0.0.1": True,
    b"127.255.3.9:1": True,
    b"[::1]": True,
    b"[::1]:8585": True,
    b"helio.example": True,
    b"HELIO.example.:443": True,
    b"192.168.1.5:8585": True,
    b"a.team.example": True,
    b"a.b.team.example:80": True,
    b"": False,
    b"team.example": False,
    b"evilteam.example": False,
    b"helio.example.evil.example": False,
    b"sub.helio.example": False,
    b"localhost.evil.example": False,
    b"127.0.0.1.evil.example": False,
    b"127.0.0.1.nip.io": False,
    b"[::1].evil.example": False,
    b"[::1]evil": False,
    b"[::2]": False,
    b"::1": False,
    b"localhost:80@evil.example": False,
    b"localhost:x": False,
    b"evil.example#localhost": False,
    b"evil.example:80:localhost": False,
    b"128.0.0.1": False,
    b"10.0.0.1": False,
    b"0.0.0.0": False,
    b"0": False,
    b"2130706433": False,
    b"\xff\xfe": False,
    b"localhost, evil.example": False,
}


@pytest.mark.parametrize(("host", "ours"), HOSTS.items())
def test_a_host_is_ours_or_misdirected(host: bytes, ours: bool) -> None:
    for _ in range(2):  # the second answer may be a remembered one
        assert verdict(GUARD, "GET", [(b"host", host)]) == (None if ours else (421, "misdirected_host", "Host"))


def test_a_star_lets_every_name_in_but_no_nonsense() -> None:
    anyone = Guard(("*",))
    assert anyone.host_is_ours(b"whatever.example:9")
    assert not anyone.host_is_ours(b"a b")
    assert not anyone.host_is_ours(b"")


def test_what_is_remembered_is_bounded_and_right() -> None:
    guard = Guard(("*.a.example",))
    assert all(guard.host_is_ours(b"%d.a.example" % number) for number in range(3000))
    assert not any(guard.host_is_ours(b"%d.b.example" % number) for number in range(3000))
    assert len(guard._known) <= 1024


@pytest.mark.parametrize(
    ("headers", "version", "status"),
    [
        ([], "1.0", None),
        ([], "1.1", 400),
        ([(b"host", HERE), (b"host", HERE)], "1.1", 400),
        ([(b"host", HERE), (b"host", b"evil.example")], "1.0", 400),
        ([(b"host", b"evil.example")], "1.0", 421),
    ],
)
def test_exactly_one_host(headers: Headers, version: str, status: int | None) -> None:
    found = GUARD.judge_headers("GET", headers, http_version=version)
    assert (found.status if found else None) == status


JSON = (b"content-type", b"application/json; charset=utf-8")
FOREIGN, SITE, MEDIA = (
    (403, "foreign_origin", "Origin"),
    (403, "foreign_origin", "Sec-Fetch-Site"),
    (415, "unsupported_media_type", "Content-Type"),
)


def origin(value: bytes) -> tuple[bytes, bytes]:
    return b"origin", value


def site(value: bytes) -> tuple[bytes, bytes]:
    return b"sec-fetch-site", value


REQUESTS: list[tuple[str, Headers, tuple[int, str, str] | None]] = [
    ("POST", [], None),  # an SDK
    ("POST", [(b"content-type", b"multipart/form-data; boundary=x")], None),
    ("POST", [(b"sec-fetch-mode", b"cors"), (b"content-type", b"multipart/form-data; boundary=x")], None),  # fetch in Node
    ("GET", [origin(b"https://evil.example")], FOREIGN),
    ("POST", [origin(b"https://evil.example"), JSON], FOREIGN),
    ("GET", [origin(b"null")], FOREIGN),
    ("GET", [origin(b"")], FOREIGN),
    ("GET", [origin(b"http://localhost:8585")], None),
    ("GET", [origin(b"HTTP://LOCALHOST:8585")], None),
    ("GET", [origin(b"https://localhost:8585")], FOREIGN),
    ("GET", [origin(b"http://localhost:9999")], FOREIGN),
    ("GET", [origin(b"http://localhost")], FOREIGN),
    ("GET", [origin(b"http://127.0.0.1:8585")], FOREIGN),
    ("GET", [origin(b"http://localhost:8585"), origin(b"https://evil.example")], FOREIGN),
    ("GET", [origin(b"https://evil.example"), origin(b"http://localhost:8585")], FOREIGN),
    ("GET", [origin(ALLOWED)], None),
    ("GET", [origin(b"http://localhost:3000")], None),
    ("GET", [origin(b"https://dash.example.evil.example")], FOREIGN),
    ("GET", [origin(b"http://dash.example")], FOREIGN),
    ("GET", [site(b"none")], None),
    ("GET", [site(b"same-origin")], None),
    ("GET", [site(b"same-site")], SITE),
    ("GET", [site(b"cross-site")], SITE),
    ("GET", [site(b"Cross-Site")], SITE),
    ("GET", [site(b"same-origin"), site(b"cross-site")], SITE),
    ("GET", [site(b"cross-site"), origin(ALLOWED)], None),
    ("GET", [site(b"cross-site"), origin(b"http://localhost:8585")], SITE),
    ("OPTIONS", [origin(b"https://evil.example"), (b"access-control-request-method", b"POST")], FOREIGN),
    ("POST", [site(b"same-origin"), JSON], None),
    ("POST", [site(b"same-origin"), (b"content-type", b"application/vnd.x+json")], None),
    ("POST", [site(b"same-origin")], MEDIA),
    ("POST", [site(b"none"), (b"content-type", b"text/plain")], MEDIA),
    ("POST", [origin(b"http://localhost:8585"), (b"content-type", b"text/plain; application/json")], MEDIA),
    ("POST", [origin(b"http://localhost:8585"), JSON, (b"content-type", b"text/plain")], None),
    ("PUT", [site(b"same-origin"), (b"content-type", b"application/x-www-form-urlencoded")], MEDIA),
    ("PATCH", [site(b"same-origin"), (b"content-type", b"multipart/form-data")], MEDIA),
    ("DELETE", [site(b"same-origin")], MEDIA),
    ("DELETE", [site(b"same-origin"), JSON], None),
    ("POST", [origin(ALLOWED), (b"content-type", b"text/plain")], None),
]


@pytest.mark.parametrize(("method", "headers", "expected"), REQUESTS)
def test_pages_are_told_from_applications(method: str, headers: Headers, expected: tuple[int, str, str] | None) -> None:
    assert verdict(GUARD, method, [(b"host", HERE), *headers]) == expected


def test_an_allowed_origin_does_not_excuse_a_foreign_host() -> None:
    assert verdict(GUARD, "GET", [(b"host", b"evil.example"), origin(ALLOWED)]) == (421, "misdirected_host", "Host")


def test_the_scheme_is_part_of_the_same_origin() -> None:
    headers = [(b"host", b"helio.example"), origin(b"https://helio.example")]
    assert verdict(GUARD, "GET", headers, scheme="https") is None
    assert verdict(GUARD, "GET", headers, scheme="http") == FOREIGN


@pytest.mark.parametrize("entry", ["*", "null", ""])
def test_no_origin_is_allowed_by_accident(entry: str) -> None:
    guard = Guard((), (entry,))
    for value in (b"null", b"*", b"https://evil.example"):
        assert verdict(guard, "GET", [(b"host", HERE), origin(value)]) == FOREIGN


@pytest.mark.parametrize(
    ("headers", "setting"),
    [
        ([(b"host", b"evil.example")], "HELIOGRAPH_ALLOWED_HOSTS"),
        ([(b"host", HERE), origin(b"null")], "HELIOGRAPH_ALLOWED_ORIGINS"),
        ([(b"host", HERE), site(b"cross-site")], "HELIOGRAPH_ALLOWED_ORIGINS"),
    ],
)
def test_a_refusal_names_what_to_do(headers: Headers, setting: str) -> None:
    refusal = GUARD.judge_headers("GET", headers)
    assert refusal
    told = json.loads(refusal.body())["error"]
    assert set(told) == {"code", "message", "field", "fix"}
    assert setting in told["fix"]


# The middleware


async def inner(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-inner", b"yes")]})
    await send({"type": "http.response.body", "body": b"in"})


async def through(kind: str, method: str, headers: Headers, scheme: str = "http") -> list[dict[str, Any]]:
    said: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        said.append(message)

    scope: dict[str, Any] = {"type": kind, "scheme": scheme, "headers": headers, "http_version": "1.1"}
    if kind == "http":
        scope["method"] = method
    await GuardedApp(inner, GUARD)(scope, None, send)
    return said


async def test_an_application_passes_unchanged() -> None:
    start, body = await through("http", "POST", [(b"host", HERE)])
    assert (start["status"], start["headers"], body["body"]) == (200, [(b"x-inner", b"yes")], b"in")


async def test_a_refusal_is_json_and_without_cors() -> None:
    start, body = await through("http", "GET", [(b"host", HERE), origin(b"https://evil.example")])
    headers = dict(start["headers"])
    assert (start["status"], headers[b"content-type"]) == (403, b"application/json")
    assert int(headers[b"content-length"]) == len(body["body"])
    assert not [name for name in headers if name.startswith(b"access-control")]


async def test_an_allowed_origin_may_read_the_answer() -> None:
    start, _ = await through("http", "GET", [(b"host", HERE), origin(ALLOWED)])
    headers = dict(start["headers"])
    assert headers[b"access-control-allow-origin"] == ALLOWED
    assert (headers[b"vary"], headers[b"x-inner"]) == (b"Origin", b"yes")


INNER = [(b"Access-Control-Allow-Origin", b"*"), (b"access-control-allow-credentials", b"true"), (b"Vary", b"Accept-Encoding")]


@pytest.mark.parametrize("headers", [INNER, INNER * 2, []], ids=["one", "two", "none"])
def test_one_origin_may_read_whoever_else_was_named(headers: Headers) -> None:
    found = [(name.lower(), value) for name, value in readable_by(ALLOWED, headers)]
    assert [value for name, value in found if name == b"access-control-allow-origin"] == [ALLOWED]
    assert b"access-control-allow-credentials" not in dict(found)
    assert b"Origin" in [value for name, value in found if name == b"vary"]
    assert [value for name, value in found if value == b"Accept-Encoding"] == [value for _, value in headers if value == b"Accept-Encoding"]


async def test_a_provider_that_lets_every_page_read_does_not_add_a_second_origin() -> None:
    async def answered(exchange: Exchange) -> None:
        exchange.answer(200, [(b"Access-Control-Allow-Origin", b"*"), (b"X-Request-Id", b"1")], b"{}")

    async with serving(with_cors(answered, GUARD)) as port, httpx.AsyncClient(base_url=f"http://localhost:{port}") as client:
        read = await client.get("/v1/models", headers={"origin": ALLOWED.decode()})
        assert read.headers.get_list("access-control-allow-origin") == [ALLOWED.decode()]
        assert read.headers["x-request-id"] == "1"
        assert (await client.get("/v1/models")).headers.get_list("access-control-allow-origin") == ["*"]


async def test_our_own_page_needs_no_cors() -> None:
    start, _ = await through("http", "GET", [(b"host", HERE), origin(b"http://localhost:8585")])
    assert start["headers"] == [(b"x-inner", b"yes")]


async def test_a_preflight_is_answered_for_allowed_origins_only() -> None:
    asked = [(b"access-control-request-method", b"POST"), (b"access-control-request-headers", b"content-type,helicone-auth")]
    start, _ = await through("http", "OPTIONS", [(b"host", HERE), origin(ALLOWED), *asked])
    headers = dict(start["headers"])
    assert (start["status"], headers[b"access-control-allow-headers"]) == (204, b"content-type,helicone-auth")
    assert b"POST" in headers[b"access-control-allow-methods"]
    refused, _ = await through("http", "OPTIONS", [(b"host", HERE), origin(b"https://evil.example"), *asked])
    assert refused["status"] == 403
    plain, _ = await through("http", "OPTIONS", [(b"host", HERE), origin(ALLOWED)])
    assert plain["status"] == 200


@pytest.mark.parametrize(
    ("headers", "scheme", "answer"),
    [
        ([(b"host", HERE)], "ws", "websocket.accept"),
        ([(b"host", HERE), origin(b"http://localhost:8585")], "ws", "websocket.accept"),
        ([(b"host", HERE), origin(b"https://localhost:8585")], "wss", "websocket.accept"),
        ([(b"host", HERE), origin(ALLOWED)], "ws", "websocket.accept"),
        ([(b"host", HERE), origin(b"https://evil.example")], "ws", "websocket.close"),
        ([(b"host", b"evil.example")], "ws", "websocket.close"),
    ],
)
async def test_websockets_are_judged_too(headers: Headers, scheme: str, answer: str) -> None:
    assert [message["type"] for message in await through("websocket", "GET", headers, scheme)] == [answer]


async def test_a_lifespan_passes() -> None:
    assert (await through("lifespan", "", []))[0]["status"] == 200


# Over proxied calls


@pytest.mark.parametrize(
    ("head", "code"),
    [
        ({"host": HERE}, None),
        ({"host": b""}, None),
        ({"host": b"evil.example"}, "misdirected_host"),
        ({"host": HERE, "origin": b"null"}, "foreign_origin"),
        ({"host": HERE, "fetch_site": b"cross-site"}, "foreign_origin"),
        ({"host": HERE, "fetch_site": b"same-origin"}, "unsupported_media_type"),
        ({"host": HERE, "fetch_site": b"same-origin", "content_type": "application/json"}, None),
        ({"host": HERE, "origin": ALLOWED}, None),
    ],
)
def test_proxied_calls_are_judged_alike(head: dict[str, Any], code: str | None) -> None:
    read = RequestHead()
    for name, value in head.items():
        setattr(read, name, value)
    failed = refusing(GUARD)(b"POST", read)
    assert (failed.code if failed else None) == code
