"""Calls that are made again and elsewhere, through the whole ingress: what the provider sees, the client gets, the row says."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from eventlog.admission import Admission
from eventlog.events import Outcome
from ingress.config import AttemptLimits
from tests.fakes.ingress import World, headers_of, running, status_of
from tests.fakes.keyring import KEYS, WRITER
from tests.fakes.provider import Answering, raw, sized, streamed
from tests.fakes.raw_server import Peer

FAST = b"Helicone-Retry-Enabled: true\r\nHelicone-Retry-Min-Timeout: 1\r\nHelicone-Retry-Max-Timeout: 2\r\n"
BUSY = sized(b'{"error":{"message":"slow down"}}', status=b"429 Too Many Requests")
BROKEN = sized(b'{"error":{}}', status=b"503 Service Unavailable")
RESET = raw(b"", then="reset")
BODY = b'{"model":"gpt-4o-mini","messages":[]}'


def script(*answers: Answering) -> Answering:
    """One after the other; the last goes on for ever."""
    left: Iterator[Answering] = iter(answers)
    last = answers[-1]

    async def answer(peer: Peer, request: bytes) -> None:
        await next(left, last)(peer, request)

    return answer


def body_of(request: bytes) -> bytes:
    return request.partition(b"\r\n\r\n")[2]


RETRIED: dict[str, tuple[Sequence[Answering], bytes, int, list[int | None]]] = {
    "not needed": ([sized()], FAST, 200, [200]),
    "once": ([BUSY, sized()], FAST, 200, [429, 200]),
    "a stream in the end": ([BROKEN, BUSY, streamed()], FAST, 200, [503, 429, 200]),
    "a connection that fails": ([RESET, sized()], FAST, 200, [None, 200]),
    "three further tries": ([BUSY], FAST + b"Helicone-Retry-Num: 3\r\n", 429, [429] * 4),
    "five, when nothing is said": ([BROKEN], FAST, 503, [503] * 6),
    "none": ([BUSY], FAST + b"Helicone-Retry-Num: 0\r\n", 429, []),
    "not enabled": ([BUSY], b"Helicone-Retry-Enabled: false\r\nHelicone-Retry-Num: 3\r\n", 429, []),
    "a status that stays": ([sized(b"{}", status=b"400 Bad Request")], FAST, 400, [400]),
}


@pytest.mark.parametrize(("answers", "headers", "status", "tries"), RETRIED.values(), ids=RETRIED)
@pytest.mark.parametrize("durability", ["buffered", "strict"])
async def test_retries(answers: Sequence[Answering], headers: bytes, status: int, tries: list[int | None], durability: str) -> None:
    async with running(script(*answers), durability=durability) as world:
        answer = await world.post(body=BODY, headers=headers)
        assert status_of(answer) == status
        (response,) = await world.responses()
        assert [each.status for each in response.tries] == tries
        assert response.attempts == max(1, len(tries)) == len(world.provider.requests)
        assert {body_of(request) for request in world.provider.requests} == {BODY}
        assert b"helicone" not in b"".join(world.provider.requests).lower()
        assert (response.status, response.outcome) == (status, Outcome.COMPLETED if status == 200 else Outcome.PROVIDER_ERROR)
        gave_up = len(tries) > 1 and status != 200
        assert headers_of(answer).get("x-should-retry") == ("false" if gave_up else None)
        assert len(await world.requests()) == 1


async def test_no_answer_at_all() -> None:
    async with running(RESET) as world:
        answer = await world.post(body=BODY, headers=FAST + b"Helicone-Retry-Num: 2\r\n")
        assert (status_of(answer), headers_of(answer)["x-should-retry"]) == (502, "false")
        (response,) = await world.responses()
        assert [each.failure for each in response.tries] == ["upstream_interrupted"] * 3
        assert (response.outcome, response.attempts) == (Outcome.INTERRUPTED_BY_PROVIDER, 3)


@pytest.mark.parametrize("status", [b"409 Conflict", b"408 Request Timeout", b"401 Unauthorized"])
async def test_who_was_asked_again_is_not_asked_anew(status: bytes) -> None:
    async with running(script(BROKEN, sized(b"{}", status=status))) as world:
        answer = await world.post(body=BODY, headers=FAST)
        assert (status_of(answer), len(world.provider.requests)) == (int(status[:3]), 2)
        assert b"x-should-retry: false\r\n" in answer


async def test_never_after_the_first_byte() -> None:
    async with running(streamed(end=False)) as world:
        client = asyncio.create_task(world.post(body=BODY, headers=FAST))
        await asyncio.sleep(0.2)
        world.provider.peers[0].reset()
        answer = await client
        assert b"data: " in answer
        assert len(world.provider.requests) == 1
        (response,) = await world.responses()
        assert (response.outcome, len(response.tries)) == (Outcome.INTERRUPTED_BY_PROVIDER, 1)


async def test_retry_after_is_waited_for() -> None:
    said = sized(b"{}", status=b"429 Too Many Requests", headers=b"Retry-After: 0.3\r\n")
    async with running(script(said, sized())) as world:
        assert status_of(await world.post(body=BODY, headers=FAST)) == 200
        (response,) = await world.responses()
        first, second = response.tries
        assert second.began_ms - first.began_ms - first.took_ms >= 300


async def test_retry_after_that_is_too_late_is_handed_on() -> None:
    said = sized(b"{}", status=b"429 Too Many Requests", headers=b"Retry-After: 601\r\nX-Should-Retry: true\r\n")
    async with running(said) as world:
        answer = await world.post(body=BODY, headers=FAST)
        found = headers_of(answer)
        assert (status_of(answer), found["retry-after"], found["x-should-retry"]) == (429, "601", "false")
        assert len(world.provider.requests) == 1


async def hanging(peer: Peer, request: bytes) -> None:
    """Never answers."""
    await peer.gone()
    raise ConnectionError


TOGETHER: dict[str, tuple[Sequence[Answering], bytes, list[tuple[int | None, str | None]]]] = {
    "the first hangs": ([hanging], FAST, [(None, "upstream_timed_out")]),
    "the second hangs": ([BUSY, hanging], FAST, [(429, None), (None, "upstream_timed_out")]),
    "without a pause": ([hanging], b"Helicone-Retry-Enabled: true\r\nHelicone-Retry-Min-Timeout: 0\r\n", [(None, "upstream_timed_out")]),
    "a fallback hangs": ([hanging], b"", [(None, "upstream_timed_out")]),
}


@pytest.mark.parametrize(("answers", "headers", "tries"), TOGETHER.values(), ids=TOGETHER)
@pytest.mark.parametrize("durability", ["buffered", "strict"])
async def test_a_try_that_hangs_ends_with_the_time_for_all(
    answers: Sequence[Answering], headers: bytes, tries: list[tuple[int | None, str | None]], durability: str
) -> None:
    async with running(script(*answers), attempts=AttemptLimits(total_s=0.5), durability=durability) as world:
        said = headers or fallbacks(*[entry(world.provider.url, 500)] * 2)
        answer = await world.post(body=BODY, headers=said)
        error = json.loads(answer.partition(b"\r\n\r\n")[2])["error"]
        assert (status_of(answer), error["code"], headers_of(answer)["x-should-retry"]) == (504, "upstream_timed_out", "false")
        assert "HELIOGRAPH_ATTEMPTS__TOTAL_S" in error["message"]
        (response,) = await world.responses()
        assert [(each.status, each.failure) for each in response.tries] == tries
        assert 450 < sum(each.took_ms for each in response.tries) < 2_000
        assert (response.outcome, response.status) == (Outcome.TIMED_OUT, 504)
        assert len(world.provider.requests) == len(tries)


async def test_an_answer_that_has_begun_outlasts_the_time_for_all() -> None:
    async def slow(peer: Peer, request: bytes) -> None:
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n\r\n01234")
        await asyncio.sleep(0.8)
        await peer.send(b"56789")

    async with running(slow, attempts=AttemptLimits(total_s=0.4)) as world:
        answer = await world.post(body=BODY, headers=FAST)
        assert (status_of(answer), body_of(answer)) == (200, b"0123456789")


async def test_who_asks_for_no_retry_is_not_timed() -> None:
    async def late(peer: Peer, request: bytes) -> None:
        await asyncio.sleep(0.5)
        await sized()(peer, request)

    async with running(late, attempts=AttemptLimits(total_s=0.2)) as world:
        assert status_of(await world.post(body=BODY, headers=b"Helicone-User-Id: a\r\n")) == 200


async def test_a_client_that_leaves_ends_the_tries() -> None:
    async with running(BUSY) as world:
        _, writer = await asyncio.open_connection("127.0.0.1", world.port)
        writer.write(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nHelicone-Retry-Enabled: true\r\nHelicone-Retry-Min-Timeout: 400\r\n"
            b"Content-Length: 2\r\n\r\n{}"
        )
        while not world.provider.requests:
            await asyncio.sleep(0.01)
        writer.close()
        (response,) = await world.responses()
        assert (response.outcome, response.attempts) == (Outcome.INTERRUPTED_BY_CLIENT, 1)
        await asyncio.sleep(0.5)
        assert len(world.provider.requests) == 1


async def test_a_body_that_is_too_large_is_sent_once() -> None:
    large = b'{"model":"gpt-4o-mini","text":"' + b"x" * (17 << 20) + b'"}'
    async with running(BUSY) as world:
        answer = await world.post(body=large, headers=FAST)
        assert status_of(answer) == 429
        assert "Helicone-Retry-Enabled is not obeyed" in headers_of(answer)["helicone-warning"]
        answer = await world.post(body=large, headers=b"Helicone-Stream-Usage: true\r\n")
        assert "Helicone-Stream-Usage is not obeyed" in headers_of(answer)["helicone-warning"]
        assert len(world.provider.requests) == 2
        answer = await world.post(body=large, headers=b"Helicone-Moderations-Enabled: true\r\n")
        assert status_of(answer) == 413  # what is to be judged first is not let through unseen
        assert len(world.provider.requests) == 2


def fallbacks(*entries: dict[str, Any]) -> bytes:
    return b"Helicone-Fallbacks: " + json.dumps(entries).encode() + b"\r\n"


def entry(url: str, *codes: Any, key: str = "A", **more: Any) -> dict[str, Any]:
    return {"target-url": url, "headers": {"Authorization": f"Bearer {key}"}, "onCodes": list(codes)} | more


async def test_the_first_that_answers_as_it_should() -> None:
    async with running(script(BUSY, BROKEN, sized())) as world:
        here = world.provider.url
        said = fallbacks(
            entry(here, 429, key="A"),
            entry(here, {"from": 500, "to": 599}, key="B", bodyKeyOverride={"model": "other"}),
            entry(here, key="C"),
        )
        answer = await world.post("/gateway/v1/chat/completions", body=BODY, headers=said + b"Authorization: Bearer mine\r\n")
        assert (status_of(answer), headers_of(answer)["helicone-fallback-index"]) == (200, "2")
        sent = world.provider.requests
        assert [request.split(b" ", 2)[1] for request in sent] == [b"/v1/chat/completions"] * 3
        assert [request.count(b"Bearer %b\r\n" % key) for request, key in zip(sent, (b"A", b"B", b"C"), strict=True)] == [1, 1, 1]
        assert b"mine" not in b"".join(sent)
        assert [json.loads(body_of(request))["model"] for request in sent] == ["gpt-4o-mini", "other", "other"]
        (response,) = await world.responses()
        assert (response.fallback_index, response.attempts, response.call.model) == (2, 3, "other")
        assert [each.status for each in response.tries] == [429, 503, 200]


FELL: dict[str, tuple[Sequence[Answering], list[Any], int, int]] = {
    "the first is good": ([sized()], [500], 200, 0),
    "a status that is not listed": ([BUSY], [500], 429, 0),
    "the last answers, whatever it says": ([BUSY], [429], 429, 1),
    "a connection that fails moves on": ([RESET, sized()], [], 200, 1),
    "a success that is listed": ([sized(), sized()], [200], 200, 1),
}


@pytest.mark.parametrize(("answers", "codes", "status", "index"), FELL.values(), ids=FELL)
async def test_fallbacks(answers: Sequence[Answering], codes: list[Any], status: int, index: int) -> None:
    async with running(script(*answers)) as world:
        answer = await world.post(body=BODY, headers=fallbacks(*[entry(world.provider.url, *codes)] * 2))
        assert (status_of(answer), headers_of(answer)["helicone-fallback-index"]) == (status, str(index))
        assert headers_of(answer).get("x-should-retry") == ("false" if index and status >= 400 else None)


async def test_a_chain_that_failed_is_not_begun_anew() -> None:
    """What the last provider says of retrying is about itself, not about all of them."""
    said = sized(b"{}", status=b"503 x", headers=b"X-Should-Retry: true\r\n")
    async with running(said) as world:
        answer = await world.post(body=BODY, headers=fallbacks(*[entry(world.provider.url, 503)] * 3))
        assert (status_of(answer), headers_of(answer)["x-should-retry"]) == (503, "false")
        answer = await world.post(body=BODY, headers=fallbacks(entry(world.provider.url, 503)))
        assert headers_of(answer)["x-should-retry"] == "true"


async def test_an_override_is_merged_when_its_turn_comes() -> None:
    """And stays for those behind it."""
    async with running(script(BUSY, BUSY, sized())) as world:
        here = world.provider.url
        await world.post(
            body=b'{"model":"m", "a":{"x":1.0}}',
            headers=fallbacks(
                entry(here, 429),
                entry(here, 429, bodyKeyOverride={"a": {"y": 2}}),
                entry(here, bodyKeyOverride={"model": "n"}),
            ),
        )
        assert [body_of(request) for request in world.provider.requests] == [
            b'{"model":"m", "a":{"x":1.0}}',
            b'{"model":"m","a":{"x":1.0,"y":2}}',
            b'{"model":"n","a":{"x":1.0,"y":2}}',
        ]


async def test_retries_of_each_target() -> None:
    async with running(BUSY) as world:
        said = fallbacks(*[entry(world.provider.url, 429)] * 2) + FAST + b"Helicone-Retry-Num: 2\r\n"
        answer = await world.post(body=BODY, headers=said)
        assert (status_of(answer), headers_of(answer)["x-should-retry"]) == (429, "false")
        assert len(world.provider.requests) == 6


async def test_nobody_listens_anywhere() -> None:
    async with running() as world:
        answer = await world.post(body=BODY, headers=fallbacks(*[entry("http://127.0.0.1:1", 500)] * 2))
        found = headers_of(answer)
        assert (status_of(answer), found["helicone-fallback-index"], found["x-should-retry"]) == (502, "1", "false")
        (response,) = await world.responses()
        assert (response.outcome, response.attempts) == (Outcome.UNREACHABLE, 2)


async def told(world: World, headers: bytes, body: bytes = BODY) -> tuple[int, str, str]:
    answer = await world.post(body=body, headers=headers)
    error = json.loads(answer.partition(b"\r\n\r\n")[2])["error"]
    return status_of(answer), error["param"], error["message"]


async def test_what_is_wrong_is_told_before_anything_is_sent() -> None:
    async with running() as world:
        here = world.provider.url
        for headers, field in (
            (b"Helicone-Retry-Enabled: true\r\nHelicone-Retry-Num: -1\r\n", "Helicone-Retry-Num"),
            (b"Helicone-Retry-Enabled: true\r\nHelicone-Retry-Num: 11\r\n", "Helicone-Retry-Num"),
            (b"Helicone-Retry-Enabled: perhaps\r\n", "Helicone-Retry-Enabled"),
            (b"Helicone-Retry-Factor: 0.5\r\n", "Helicone-Retry-Factor"),
            (b"Helicone-Retry-Min-Timeout: 1s\r\n", "Helicone-Retry-Min-Timeout"),
            (FAST + b"Helicone-Retry-Min-Timeout: 9\r\n", "Helicone-Retry-Min-Timeout"),
            (b"Helicone-Fallbacks: {}\r\n", "Helicone-Fallbacks"),
            (fallbacks(*[entry(here)] * 11), "Helicone-Fallbacks"),
            (fallbacks(entry("ftp://x")), "Helicone-Fallbacks"),
            (fallbacks(entry(here, key="a\x01\x7fb")), "Helicone-Fallbacks"),
        ):
            status, named, _ = await told(world, headers)
            assert (status, named) == (400, field)
        for later in (entry(here, bodyKeyOverride={"a": 1}), entry("ftp://x")):
            status, named, _ = await told(world, fallbacks(entry(here, 200), later), body=b"[1]")
            assert (status, named) == (400, "Helicone-Fallbacks")
        assert world.provider.requests == []


async def test_a_target_that_may_not_be_reached_ends_the_call() -> None:
    async with running() as other, running(private=False) as world:
        status, named, _ = await told(world, fallbacks(*[entry(other.provider.url, 500)] * 2))
        assert (status, named) == (403, "Helicone-Fallbacks")
        assert world.provider.requests == []


async def test_usage_is_asked_for_in_streams() -> None:
    async with running(streamed()) as world:
        await world.post(body=b'{"model":"m","stream":true}', headers=b"Helicone-Stream-Usage: true\r\n")
        assert json.loads(body_of(world.provider.requests[0]))["stream_options"] == {"include_usage": True}
        (request,) = await world.requests()
        assert request.request.text == body_of(world.provider.requests[0]).decode()
        (response,) = await world.responses()
        assert response.call.stream


@pytest.mark.parametrize(("path", "asked"), [("/v1/completions?x=1", True), ("/v1/messages", False), ("/v1/responses", False)])
async def test_usage_is_asked_for_where_that_is_possible(path: str, *, asked: bool) -> None:
    """Elsewhere it would be refused, and a client's default goes everywhere."""
    async with running(streamed()) as world:
        body = b'{"model":"m","stream":true}'
        await world.post(path, body=body, headers=b"Helicone-Stream-Usage: true\r\n")
        await world.post("/v1/files", body=b"--x\r\n", headers=b"Helicone-Stream-Usage: true\r\n")
        assert (body_of(world.provider.requests[0]) != body) is asked
        assert body_of(world.provider.requests[1]) == b"--x\r\n"


