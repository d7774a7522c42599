"""Two `heliograph up`, each with its own log and lake, that share cache and limits through Redis."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx
import pytest

from tests.fakes.redis import RedisServer
from tests.fakes.stack import Stack
from tests.fakes.stack import stack as running

BODY = {"model": "gpt-4", "messages": [{"role": "user", "content": "hello"}]}
PATIENCE_S = 30
AT_ONCE = 20


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory, redis_server: RedisServer) -> Iterator[list[Stack]]:
    with ExitStack() as both:
        one = both.enter_context(running(tmp_path_factory.mktemp("one"), HELIOGRAPH_REDIS_URL=redis_server.url))
        same = {"HELIOGRAPH_REDIS_URL": redis_server.url, "HELIOGRAPH_UPSTREAMS__OPENAI": one.provider}
        yield [one, both.enter_context(running(tmp_path_factory.mktemp("other"), **same))]


def call(machine: Stack, user: str, **headers: str) -> httpx.Response:
    said = {"authorization": "Bearer sk-test", "helicone-user-id": user} | {f"helicone-{name}": value for name, value in headers.items()}
    return httpx.post(f"{machine.proxy}/v1/chat/completions", json=BODY, headers=said, timeout=20)


def soon(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_never_more_than_the_quota(machines: list[Stack]) -> None:
    """Twenty clients at once, ten on each machine, three calls each."""

    async def client(http: httpx.AsyncClient, machine: Stack) -> list[int]:
        headers = {"authorization": "Bearer sk-test", "helicone-user-id": "crowd", "helicone-ratelimit-policy": "10;w=600;s=user"}
        return [
            (await http.post(f"{machine.proxy}/v1/chat/completions", json=BODY, headers=headers, timeout=30)).status_code for _ in range(3)
        ]

    async def crowd() -> Counter[int]:
        async with httpx.AsyncClient() as http:
            said = await asyncio.gather(*(client(http, machines[number % 2]) for number in range(AT_ONCE)))
        return Counter(status for each in said for status in each)

    assert asyncio.run(crowd()) == {200: 10, 429: 50}


def test_costs_of_one_count_for_the_other(machines: list[Stack]) -> None:
    policy = {"ratelimit-policy": "0.01;w=600;u=cents;s=user"}
    assert call(machines[0], "anna", **policy).status_code == 200
    soon(lambda: call(machines[1], "anna", **policy).status_code == 429)
    assert call(machines[1], "bert", **policy).status_code == 200


def test_what_one_was_answered_the_other_gives_again(machines: list[Stack]) -> None:
    cached = {"cache-enabled": "true"}
    first, second = call(machines[0], "anna", **cached), call(machines[1], "anna", **cached)
    assert [answer.headers["helicone-cache"] for answer in (first, second)] == ["MISS", "HIT"]
    assert first.content == second.content
    hit = machines[1].row(f"request_id = '{second.headers['helicone-id']}'")
    assert (hit["cost_usd"], hit["cost_saved_usd"] > 0, hit["cache_reference_id"]) == (0, True, first.headers["helicone-id"])
