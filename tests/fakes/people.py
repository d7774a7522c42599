"""A small Heliograph at rest, of two people in one organization and one in another: log, lake and cache, written by its own steps."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from msgspec.structs import replace

from eventlog.codec import BatchId, Message, encode_event, message_of
from eventlog.embedded import EmbeddedLog
from eventlog.events import Body, CallFacts, CallId, DeadLetter, FeedbackGiven, Organization, RequestId, RequestReceived, ResponseCompleted
from eventlog.port import Log
from eventlog.topics import DEAD_LETTERS, FEEDBACK, REQUESTS, RESPONSES
from ingress.cache_store import SharedCache, Stored
from processors.feedback import JoinLimits
from processors.inline import run_calls
from processors.inline_join import run_join
from processors.pricing.rates import RateBook
from runtime.settings import Settings
from storage.lake import Lake
from storage.sink import run_sink
from tests.fakes.facts import BEGAN, completed, facts

ACME, OTHER = Organization("acme"), Organization("other")
PEOPLE = {"ann@x.com": ACME, "bob@x.com": ACME, "ann@other.com": OTHER}
"""Users, and whose they are. What each says holds the user's name."""
SHARED = "shared-session"


def secret(user: str) -> str:
    return f"secret of {user}"


def call_of(user: str, number: int, **more: Any) -> CallFacts:
    who = list(PEOPLE).index(user)
    known = {
        "call_id": CallId(f"{user}-{number}"),
        "request_id": RequestId(f"request-{user}-{number}"),
        "user_id": user,
        "session_id": SHARED if number == 0 and PEOPLE[user] == ACME else f"session-{user}",
        "created_at": BEGAN + timedelta(days=number, seconds=who),
    }
    return replace(facts(who, organization=PEOPLE[user]), **(known | more))


def events_of(call: CallFacts) -> tuple[RequestReceived, ResponseCompleted, FeedbackGiven]:
    said = secret(call.user_id or "")
    text = f'{{"messages": [{{"role": "user", "content": "{said}"}}]}}'
    request = RequestReceived(call=call, request=Body(text=text, size=len(text), content_type="application/json"))
    response = replace(completed(0, f'{{"id": "x", "said": "{said}"}}'), call=call, completed_at=call.created_at)
    given = FeedbackGiven(
        feedback_id=f"f-{call.call_id}",
        request_id=call.request_id,
        organization=call.organization,
        given_at=call.created_at,
        comment=said,
        rating=True,
    )
    return request, response, given


def of_session(user: str) -> FeedbackGiven:
    return FeedbackGiven(
        feedback_id=f"tag-{user}",
        request_id=RequestId(""),
        session_id=f"session-{user}",
        organization=PEOPLE[user],
        given_at=BEGAN,
        tag=secret(user),
    )


def letter_of(call: CallFacts) -> DeadLetter:
    """Of a request that was cut off."""
    payload = encode_event(events_of(call)[0]).decode()[:-3]
    return DeadLetter(
        topic=REQUESTS.name,
        partition=0,
        offset=900 + list(PEOPLE).index(call.user_id or ""),
        reason="undecodable",
        error="cut off",
        at=call.created_at,
        payload=payload,
    )


class Speaker:
    """A producer: every batch has the next number of its topic."""

    def __init__(self, epoch: str) -> None:
        self._epoch, self._numbers = epoch, dict[str, int]()

    def say(self, calls: Sequence[CallFacts]) -> list[Message]:
        found = [events_of(call) for call in calls]
        return [
            self.message(REQUESTS, [each[0] for each in found]),
            self.message(RESPONSES, [each[1] for each in found]),
            self.message(FEEDBACK, [each[2] for each in found]),
        ]

    def message(self, topic: Any, events: Sequence[Any]) -> Message:
        self._numbers[topic.name] = self._numbers.get(topic.name, 0) + 1
        return message_of(topic, 0, BatchId(self._epoch, self._numbers[topic.name]), events)


async def said(log: Log, messages: Sequence[Message]) -> None:
    writer = await log.writer()
    await writer.append(messages)
    await writer.close()


async def understood(log: Log) -> None:
    stop = asyncio.Event()
    stop.set()
    await run_calls(log, RateBook.bundled(), stop=stop, clock=time.time)
    limits = JoinLimits(patience=timedelta(hours=1), calls=100, feedback=100, bytes=1 << 20)
    await run_join(log, limits, stop=stop, clock=time.time)


async def at_rest(log: Log, lake: Lake, **more: Any) -> None:
    stop = asyncio.Event()
    stop.set()
    await run_sink(log, lake, lake.config, assemble=lambda event: None, stop=stop, **more)


async def people(log: Log, lake: Lake, calls_each: int = 3) -> Speaker:
    """All at rest but the last call of each: that one is on the log alone."""
    speaker = Speaker("a" * 32)
    for number in range(calls_each):
        if number == calls_each - 1:
            await understood(log)
            await at_rest(log, lake)
        await said(log, speaker.say([call_of(user, number) for user in PEOPLE]))
        if number == 0:
            letters = [letter_of(call_of(user, number)) for user in PEOPLE]
            tags = [of_session(user) for user in PEOPLE]
            await said(log, [speaker.message(DEAD_LETTERS, letters), speaker.message(FEEDBACK, tags)])
    return speaker


async def settled(chosen: Settings) -> None:
    """`people` in a data directory, and an answer in the cache for the first call of each."""
    log = await EmbeddedLog.open(chosen.log_dir)
    await people(log, Lake.open(chosen.storage()))
    await log.close()
    cache = SharedCache(chosen.cache_dir, limit_bytes=chosen.cache.bytes)
    for number, (user, whose) in enumerate(PEOPLE.items()):
        body = secret(user).encode()
        answer = Stored(call_id=f"{user}-0", headers=[], pieces=[body], sized=True, latency_ms=1.0, organization=whose)
        await cache.put(number.to_bytes(32, "big"), 1, answer, 86_400)
    cache.close()


async def go_on(chosen: Settings) -> None:
    """What is on the log comes to rest."""
    log = await EmbeddedLog.open(chosen.log_dir)
    await understood(log)
    await at_rest(log, Lake.open(chosen.storage()))
    await log.close()


def rows_of(lake: Lake, table: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = lake.table(table).to_pyarrow_table().to_pylist()
    return found


def told_of(lake: Lake, text: str) -> Iterator[str]:
    """The Parquet files of the lake in which it stands anywhere, live or not, and entries of Delta's log."""
    folder = Path(lake.directory())
    for file in folder.rglob("day=*/*.parquet"):
        if any(text in str(row) for row in pq.ParquetFile(file).read().to_pylist()):
            yield str(file)
    for entry in folder.rglob("*.json"):
        if text in entry.read_text():
            yield str(entry)


def moment() -> datetime:
    return datetime.fromtimestamp(time.time(), UTC)