async def test_what_was_understood() -> None:
    """Told to whom nobody keeps out, without the keys of providers."""
    async with running() as world:
        here = world.provider.url.replace("://", "://me:secret@")
        said = fallbacks(entry(f"{here}/?key=secret", 500, key="secret")) + FAST + b"Helicone-Property-Size: \xc3\xa4\r\n"
        limit = b"Helicone-RateLimit-Policy: 10;W=60;s=User\r\n"
        answer = await world.post(body=BODY, headers=said + limit + b"Helicone-Debug: true\r\n")
        told = json.loads(headers_of(answer)["helicone-debug"])
        assert (told["rate_limit"], told["retry_enabled"], told["retry_min_ms"]) == ("10;w=60;s=user", True, 1)
        assert told["fallbacks"] == [{"target-url": world.provider.url, "onCodes": [[500, 500]]}]
        assert "secret" not in headers_of(answer)["helicone-debug"]
        assert "helicone-debug" not in headers_of(await world.post(body=BODY, headers=said))
    admission = Admission(known=lambda: KEYS)
    async with running(admission=admission) as world:
        by_key = f"Helicone-Auth: Bearer {WRITER}\r\nHelicone-Debug: true\r\n".encode()
        found = headers_of(await world.post(body=BODY, headers=by_key))
        assert ("helicone-debug" in found, found["helicone-warning"]) == (False, "Helicone-Debug needs a key with the scope admin")


