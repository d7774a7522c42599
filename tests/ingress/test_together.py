"""Everything that a header can ask for, with everything else: the same call twice, by every combination."""

import itertools
import json

import pytest

from eventlog.events import Outcome
from ingress.cache_store import SharedCache
from ingress.ledger import SharedLedger
from tests.fakes.ingress import running
from tests.fakes.provider import ANSWER, EVENTS, Answering, sized, streamed
from tests.fakes.raw_server import Peer

BUSY = sized(b"{}", status=b"503 Service Unavailable")
BODY = b'{"model":"gpt-4o-mini","stream":true,"messages":[]}'
STREAM = b"".join(b"%x\r\n%b\r\n" % (len(event), event) for event in EVENTS) + b"0\r\n\r\n"
SWITCHES = ("cache", "stream", "retry", "limit", "fallback", "strict")
COMBINATIONS = [dict(zip(SWITCHES, each, strict=True)) for each in itertools.product((False, True), repeat=len(SWITCHES))]
for on in COMBINATIONS:
    on["usage"] = on["cache"] ^ on["retry"] ^ on["limit"]  # with each two of the others in every way, in no more calls


def failing_first(good: Answering) -> Answering:
    """The first try of all fails."""
    first = iter([BUSY])

    async def answer(peer: Peer, request: bytes) -> None:
        await next(first, good)(peer, request)

    return answer


def headers_for(on: dict[str, bool], url: str) -> bytes:
    said = {
        "cache": b"Helicone-Cache-Enabled: true\r\n",
        "usage": b"Helicone-Stream-Usage: true\r\n",
        "retry": b"Helicone-Retry-Enabled: true\r\nHelicone-Retry-Min-Timeout: 1\r\n",
        "limit": b"Helicone-RateLimit-Policy: 1;w=60\r\n",
        "fallback": b"Helicone-Fallbacks: "
        + json.dumps([{"target-url": url, "headers": {"Authorization": f"Bearer {key}"}, "onCodes": [503]} for key in "ab"]).encode()
        + b"\r\n",
    }
    return b"".join(text for name, text in said.items() if on[name])


def expected(on: dict[str, bool]) -> list[tuple[int, bool, int]]:
    """Of both calls the status, whether it is a hit, and how often the provider was asked."""
    healed = on["retry"] or on["fallback"]
    first = (200, False, 2) if healed else (503, False, 1)
    if on["cache"] and healed:
        return [first, (200, True, 0)]
    if on["limit"]:
        return [first, (429, False, 0)]
    return [first, (200, False, 1)]


def test_each_two_meet_in_every_way() -> None:
    for one, other in itertools.combinations((*SWITCHES, "usage"), 2):
        assert len({(on[one], on[other]) for on in COMBINATIONS}) == 4


@pytest.mark.parametrize("on", COMBINATIONS, ids=lambda on: "+".join(name for name in on if on[name]) or "nothing")
async def test_together(on: dict[str, bool], ledger: SharedLedger, cache: SharedCache) -> None:
    good, body = (streamed(), STREAM) if on["stream"] else (sized(), ANSWER)
    durability = "strict" if on["strict"] else "buffered"
    async with running(failing_first(good), ledger=ledger, cache=cache, durability=durability) as world:
        headers = headers_for(on, world.provider.url)
        answers = [await world.post(body=BODY, headers=headers) for _ in range(2)]
        calls = expected(on)
        assert [int(answer.split(b" ", 2)[1]) for answer in answers] == [status for status, _, _ in calls]
        for answer, (status, hit, _) in zip(answers, calls, strict=True):
            head, _, found = answer.partition(b"\r\n\r\n")
            assert status != 200 or found == body
            lower = head.lower()
            assert (b"helicone-cache: hit" in lower) is hit
            assert (b"helicone-cache: miss" in lower) is (on["cache"] and not hit)
            assert (b"helicone-ratelimit-limit" in lower) is (on["limit"] and not hit)
        rows = sorted(await world.responses(2), key=lambda row: row.call.call_id)
        assert [(row.status, row.cache_hit, row.attempts) for row in rows] == calls
        assert [row.outcome for row in rows] == [
            {200: Outcome.COMPLETED, 503: Outcome.PROVIDER_ERROR, 429: Outcome.RATE_LIMITED}[status] for status, _, _ in calls
        ]
        assert all(bool(row.tries) is (row.attempts > 0 and (on["retry"] or on["fallback"])) for row in rows)
        assert len(await world.requests(2)) == 2
        sent = world.provider.requests
        assert len(sent) == sum(asked for _, _, asked in calls)
        assert all((b"include_usage" in request) is on["usage"] and b"helicone" not in request.lower() for request in sent)
