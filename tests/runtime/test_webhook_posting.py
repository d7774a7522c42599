"""One try at a webhook, over real connections: what counts as taken, and where we do not send."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from eventlog.webhooks import Webhook
from ingress.upstream import Upstream
from processors.webhooks.deliveries import Tried
from runtime.settings import Settings
from runtime.webhook_posting import Posting, try_out
from runtime.webhooks import Unfit, check_destination
from tests.fakes.hooks import webhook
from tests.fakes.receiver import CLOSE, DRIP, STALL, receiver

HEADERS = [(b"content-type", b"application/json"), (b"Helicone-Signature", b"00")]


@asynccontextmanager
async def posting(*, seconds: float = 20, allow_private: bool = True) -> AsyncIterator[Posting]:
    upstream = Upstream(allow_private_targets=allow_private)
    try:
        yield Posting(upstream, seconds=seconds, allow_private=allow_private)
    finally:
        await upstream.aclose()


async def test_what_arrives_is_what_was_sent() -> None:
    async with receiver() as app, posting() as post:
        assert (await post(app.url, b'{"a": 1}', HEADERS)).taken
        assert (await post(app.url, b'{"a": 2}', HEADERS)).taken
    assert [(each.target, each.body) for each in app.taken] == [("/hook?secret=s3cret", b'{"a": 1}'), ("/hook?secret=s3cret", b'{"a": 2}')]
    assert app.taken[0].headers["helicone-signature"] == "00"
    assert app.taken[0].headers["host"] == f"127.0.0.1:{app.port}"


@pytest.mark.parametrize(
    ("how", "status", "taken"),
    [
        pytest.param(204, 204, True, id="taken"),
        pytest.param(500, 500, False, id="failed"),
        pytest.param(302, 302, False, id="a redirect, which is not followed"),
        pytest.param(CLOSE, None, False, id="closed"),
        pytest.param(STALL, None, False, id="never answered"),
        pytest.param(DRIP, 200, True, id="taken, and its answer never ends"),
    ],
)
async def test_what_comes_of_a_try(how: int | str, status: int | None, taken: bool) -> None:
    async with receiver(how) as app, posting(seconds=0.3) as post:
        tried = await post(app.url, b"{}", HEADERS)
    assert (tried.status, tried.taken, tried.refused, len(app.taken)) == (status, taken, False, 1)
    assert bool(str(tried))


async def test_nobody_listens() -> None:
    async with receiver() as app:
        url = app.url
    async with posting() as post:
        tried = await post(url, b"{}", HEADERS)
    assert (tried.taken, tried.refused) == (False, False)


@pytest.mark.parametrize(
    "destination",
    [
        pytest.param("http://127.0.0.1:{port}/", id="no https"),
        pytest.param("https://127.0.0.1:{port}/", id="an address"),
        pytest.param("https://[::1]:{port}/", id="an address of IPv6"),
        pytest.param("https://127.1:{port}/", id="an address in short"),
        pytest.param("https://2130706433:{port}/", id="an address as a number"),
        pytest.param("https://localhost:{port}/", id="a name of this machine"),
        pytest.param("https://169.254.169.254/latest", id="the cloud's own"),
        pytest.param("https://user:pass@app.example/", id="a password in it"),
        pytest.param("ftp://app.example/", id="another scheme"),
        pytest.param("https://app.example/\u00e9", id="beyond ASCII"),
        pytest.param("https://app.example/a b", id="a blank"),
        pytest.param("app.example/hook", id="no URL"),
    ],
)
async def test_where_nothing_is_sent(destination: str) -> None:
    async with receiver() as app, posting(allow_private=False) as post:
        url = destination.format(port=app.port)
        with pytest.raises(Unfit, match="destination"):
            check_destination(url, allow_private=False)
        assert (await post(url, b"{}", HEADERS)).refused
    assert app.taken == []


async def test_a_name_is_judged_by_where_it_leads_at_each_delivery(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was fine when the webhook was made; since then its name server answers with an address of ours."""
    loop = asyncio.get_running_loop()

    async def rebound(host: str, port: int, **_: object) -> list[object]:
        return [(2, 1, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(type(loop), "getaddrinfo", lambda _, host, port, **more: rebound(host, port, **more))
    check_destination("https://app.example:8443/", allow_private=False)
    async with posting(allow_private=False) as post:
        tried = await post("https://app.example:8443/", b"{}", HEADERS)
    assert tried.refused
    assert "127.0.0.1" in str(tried)


async def test_a_test_is_signed_and_told() -> None:
    async with receiver(200, 500) as app:
        one: Webhook = webhook(destination=app.url)
        found: list[Tried] = [await try_out(Settings(allow_private_targets=True), one) for _ in range(2)]
    assert [each.taken for each in found] == [True, False]
    assert {each.headers["heliograph-event"] for each in app.taken} == {"test"}
    assert all(each.headers["helicone-signature"] for each in app.taken)
