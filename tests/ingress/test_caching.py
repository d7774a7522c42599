"""Answers given again, through the whole ingress: what the client gets, what the provider sees, what the row says."""

import asyncio
import itertools
import json

import pytest

from eventlog.admission import Admission
from eventlog.events import Outcome
from eventlog.keys import Auth, Scope
from ingress.cache_store import CacheStats, CacheUnavailable, Hit, SharedCache, Stored
from ingress.ledger import SharedLedger
from tests.fakes.ingress import World, headers_of, running, status_of
from tests.fakes.keyring import key, keyring
from tests.fakes.provider import ANSWER, EVENTS, Answering, raw, sized, streamed
from tests.fakes.raw_server import Peer

CACHED = b"Helicone-Cache-Enabled: true\r\n"
BODY = b'{"model":"gpt-4o-mini","messages":[]}'


def numbered() -> Answering:
    """Each answer says which it is."""
    count = itertools.count(1)

    async def answer(peer: Peer, request: bytes) -> None:
        body = b'{"number":%d}' % next(count)
        await peer.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nSet-Cookie: a=b\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        )

    return answer


def number_in(answer: bytes) -> int:
    return int(json.loads(answer.partition(b"\r\n\r\n")[2])["number"])


async def numbers(world: World, *headers: bytes, body: bytes = BODY) -> list[int]:
    return [number_in(await world.post(body=body, headers=each)) for each in headers]


@pytest.mark.parametrize("durability", ["buffered", "strict"])
async def test_the_second_is_given_again(cache: SharedCache, durability: str) -> None:
    async with running(numbered(), cache=cache, durability=durability) as world:
        first, second = [await world.post(body=BODY, headers=CACHED) for _ in range(2)]
        assert (number_in(first), number_in(second)) == (1, 1)
        one, two = headers_of(first), headers_of(second)
        assert (one["helicone-cache"], two["helicone-cache"], two["helicone-cache-bucket-idx"]) == ("MISS", "HIT", "0")
        assert two["helicone-cache-latency"].isdigit()
        assert one["helicone-id"] != two["helicone-id"]
        assert (one["set-cookie"], "set-cookie" in two, two["content-type"]) == ("a=b", False, "application/json")
        miss, hit = await world.responses(2)
        assert (miss.cache_hit, miss.cache_reference_id, miss.attempts) == (False, None, 1)
        assert (hit.cache_hit, hit.cache_reference_id, hit.attempts, hit.outcome) == (True, miss.call.call_id, 0, Outcome.COMPLETED)
        assert hit.response == miss.response
        assert len(await world.requests(2)) == 2
        assert len(world.provider.requests) == 1


@pytest.mark.parametrize("durability", ["buffered", "strict"])
async def test_a_stream_is_given_again_in_its_pieces(cache: SharedCache, durability: str) -> None:
    async with running(streamed(), cache=cache, durability=durability) as world:
        first, second = [await world.post(body=BODY, headers=CACHED) for _ in range(2)]
        assert headers_of(second)["helicone-cache"] == "HIT"
        pieces = b"".join(b"%x\r\n%b\r\n" % (len(event), event) for event in EVENTS) + b"0\r\n\r\n"
        assert second.partition(b"\r\n\r\n")[2] == pieces
        assert first.partition(b"\r\n\r\n")[2] == pieces
        assert len(world.provider.requests) == 1


async def test_nothing_is_given_again_unless_it_is_wished(cache: SharedCache) -> None:
    async with running(numbered(), cache=cache) as world:
        assert await numbers(world, CACHED, b"", b"Helicone-Cache-Enabled: false\r\n") == [1, 2, 3]
        assert "helicone-cache" not in headers_of(await world.post(body=BODY))


async def test_reading_and_saving_apart(cache: SharedCache) -> None:
    read, save = b"Helicone-Cache-Read: true\r\n", b"Helicone-Cache-Save: true\r\n"
    async with running(numbered(), cache=cache) as world:
        assert await numbers(world, read, read, save, save, read, CACHED) == [1, 2, 3, 4, 3, 3]
        assert "helicone-cache" not in headers_of(await world.post(body=BODY, headers=save))
        assert await numbers(world, CACHED + read.replace(b"true", b"false"), CACHED + save.replace(b"true", b"false"), CACHED) == [6, 3, 3]


