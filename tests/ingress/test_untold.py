"""When the answer does not tell what was used, the request goes along with it once more, to be counted; else never."""

import asyncio
import json
from datetime import UTC, datetime

import pytest

from eventlog.events import Body, Organization, Outcome
from eventlog.redaction import Redaction
from tests.fakes.ingress import running
from tests.fakes.provider import EVENTS, Answering, raw, sized, streamed

ASKED = b'{"model":"gpt-4o","stream":true,"messages":[{"role":"user","content":"To bob@example.com"}]}'
UNTOLD = [EVENTS[0], EVENTS[1], EVENTS[3]]
CUT_OFF = raw(
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(EVENTS[0]), EVENTS[0]),
    then="close",
)
LONG = [b'data: {"choices":[{"delta":{"content":"%b"}}]}\n\n' % (b"x" * 5_000) for _ in range(60)]


async def again(
    answer: Answering, body: bytes = ASKED, path: str = "/v1/chat/completions", headers: bytes = b"", **settings: object
) -> Body:
    async with running(answer, **settings) as world:  # type: ignore[arg-type]
        await world.post(path, body, headers)
        (event,) = await world.responses()
    return event.request


NULLS = [event.replace(b'{"choices"', b'{"usage": null,"choices"') for event in UNTOLD]
GOES_ALONG = {
    "a stream whose usage is null": streamed(NULLS),
    "a stream that was not asked for its usage": streamed(UNTOLD),
    "a long one": streamed(LONG),
    "one that the provider broke off": CUT_OFF,
    "one that broke off after it had told something": raw(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 900\r\n\r\n" + EVENTS[2], then="close"
    ),
    "an answer in one piece without usage": sized(b'{"choices":[{"message":{"content":"hello"}}]}'),
}


@pytest.mark.parametrize("answer", GOES_ALONG.values(), ids=GOES_ALONG)
async def test_the_request_goes_along(answer: Answering) -> None:
    found = await again(answer)
    assert (found.text, found.size) == (ASKED.decode(), len(ASKED))


STAYS = {
    "a stream that tells": streamed(),
    "one that tells at last": streamed([*NULLS[:2], EVENTS[2], EVENTS[3]]),
    "a long one that tells at its end": streamed([*LONG, EVENTS[2]]),
    "an answer that tells": sized(),
    "an error": sized(b'{"error":{"message":"no"}}', status=b"429 Too Many Requests"),
    "nothing": sized(b""),
}


@pytest.mark.parametrize("answer", STAYS.values(), ids=STAYS)
async def test_it_stays_where_it_is_not_needed(answer: Answering) -> None:
    assert await again(answer) == Body()


async def test_it_stays_where_no_model_was_asked() -> None:
    assert await again(streamed(UNTOLD), b'{"purpose":"batch"}', "/v1/files") == Body()
    assert await again(streamed(UNTOLD), b'{"contents":[]}', "/openai/v1beta/models/g:streamGenerateContent?alt=sse") != Body()


async def test_it_stays_where_its_caller_wants_it_nowhere() -> None:
    assert await again(streamed(UNTOLD), headers=b"Helicone-Omit-Request: true\r\n") == Body()
    assert (await again(streamed(UNTOLD), headers=b"Helicone-Omit-Response: true\r\n")).text == ASKED.decode()


async def test_what_both_bodies_come_to_stays_within_the_limit_of_one() -> None:
    """A message of the log is made to hold one body."""
    assert await again(streamed(LONG), body_limit=300_000) == Body()
    assert await again(streamed(LONG), body_limit=400_000) != Body()
    long = json.dumps({"model": "m", "messages": "x" * (1 << 20)}).encode()
    assert await again(streamed(UNTOLD), long) == Body()


async def test_what_is_redacted_is_redacted_here_too() -> None:
    at = datetime(2026, 11, 26, tzinfo=UTC)
    rule = Redaction(organization=Organization("default"), detectors=("email",), set_at=at)
    found = await again(streamed(UNTOLD), redaction_for=lambda _: rule)
    assert found.text == ASKED.decode().replace("bob@example.com", "[redacted:email]")
    later = Redaction(organization=Organization("default"), detectors=("of a later version",), set_at=at)
    assert (await again(streamed(UNTOLD), redaction_for=lambda _: later)).text is None
    heard = iter([None, rule, rule])
    assert await again(streamed(UNTOLD), redaction_for=lambda _: next(heard)) == Body()


async def test_a_client_that_leaves_in_the_midst() -> None:
    async def slowly(peer: object, request: bytes) -> None:
        await streamed(UNTOLD[:2], end=False)(peer, request)  # type: ignore[arg-type]
        await asyncio.sleep(5)

    async with running(slowly) as world:
        head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(ASKED)
        await world.talk(head + ASKED, until_closed=False)
        (event,) = await world.responses()
    assert (event.outcome, event.request.text) == (Outcome.INTERRUPTED_BY_CLIENT, ASKED.decode())


async def test_a_rule_that_is_taken_away_meanwhile_holds_for_the_request_of_this_call() -> None:
    at = datetime(2026, 11, 26, tzinfo=UTC)
    rule = Redaction(organization=Organization("default"), detectors=("email",), set_at=at)
    heard = iter([rule, None, None])
    found = await again(streamed(UNTOLD), redaction_for=lambda _: next(heard))
    assert found.text == ASKED.decode().replace("bob@example.com", "[redacted:email]")


async def test_an_answer_that_speaks_of_tokens_does_not_tell_them() -> None:
    said = b'data: {"choices":[{"delta":{"content":"a Token, promptTokenCount and eval_count"}}]}\n\n'
    assert await again(streamed([said, EVENTS[3]])) != Body()
    assert await again(streamed([b'data: {"usageMetadata":{"promptTokenCount":3}}\n\n'])) == Body()
    assert await again(sized(b'{"results":[{"inputTextTokenCount": 3}]}')) == Body()
    assert await again(sized(b'{"message":{},"prompt_eval_count":3,"eval_count":4}')) == Body()


async def test_only_json_goes_along() -> None:
    form = b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n--x--'
    assert await again(streamed(UNTOLD), form, "/openai/deployments/whisper/audio/transcriptions") == Body()