async def test_what_was_understood_is_told_as_far_as_a_client_can_read_it() -> None:
    async with running() as world:
        many = b"".join(b"Helicone-Property-P%d: %b\r\n" % (number, b"\xc3\xa4" * 1000) for number in range(25))
        answer = await world.post(body=BODY, headers=many + b"Helicone-Debug: true\r\nHelicone-User-Id: bot\r\n")
        told = headers_of(answer)["helicone-debug"]
        assert len(told) < 8_192
        assert json.loads(told) == {"user_id": "bot", "debug": True, "cut": ["properties"]}


async def test_clients_that_leave_in_a_pause_leave_no_connection_behind() -> None:
    async with running(BUSY) as world:
        for number in range(3):
            _, writer = await asyncio.open_connection("127.0.0.1", world.port)
            writer.write(
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nHelicone-Retry-Enabled: true\r\n"
                b"Helicone-Retry-Min-Timeout: 60000\r\nHelicone-Retry-Max-Timeout: 60000\r\nContent-Length: 2\r\n\r\n{}"
            )
            while len(world.provider.requests) <= number:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)
            writer.close()
            await world.responses(number + 1)
        assert len(world.provider.peers) == 1  # the same connection each time: it was given back


@pytest.mark.parametrize("said", [b"Mon, 01 Jan 99999999999 00:00:00 GMT", b"Mon, 01 Jan 2027 99999999999:00:00 GMT", b"\xff"])
async def test_a_retry_after_that_is_no_time(said: bytes) -> None:
    async with running(script(sized(b"{}", status=b"429 x", headers=b"Retry-After: %b\r\n" % said), sized())) as world:
        assert status_of(await world.post(body=BODY, headers=FAST)) == 200


async def test_hostile_bodies_and_numbers_are_no_fault_of_ours() -> None:
    async with running() as world:
        override = fallbacks(entry(world.provider.url, bodyKeyOverride={"a": {"b": 10**30}}))
        answer = await world.post(body=b'{"a":{"\xff":1}}', headers=override + b"Helicone-Cache-Enabled: true\r\n")
        assert status_of(answer) in {200, 400}


async def test_what_the_provider_says_of_retrying_stands() -> None:
    """Unless we tried as often as we might."""
    said = sized(b"{}", status=b"400 Bad Request", headers=b"x-should-retry: false\r\n")
    async with running(said) as world:
        answer = await world.post(body=BODY, headers=FAST + b"Helicone-Debug: true\r\n")
        assert headers_of(answer)["x-should-retry"] == "false"


async def test_our_keys_are_remembered_nowhere() -> None:
    async with running() as world:
        said = f"traceparent: {WRITER}\r\nContent-Encoding: {WRITER}\r\n".encode()
        await world.post(body=BODY, headers=said)
        for event in [*(await world.requests()), *(await world.responses())]:
            assert WRITER[12:] not in str(event)
