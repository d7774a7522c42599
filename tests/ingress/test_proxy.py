"""What passes through is what was sent, both ways; what is ours stays here; and each call is written down once."""

import asyncio
import gzip
import json

import brotli
import pytest
import zstandard

from eventlog.events import Body, Outcome
from ingress.errors import BadRequest
from ingress.heads import RequestHead
from tests.fakes.ingress import HOST, World, running
from tests.fakes.memory_log import MemoryLog
from tests.fakes.provider import ANSWER, EVENTS, raw, sized, streamed
from tests.fakes.raw_server import Peer

UUID = "0190a0b0-1111-4222-8333-444455556666"
CHAT = b'{"model": "gpt-4o-mini", "stream": true, "user": "u-1"}'


def body_of(answer: bytes) -> bytes:
    return answer.partition(b"\r\n\r\n")[2]


def unchunked(data: bytes) -> list[bytes]:
    chunks = []
    while data:
        size, _, rest = data.partition(b"\r\n")
        chunks.append(rest[: int(size, 16)])
        data = rest[int(size, 16) + 2 :]
    return [chunk for chunk in chunks if chunk]


async def test_the_answer_is_the_providers_own() -> None:
    headers = (
        b"Content-Type: application/json\r\nX-Mixed-Case: a\r\nx-lower: b\r\nSet-Cookie: 1\r\nSet-Cookie: 2\r\nDate: today\r\nServer: p\r\n"
    )
    async with running(sized(headers=headers, status=b"201 Fine by me")) as world:
        answer = await world.post()
    head = answer.partition(b"\r\n\r\n")[0]
    assert head.startswith(b"HTTP/1.1 201 Fine by me\r\n" + headers + b"Content-Length: %d\r\nHelicone-Id: " % len(ANSWER))
    assert b"\r\nHelicone-Status: success\r\n" in head + b"\r\n"
    assert head.lower().count(b"\r\ndate:") == head.lower().count(b"\r\nserver:") == 1
    assert body_of(answer) == ANSWER


async def test_the_request_is_the_clients_own() -> None:
    sent = (
        b"PATCH /v1/a%2Fb//%7E/../x?q=%20&q=+;r HTTP/1.1\r\nHost: localhost\r\n"
        b"X-One: 1\r\nX-Two: k\xe4se\r\nX-One: 3\r\n"
        b"Cookie: c=d\r\n"
        b"Accept-Encoding: br\r\nTE: trailers\r\nKeep-Alive: 5\r\nProxy-Authorization: Basic x\r\n"
        b"X-Named: hop\r\nConnection: close, X-Named\r\n"
        b"Helicone-User-Id: u\r\nHelicone-Nonsense: n\r\n__helicone-mock-response: m\r\n"
        b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc"
    )
    async with running() as world:
        await world.talk(sent)
        (received,) = world.provider.requests
    assert received == (
        b"PATCH /v1/a%%2Fb//%%7E/../x?q=%%20&q=+;r HTTP/1.1\r\nhost: 127.0.0.1:%d\r\n"
        b"x-one: 1\r\nx-two: k\xe4se\r\nx-one: 3\r\ncookie: c=d\r\n"
        b"accept-encoding: br\r\ncontent-length: 3\r\n\r\nabc" % world.provider.port
    )