async def test_buckets(cache: SharedCache) -> None:
    said = CACHED + b"Helicone-Cache-Bucket-Max-Size: 3\r\n"
    async with running(numbered(), cache=cache) as world:
        found = await numbers(world, *[said] * 33)
        assert found[:3] == [1, 2, 3]
        assert set(found[3:]) == {1, 2, 3}
        assert len(world.provider.requests) == 3


APART = {
    "seeds": (CACHED + b"Helicone-Cache-Seed: a\r\n", CACHED + b"Helicone-Cache-Seed: b\r\n"),
    "providers' keys": (CACHED + b"Authorization: Bearer a\r\n", CACHED + b"Authorization: Bearer b\r\n"),
    "what is accepted": (CACHED + b"Accept: a\r\n", CACHED + b"Accept: b\r\n"),
}


@pytest.mark.parametrize(("one", "other"), APART.values(), ids=APART)
async def test_what_is_kept_apart(one: bytes, other: bytes, cache: SharedCache) -> None:
    async with running(numbered(), cache=cache) as world:
        assert await numbers(world, one, other, one, other) == [1, 2, 1, 2]


async def test_keys_that_do_not_count(cache: SharedCache) -> None:
    said = CACHED + b"Helicone-Cache-Ignore-Keys: at,id\r\n"
    async with running(numbered(), cache=cache) as world:
        bodies = [b'{"model":"m","at":%d}' % at for at in range(3)]
        assert [number_in(await world.post(body=body, headers=said)) for body in bodies] == [1, 1, 1]
        assert b'"at":0' in world.provider.requests[0]