NO_BODIES = {
    "GET": (b"GET /v1/models HTTP/1.1\r\n" + HOST, sized(), ANSWER),
    "HEAD": (b"HEAD /v1/models HTTP/1.1\r\n" + HOST, raw(b"HTTP/1.1 200 OK\r\nContent-Length: 70\r\n\r\n"), b""),
    "204": (b"DELETE /v1/files/1 HTTP/1.1\r\n" + HOST, raw(b"HTTP/1.1 204 No Content\r\n\r\n"), b""),
    "304": (b"GET /v1/models HTTP/1.1\r\n" + HOST, raw(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 70\r\nETag: e\r\n\r\n"), b""),
    "an empty answer": (b"GET /v1/models HTTP/1.1\r\n" + HOST, raw(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), b""),
    "HTTP/1.0": (b"GET /v1/models HTTP/1.0\r\n", sized(), ANSWER),
    "until the end": (b"GET /v1/models HTTP/1.0\r\n", raw(b"HTTP/1.0 200 OK\r\n\r\nabc", then="close"), b"abc"),
}


@pytest.mark.parametrize(("request_head", "answering", "expected"), NO_BODIES.values(), ids=NO_BODIES)
async def test_methods_statuses_and_old_clients(request_head: bytes, answering: object, expected: bytes) -> None:
    async with running(answering) as world:  # type: ignore[arg-type]
        answer = await world.talk(request_head + b"Connection: close\r\n\r\n")
        (completed,) = await world.responses()
    assert body_of(answer) == expected
    assert completed.outcome is Outcome.COMPLETED
    assert b"content-length" not in world.provider.requests[0].lower()
    assert completed.response.size == len(expected)


async def test_a_post_without_a_body_says_so() -> None:
    async with running() as world:
        await world.post(body=b"")
    assert b"content-length: 0\r\n" in world.provider.requests[0]


async def test_a_stream_arrives_chunk_by_chunk() -> None:
    gates = [asyncio.Event() for _ in EVENTS]

    async def answer(peer: Peer, request: bytes) -> None:
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for event, gate in zip(EVENTS, gates, strict=True):
            await gate.wait()
            await peer.send(b"%x\r\n%b\r\n" % (len(event), event))
        await peer.send(b"0\r\n\r\n")

    async with running(answer) as world:
        reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\n%bContent-Length: 2\r\n\r\n{}" % HOST)
        async with asyncio.timeout(30):
            head = await reader.readuntil(b"\r\n\r\n")  # it comes although no event has
            for event, gate in zip(EVENTS, gates, strict=True):
                gate.set()
                assert await reader.readuntil(event + b"\r\n") == b"%x\r\n%b\r\n" % (len(event), event)
            assert await reader.readuntil(b"0\r\n\r\n") == b"0\r\n\r\n"
        writer.close()
        (completed,) = await world.responses()
    assert b"text/event-stream" in head
    assert completed.response.text == b"".join(EVENTS).decode()
    assert completed.ttft_ms is not None
    assert completed.ttft_ms <= completed.latency_ms


ENCODED = {"gzip": gzip.compress, "br": brotli.compress, "zstd": zstandard.compress}


@pytest.mark.parametrize("encoding", ENCODED)
@pytest.mark.parametrize("size", [10, 100_000])
async def test_encoded_answers_pass_encoded_and_are_decoded_in_the_copy(encoding: str, size: int) -> None:
    text = "".join(chr(33 + (number * number) % 90) for number in range(size))
    encoded = ENCODED[encoding](text.encode())
    async with running(sized(encoded, headers=f"Content-Encoding: {encoding}\r\n".encode())) as world:
        answer = await world.post()
        (completed,) = await world.responses()
    assert body_of(answer) == encoded
    assert completed.response.text == text
    assert completed.response.size == len(encoded)


async def test_an_encoded_request_is_decoded_in_the_copy() -> None:
    async with running() as world:
        await world.post(body=gzip.compress(CHAT), headers=b"Content-Encoding: gzip\r\n")
        (received,) = await world.requests()
    assert received.request.text == CHAT.decode()
    assert (received.call.model, received.call.user_id) == ("gpt-4o-mini", "u-1")
    assert gzip.compress(CHAT)[10:] in world.provider.requests[0]


FRAMINGS = {
    "in one piece": [b"Content-Length: 55\r\n\r\n" + CHAT],
    "head and body apart": [b"Content-Length: 55\r\n\r\n", CHAT],
    "in three pieces": [b"Content-Length: 55\r\n\r\n", CHAT[:20], CHAT[20:]],
    "chunked in one piece": [b"Transfer-Encoding: chunked\r\n\r\n37\r\n" + CHAT + b"\r\n0\r\n\r\n"],
    "chunked in pieces": [
        b"Transfer-Encoding: chunked\r\n\r\n",
        b"14\r\n" + CHAT[:20] + b"\r\n",
        b"23\r\n" + CHAT[20:] + b"\r\n",
        b"0\r\nX-Trailer: 1\r\n\r\n",
    ],
}


@pytest.mark.parametrize("durability", ["buffered", "strict"])
@pytest.mark.parametrize("pieces", FRAMINGS.values(), ids=FRAMINGS)
async def test_a_request_arrives_and_is_recorded_however_it_is_framed(pieces: list[bytes], durability: str) -> None:
    assert len(CHAT) == 55
    async with running(durability=durability) as world:
        head = b"POST /v1/chat/completions HTTP/1.1\r\n" + HOST + b"Connection: close\r\n"
        answer = await world.talk(head + pieces[0], *pieces[1:])
        (received,), (completed,) = await world.requests(), await world.responses()
        request_head, _, sent = world.provider.requests[0].partition(b"\r\n\r\n")
    assert body_of(answer) == ANSWER
    assert (b"".join(unchunked(sent)) if b"chunked" in request_head else sent) == CHAT
    assert b"railer" not in request_head
    assert received.request == Body(text=CHAT.decode(), size=55)
    assert completed.request_bytes == 55
    assert received.call == completed.call
    assert (received.call.model, received.call.stream, received.call.user_id) == ("gpt-4o-mini", True, "u-1")


async def test_a_large_upload_streams_and_keeps_head_and_tail() -> None:
    content = b'{"model": "gpt-4o", "input": "' + b"x" * 300_000 + b'"}'
    async with running(body_limit=100_000) as world:
        await world.post(body=content)
        (received,), (completed,) = await world.requests(), await world.responses()
        assert world.provider.requests[0].endswith(content)
    assert received.request.truncated
    assert received.request.size == completed.request_bytes == len(content)
    assert (received.request.tail or "").endswith('x"}')
    assert completed.request_truncated
    assert completed.call.model == "gpt-4o"


async def test_the_metadata_of_a_call() -> None:
    headers = (
        b"Helicone-User-Id: u-2\r\nHelicone-Session-Id: s\r\nHelicone-Session-Name: n\r\nHelicone-Session-Path: /p\r\n"
        b"Helicone-Property-Feature: chat\r\nHelicone-Prompt-Id: pr\r\nHelicone-Model-Override: m\r\nHelicone-Request-Id: %b\r\n"
        b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n" % UUID.encode()
    )
    async with running() as world:
        answer = await world.post("/v1/chat/completions?beta=1&key=AIza", CHAT, headers)
        (received,), (completed,) = await world.requests(), await world.responses()
    call = completed.call
    assert received.call == call
    assert b"Helicone-Id: %b\r\n" % UUID.encode() in answer
    assert (call.request_id, call.call_id == UUID) == (UUID, False)
    assert (call.user_id, call.session_id, call.session_name, call.session_path) == ("u-2", "s", "n", "/p")
    assert (call.properties, call.prompt_id, call.model_override) == ({"feature": "chat"}, "pr", "m")
    assert call.path == "/v1/chat/completions?beta=1&key=***"
    assert call.target_url == f"{world.provider.url}/v1/chat/completions?beta=1&key=***"
    assert call.traceparent == "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    assert (call.provider, call.method) == ("openai", "POST")


async def test_a_customer_of_stripe() -> None:
    """It goes on, and is a property too; what the caller says of that property itself stands."""
    said = b"X-Stripe-Customer-Id: cus_1\r\n"
    async with running() as world:
        await world.post(headers=said)
        await world.post(headers=said + b"Helicone-Property-Stripe_Customer_Id: mine\r\nHelicone-Property-A: b\r\n")
        rows = sorted(await world.responses(2), key=lambda row: row.call.call_id)
        assert [row.call.properties for row in rows] == [
            {"stripe_customer_id": "cus_1"},
            {"stripe_customer_id": "mine", "a": "b"},
        ]
        assert all(b"cus_1" in request for request in world.provider.requests)


async def test_a_request_id_that_is_none_is_warned_of() -> None:
    async with running() as world:
        answer = await world.post(headers=b"Helicone-Request-Id: order-17\r\n")
        (completed,) = await world.responses()
    assert b"Helicone-Warning: Helicone-Request-Id" in answer
    assert completed.call.request_id == completed.call.call_id


async def test_omitted_bodies() -> None:
    async with running() as world:
        await world.post(body=CHAT, headers=b"Helicone-Omit-Request: true\r\nHelicone-Omit-Response: true\r\n")
        (received,), (completed,) = await world.requests(), await world.responses()
    assert received.request == Body(size=len(CHAT), content_type="application/json", omitted=True)
    assert completed.response.omitted
    assert completed.call.omit_request
    assert completed.call.omit_response
    assert completed.call.model == "gpt-4o-mini"


KEYS = {
    "in Helicone-Auth": (
        "/v1/x",
        b"Helicone-Auth: Bearer sk-helicone-abc\r\nAuthorization: Bearer sk-1\r\n",
        b"authorization: Bearer sk-1\r\n",
    ),
    "in Authorization": ("/v1/x", b"Authorization: Bearer sk-helicone-abc\r\n", b""),
    "beside the provider's": ("/v1/x", b"Authorization: Bearer sk-1, Bearer pk-helicone-abc\r\n", b"authorization: Bearer sk-1\r\n"),
    "in x-api-key": ("/v1/x", b"x-api-key: sk-helicone-abc\r\n", b""),
    "in the path": ("/sk-helicone-abc/v1/x", b"Authorization: Bearer sk-1\r\n", b"authorization: Bearer sk-1\r\n"),
    "in the path, later": ("/openai/pk-helicone-abc/v1/x?a=1", b"", b""),
    "in the path, encoded": ("/sk%2Dhelicone-abc/v1/x", b"", b""),
    "in the query": ("/v1/x?k=sk-heliograph-abc&api_key=mine", b"", b"/v1/x?api_key=mine "),
    "in quotes": ("/v1/x", b'Authorization: Bearer "sk-helicone-abc"\r\n', b""),
    "in Basic": ("/v1/x", b"Authorization: Basic bWU6c2staGVsaWNvbmUtYWJj\r\nX-One: 1\r\n", b"x-one: 1\r\n"),
    "in api-key": ("/v1/x", b"api-key: sk-helicone-abc\r\nX-One: 1\r\n", b"x-one: 1\r\n"),
    "in api_key": ("/v1/x", b"api_key: sk-heliograph-abc\r\nX-One: 1\r\n", b"x-one: 1\r\n"),
    "in a cookie": ("/v1/x", b"Cookie: a=1; k=sk-helicone-abc\r\nX-One: 1\r\n", b"x-one: 1\r\n"),
    "in any header": ("/v1/x", b"Referer: http://h/sk-helicone-abc/v1\r\nX-One: 1\r\n", b"x-one: 1\r\n"),
    "in a property": ("/v1/x", b"Helicone-Property-Key: sk-helicone-abc\r\n", b""),
}


@pytest.mark.parametrize(("path", "headers", "forwarded"), KEYS.values(), ids=KEYS)
async def test_our_keys_go_nowhere(path: str, headers: bytes, forwarded: bytes) -> None:
    async with running() as world:
        await world.post(path, CHAT, headers)
        written = b"".join([repr(await world.requests()).encode(), repr(await world.responses()).encode()])
        request = world.provider.requests[0]
    assert request.startswith(b"POST /v1/x")
    assert b"helico" not in request.lower()
    assert b"heliog" not in request.lower()
    assert b"bWU6" not in request
    assert forwarded in request
    assert b"sk-1" not in written
    assert b"mine" not in written
    assert b"-helicone-" not in written
    assert b"-heliograph-" not in written


async def test_a_target_that_the_caller_names() -> None:
    async with running(upstreams={}) as world:
        headers = b"Helicone-Target-URL: %b/dropped\r\n" % world.provider.url.encode()
        assert body_of(await world.post("/gateway/healthz", CHAT, headers)) == ANSWER
        assert body_of(await world.talk(b"GET /healthz HTTP/1.1\r\n" + HOST + headers + b"Connection: close\r\n\r\n")) == ANSWER
        completed = await world.responses(2)
    assert [each.call.path for each in completed] == ["/healthz", "/healthz"]
    assert completed[0].call.provider == "127.0.0.1"


async def test_a_private_target_is_refused_and_named() -> None:
    async with running() as other, running(private=False) as world:
        answer = await world.post("/v1/x", CHAT, b"Helicone-OpenAI-Api-Base: http://127.0.0.1:%d\r\n" % other.provider.port)
        assert body_of(await world.post("/v1/x", CHAT)) == ANSWER  # the operator's own upstream may be private
        first, second = await world.responses(2)
    error = json.loads(body_of(answer))["error"]
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert (error["code"], error["param"]) == ("target_refused", "Helicone-OpenAI-Api-Base")
    assert "HELIOGRAPH_ALLOW_PRIVATE_TARGETS" in error["message"]
    assert (first.outcome, first.status, second.outcome) == (Outcome.REJECTED, 403, Outcome.COMPLETED)


async def post_with(world: World, headers: bytes, path: str = "/v1/chat/completions") -> tuple[bytes, dict[str, object]]:
    answer = await world.post(path, CHAT, headers)
    return answer, json.loads(body_of(answer))


REFUSED = {
    "a bad directive": ("/v1/x", b"Helicone-Omit-Request: perhaps\r\n", 400, "bad_directive", "Helicone-Omit-Request"),
    "a bad target": ("/v1/x", b"Helicone-Target-URL: nonsense\r\n", 400, "bad_target", "Helicone-Target-URL"),
    "no target": ("/gateway/v1/x", b"", 400, "bad_request", "Helicone-Target-URL"),
    "nobody": ("/nobody/v1/x", b"", 404, "unknown_route", "path"),
    "an upgrade": ("/v1/realtime", b"Connection: Upgrade\r\nUpgrade: websocket\r\n", 501, "upgrade_unsupported", "Upgrade"),
}


@pytest.mark.parametrize("anthropic", [False, True], ids=["openai", "anthropic"])
@pytest.mark.parametrize(("path", "headers", "status", "code", "field"), REFUSED.values(), ids=REFUSED)
async def test_refusals_are_answers_in_the_dialect_and_rows(
    path: str, headers: bytes, status: int, code: str, field: str, anthropic: bool
) -> None:
    async with running() as world:
        answer, told = await post_with(world, headers + (b"anthropic-version: 2023-06-01\r\n" if anthropic else b""), path)
        (received,), (completed,) = await world.requests(), await world.responses()
        assert world.provider.requests == []
    error = told["error"]
    assert isinstance(error, dict)
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert b"\r\nHelicone-Status: failed\r\n" in answer
    assert (told if anthropic else error)["code"] == code
    assert told.get("type") == ("error" if anthropic else None)
    assert error["param"] == field
    assert (completed.outcome, completed.status) == (Outcome.REJECTED, status)
    assert received.call.call_id == completed.call.call_id


TARGETS = {
    "no address": (b"Helicone-Target-URL: http://nowhere.invalid\r\n", "upstream_unresolved", "Helicone-Target-URL"),
    "nobody there": (b"Helicone-Target-URL: http://127.0.0.1:1\r\n", "upstream_refused", "Helicone-Target-URL"),
    "nobody there either": (b"Helicone-OpenAI-Api-Base: http://127.0.0.1:1\r\n", "upstream_refused", "Helicone-OpenAI-Api-Base"),
}


@pytest.mark.parametrize(("headers", "code", "field"), TARGETS.values(), ids=TARGETS)
async def test_a_target_that_cannot_be_reached_is_named(headers: bytes, code: str, field: str) -> None:
    async with running() as world:
        _, told = await post_with(world, headers)
    error = told["error"]
    assert isinstance(error, dict)
    assert (error["code"], error["param"]) == (code, field)


async def test_what_is_no_call_is_no_row() -> None:
    async with running() as world:
        for path in (b"/favicon.ico", b"/", b"/healthz"):
            await world.talk(b"GET %b HTTP/1.1\r\n%bConnection: close\r\n\r\n" % (path, HOST))
        await world.post()
        assert len(await world.responses()) == 1
        assert len(await world.requests()) == 1


async def test_the_guard_refuses_without_a_row() -> None:
    class Foreign(BadRequest):
        code = "foreign_page"
        status = 403

    def guard(_method: bytes, head: RequestHead) -> Foreign | None:
        return Foreign("no") if head.origin is not None and head.host == b"localhost" else None

    async with running(guard=guard) as world:
        answer = await world.post(headers=b"Origin: https://evil.example\r\n")
        assert answer.startswith(b"HTTP/1.1 403 ")
        await world.post()
        assert len(await world.responses()) == 1


async def test_a_provider_that_is_a_heliograph_itself_does_not_confuse_ids() -> None:
    async with running(sized(headers=b"helicone-id: theirs\r\nHELICONE-STATUS: failed\r\n")) as world:
        answer = await world.post()
    assert answer.lower().count(b"helicone-id:") == answer.lower().count(b"helicone-status:") == 1
    assert b"theirs" not in answer


async def test_connections_are_reused_on_both_sides() -> None:
    get = b"GET /v1/models HTTP/1.1\r\n" + HOST
    async with running(streamed()) as world:
        answer = await world.talk(get + b"\r\n", get + b"Connection: close\r\n\r\n")
        assert len(world.provider.peers) == 1
        first, second = await world.responses(2)
    assert answer.count(b"data: [DONE]") == 2
    assert first.call.call_id < second.call.call_id


async def test_a_broken_log_costs_the_client_nothing() -> None:
    log = MemoryLog()
    log.stall()
    async with running(log=log) as world:
        async with asyncio.timeout(30):
            for _ in range(5):
                assert body_of(await world.post(body=CHAT)) == ANSWER
        log.heal()
        assert len(await world.responses(5)) == 5


NO_CONTENT = {
    "a length": b"HTTP/1.1 204 No Content\r\nX-One: 1\r\ncontent-LENGTH: 5\r\nX-Two: 2\r\n\r\n",
    "a length and a body": b"HTTP/1.1 204 No Content\r\nX-One: 1\r\nContent-Length: 5\r\nX-Two: 2\r\n\r\nabcde",
    "chunked": b"HTTP/1.1 204 No Content\r\nX-One: 1\r\nTransfer-Encoding: chunked\r\nX-Two: 2\r\n\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("answer", NO_CONTENT.values(), ids=NO_CONTENT)
async def test_no_content_has_no_framing_whatever_the_provider_says(answer: bytes) -> None:
    get = b"GET /v1/models HTTP/1.1\r\n" + HOST
    async with running(raw(answer)) as world:
        seen = await world.talk(get + b"\r\n", get + b"Connection: close\r\n\r\n")
        await world.responses(2)
    assert seen.count(b"HTTP/1.1 204 No Content\r\nX-One: 1\r\nX-Two: 2\r\nHelicone-Id: ") == 2
    assert b"ontent-l" not in seen.lower().replace(b"no content", b"")
    assert b"abcde" not in seen
    assert seen.endswith(b"\r\n\r\n")