async def test_time_to_live(cache: SharedCache, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_795_000_000.0
    monkeypatch.setattr(cache, "_clock", lambda: now)
    async with running(numbered(), cache=cache) as world:
        short, none = CACHED + b"Cache-Control: max-age=60\r\n", CACHED + b"Cache-Control: max-age=0\r\n"
        assert await numbers(world, none, none, short, short) == [1, 2, 3, 3]
        now += 60
        assert await numbers(world, short) == [4]


async def test_who_wants_a_fresh_answer_gets_one(cache: SharedCache) -> None:
    """Though one is kept. The answer to `no-cache` takes its place."""
    async with running(numbered(), cache=cache) as world:
        fresh = [CACHED + b"Cache-Control: %b\r\n" % said for said in (b"no-cache", b"no-store", b"max-age=0")]
        assert await numbers(world, CACHED, *fresh, CACHED) == [1, 2, 3, 4, 2]
        assert headers_of(await world.post(body=BODY, headers=fresh[0]))["helicone-cache"] == "MISS"
        other = b'{"model":"other"}'
        assert await numbers(world, fresh[1], fresh[0], CACHED, body=other) == [6, 7, 7]


async def test_a_key_s_default_says_for_how_long(cache: SharedCache) -> None:
    """Unless the call does."""
    admission = Admission(known=lambda: keyring(key("sk-helicone-a", Scope.WRITE, defaults={"Cache-Control": "no-store"})))
    async with running(numbered(), cache=cache, admission=admission) as world:
        said = CACHED + b"Helicone-Auth: Bearer sk-helicone-a\r\n"
        own = said + b"Cache-Control: max-age=60\r\n"
        assert await numbers(world, said, said, own, own) == [1, 2, 3, 3]
        assert not [request for request in world.provider.requests if b"no-store" in request]


async def test_an_answer_whose_body_is_omitted_is_kept_to_be_given_again(cache: SharedCache) -> None:
    async with running(numbered(), cache=cache) as world:
        said = CACHED + b"Helicone-Omit-Response: true\r\n"
        assert await numbers(world, said, said) == [1, 1]
        assert [row.response.omitted for row in await world.responses(2)] == [True, True]


def keys() -> Admission:
    return Admission(
        Auth.PERMISSIVE,
        lambda: keyring(
            key("sk-helicone-a", Scope.WRITE), key("sk-helicone-b", Scope.WRITE), key("sk-helicone-c", Scope.WRITE, organization="globex")
        ),
    )


def by(which: str) -> bytes:
    return f"Helicone-Auth: Bearer sk-helicone-{which}\r\nAuthorization: Bearer theirs\r\n".encode() + CACHED


async def test_tenants(cache: SharedCache) -> None:
    """Two keys of one organization share; another does not, and who is unknown has nothing to do with it."""
    async with running(numbered(), cache=cache, admission=keys()) as world:
        assert await numbers(world, by("a"), by("b"), by("c"), by("c"), by("x"), by("x")) == [1, 1, 2, 2, 3, 4]


async def test_what_comes_behind_the_end_marker_is_kept_too(cache: SharedCache) -> None:
    async with running(streamed([*EVENTS, b": bye\n\n"]), cache=cache) as world:
        first, second = [await world.post(body=BODY, headers=CACHED) for _ in range(2)]
        assert headers_of(second)["helicone-cache"] == "HIT"
        assert first.partition(b"\r\n\r\n")[2] == second.partition(b"\r\n\r\n")[2]
        assert b": bye" in second


CLOSED = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: "
NOT_KEPT: dict[str, Answering] = {
    "an error": sized(b"{}", status=b"500 Internal Server Error"),
    "a status of its own": sized(b"{}", status=b"201 Created"),
    "an answer that breaks off": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", then="reset"),
    "a stream that breaks off": streamed(EVENTS[:2], end=False),
    "an error in a stream": streamed([EVENTS[0], b"event: error\ndata: {}\n\n"]),
    "a response that failed": streamed([EVENTS[0], b"event: response.failed\ndata: {}\n\n"]),
    "an error in a stream of chat": streamed([EVENTS[0], b'data: {"error":{"message":"server had an error"}}\n\n', b"data: [DONE]\n\n"]),
    "an error with the status of none": sized(b'{"error":{"message":"Provider returned error","code":502}}'),
    "a stream without its end": streamed(EVENTS[:1]),
    "an answer that ends as its connection does": raw(CLOSED + b'application/json\r\n\r\n{"choices":[{"mess', then="close"),
    "a stream that ends as its connection does": raw(CLOSED + b"text/event-stream\r\n\r\n" + EVENTS[0], then="close"),
    "a large one": sized(b"x" * (9 << 20)),
    "a large stream": streamed([b"data: %b\n\n" % (b"x" * (1 << 20))] * 9),
}


@pytest.mark.parametrize("answer", NOT_KEPT.values(), ids=NOT_KEPT)
async def test_what_is_not_kept(answer: Answering, cache: SharedCache) -> None:
    async with running(answer, cache=cache) as world:
        for _ in range(2):
            client = asyncio.create_task(world.post(body=BODY, headers=CACHED))
            if answer is NOT_KEPT["a stream that breaks off"]:
                await asyncio.sleep(0.2)
                world.provider.peers[-1].reset()
            await client
        assert len(world.provider.requests) == 2
        assert (await cache.stats()).entries == 0


async def test_an_answer_that_its_client_did_not_wait_for_is_not_kept(cache: SharedCache) -> None:
    async with running(streamed([EVENTS[0]] * 50), cache=cache) as world:
        _, writer = await asyncio.open_connection("127.0.0.1", world.port)
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n" + CACHED + b"Content-Length: 2\r\n\r\n{}")
        while not world.provider.requests:
            await asyncio.sleep(0.01)
        writer.close()
        await world.responses()
        assert (await cache.stats()).entries == 0


async def test_fifty_megabytes_pass(cache: SharedCache) -> None:
    async with running(sized(b"x" * 50_000_000), cache=cache) as world:
        answer = await world.post(body=BODY, headers=CACHED)
        assert len(answer.partition(b"\r\n\r\n")[2]) == 50_000_000
        assert (await cache.stats()).entries == 0


async def test_a_hit_consumes_no_limit(cache: SharedCache, ledger: SharedLedger) -> None:
    said = CACHED + b"Helicone-RateLimit-Policy: 2;w=60\r\n"
    async with running(numbered(), cache=cache, ledger=ledger) as world:
        assert await numbers(world, *[said] * 5) == [1] * 5
        last = headers_of(await world.post(body=BODY, headers=said))
        assert not [name for name in last if name.startswith("helicone-ratelimit")]
        other = [await world.post(body=b'{"n":%d}' % number, headers=said) for number in range(2)]
        assert [status_of(answer) for answer in other] == [200, 429]


async def test_retries_fill_it_once(cache: SharedCache) -> None:
    answers = iter([sized(b"{}", status=b"503 x"), sized(ANSWER)])

    async def script(peer: Peer, request: bytes) -> None:
        await next(answers)(peer, request)

    said = CACHED + b"Helicone-Retry-Enabled: true\r\nHelicone-Retry-Min-Timeout: 1\r\n"
    async with running(script, cache=cache) as world:
        first, second = [await world.post(body=BODY, headers=said) for _ in range(2)]
        assert [headers_of(each)["helicone-cache"] for each in (first, second)] == ["MISS", "HIT"]
        assert first.partition(b"\r\n\r\n")[2] == second.partition(b"\r\n\r\n")[2] == ANSWER
        miss, hit = await world.responses(2)
        assert (miss.attempts, hit.attempts, hit.tries) == (2, 0, ())


async def test_fallbacks_count_for_what_is_found(cache: SharedCache) -> None:
    async with running(numbered(), cache=cache) as world:

        def said(key: str) -> bytes:
            entry = {"target-url": world.provider.url, "headers": {"Authorization": f"Bearer {key}"}, "onCodes": [500]}
            return CACHED + b"Helicone-Fallbacks: " + json.dumps([entry]).encode() + b"\r\n"

        assert await numbers(world, said("a"), said("a"), said("b")) == [1, 1, 2]
        assert headers_of(await world.post(body=BODY, headers=said("a")))["helicone-fallback-index"] == "0"
        assert [(row.cache_hit, row.fallback_index) for row in await world.responses(4)] == [(False, 0), (True, 0), (False, 0), (True, 0)]


class Away:
    async def find(self, key: bytes, slots: int) -> Hit | None:
        raise CacheUnavailable("away")

    async def put(self, key: bytes, slots: int, stored: Stored, ttl_s: int, *, replaces: bool = False) -> None:
        raise CacheUnavailable("away")

    async def clear(self) -> int:
        raise CacheUnavailable("away")

    async def stats(self) -> CacheStats:
        raise CacheUnavailable("away")


async def test_a_cache_that_is_away_holds_nothing_up() -> None:
    async with running(numbered(), cache=Away()) as world:
        assert await numbers(world, CACHED, CACHED) == [1, 2]


async def test_what_is_wrong_is_told_before_anything_is_sent(cache: SharedCache) -> None:
    async with running(cache=cache) as world:
        for headers, field in (
            (b"Helicone-Cache-Enabled: maybe\r\n", "Helicone-Cache-Enabled"),
            (CACHED + b"Helicone-Cache-Bucket-Max-Size: 21\r\n", "Helicone-Cache-Bucket-Max-Size"),
            (CACHED + b"Helicone-Cache-Bucket-Max-Size: 0\r\n", "Helicone-Cache-Bucket-Max-Size"),
            (CACHED + b"Helicone-Cache-Ignore-Keys: [1]\r\n", "Helicone-Cache-Ignore-Keys"),
            (CACHED + b"Cache-Control: max-age=soon\r\n", "Cache-Control"),
        ):
            answer = await world.post(body=BODY, headers=headers)
            error = json.loads(answer.partition(b"\r\n\r\n")[2])["error"]
            assert (status_of(answer), error["param"]) == (400, field)
        assert world.provider.requests == []


@pytest.mark.parametrize("asked", [b"DELETE /v1/files/f", b"POST /v1/responses/r/cancel", b"GET /v1/batches/b"])
async def test_what_changes_something_is_never_given_again(asked: bytes, cache: SharedCache) -> None:
    async with running(numbered(), cache=cache) as world:
        request = asked + b" HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n" + CACHED + b"\r\n"
        answers = [await world.talk(request) for _ in range(2)]
        assert [number_in(answer) for answer in answers] == [1, 2]
        assert all(b"Helicone-Warning: Helicone-Cache-Enabled is not obeyed" in answer for answer in answers)


async def test_a_get_is_kept_too(cache: SharedCache) -> None:
    async with running(numbered(), cache=cache) as world:
        request = b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + CACHED + b"\r\n"
        assert [number_in(await world.talk(request)) for _ in range(2)] == [1, 1]
