"""Row parity on Kafka: load through a fleet whose processes, and whose broker, are killed; then the account of every row."""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple
from uuid import uuid4

import aiohttp

from eventlog.kafka import KafkaLog
from eventlog.kafka_config import KafkaConfig
from eventlog.topics import CALLS, FEEDBACK, REQUESTS, RESPONSES
from runtime.local_kafka import Broker
from storage.config import StorageConfig
from storage.lake import Lake
from storage.marks import position_id
from tests.fakes.account import Account, call
from tests.fakes.fleet import ROLES, Fleet, Member
from tests.fakes.provider import sized, streamed
from tests.fakes.raw_server import Peer
from tests.fakes.stack import get

CALLERS = 12
STRICT = {
    "HELIOGRAPH_DURABILITY": "strict",
    "HELIOGRAPH_EMITTER__PATIENCE_S": "20",
    "HELIOGRAPH_SINK__FLUSH_SECONDS": "1",
    "HELIOGRAPH_LOG_LEVEL": "warning",
}
"""How each role is told to work. A machine that is busy with all of it at once may need its time."""
SETTLED_S = 180.0
JUDGED = 0.1
"""Share of the calls that are scored at once."""


async def either(peer: Peer, request: bytes) -> None:
    """A provider's answer: a stream where one is asked for."""
    await (streamed() if b'"stream": true' in request else sized())(peer, request)


class Trial(StrEnum):
    """What happens to the broker while the roles are killed."""

    RUNNING = "running"
    STOPPED = "stopped"
    KILLED = "killed"


class Failure(NamedTuple):
    """Of a call through `member` that began then."""

    member: Member
    began: float
    error: str

    @property
    def explained(self) -> bool:
        return "status" not in self.error and any(at >= self.began for at in self.member.killed_at)


@dataclass
class Parity(Account):
    """An account that also says why each call failed, and who died by itself."""

    failed: list[Failure] = field(default_factory=list)
    bodies: Counter[tuple[str, str]] = field(default_factory=Counter)
    judging: set[str] = field(default_factory=set)
    judged: set[str] = field(default_factory=set)
    """Scores that were sent, and those of them that were answered 201."""
    scores: Counter[str] = field(default_factory=Counter)
    died: list[str] = field(default_factory=list)

    @property
    def missing(self) -> set[str]:
        return super().missing | (self.judged - self.scores.keys())

    @property
    def unexplained(self) -> set[str]:
        return super().unexplained | (self.scores.keys() - self.judging)

    @property
    def doubled(self) -> list[str]:
        return [
            *super().doubled,
            *(f"{side} body of {call_id}" for (call_id, side), count in self.bodies.items() if count > 1),
            *(f"score {token}" for token, count in self.scores.items() if count > 1),
        ]

    @property
    def faults(self) -> list[str]:
        """Failures that no kill explains."""
        return [failure.error for failure in self.failed if not failure.explained]

    @property
    def holds(self) -> bool:
        return not (self.missing or self.doubled or self.unexplained or self.faults)

    def line(self) -> str:
        return f"{super().line()}, scores: {len(self.judged)}, other failures: {len(self.faults)}, died unasked: {len(self.died)}"


async def caller(members: Sequence[Member], account: Parity, stop: asyncio.Event) -> None:
    """One call after the other, each through either proxy. One that cannot be reached was not called."""
    fresh = aiohttp.TCPConnector(force_close=True)  # a kept connection may be of an earlier life
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60), connector=fresh) as session:
        while not stop.is_set():
            member, token, began = random.choice(members), uuid4().hex, time.monotonic()
            account.broken.add(token)
            try:
                seen = await call(session, member.url, token, streamed=random.random() < 0.5)
            except aiohttp.ClientConnectorError:
                account.broken.discard(token)
                await asyncio.sleep(0.05)
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                account.failed.append(Failure(member, began, repr(error)))
            else:
                if seen.status == 200:
                    account.broken.discard(token)
                    account.completed.add(token)
                    if random.random() < JUDGED:
                        await judge(session, members, account, token, seen.request_id)
                else:
                    account.failed.append(Failure(member, began, f"status {seen.status}"))


async def judge(session: aiohttp.ClientSession, members: Sequence[Member], account: Parity, token: str, request_id: str) -> None:
    """Scores a call by the name of its token, through either proxy."""
    member, began = random.choice(members), time.monotonic()
    account.judging.add(token)
    try:
        async with session.post(f"{member.url}/v1/request/{request_id}/score", json={"scores": {token: 1}}) as answer:
            if answer.status == 201:
                account.judged.add(token)
            else:
                account.failed.append(Failure(member, began, f"status {answer.status} of a score"))
    except aiohttp.ClientConnectorError:
        account.judging.discard(token)
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        account.failed.append(Failure(member, began, repr(error)))


async def kill_in_turn(role: str, fleet: Fleet, account: Parity, chance: random.Random, gap_s: float) -> None:
    """One of the role's processes, and after `gap_s` or more another, for ever."""
    await asyncio.sleep(chance.uniform(0.2, 1.0) * gap_s)
    while True:
        member = chance.choice(fleet.of(role))
        account.kills[role] += 1
        await asyncio.to_thread(member.kill)
        await asyncio.sleep(chance.uniform(1.0, 1.5) * gap_s)


async def disturb(broker: Broker, trial: Trial, account: Parity, chance: random.Random, *, after_s: float, away_s: float) -> None:
    """Once."""
    if trial is Trial.RUNNING:
        return
    await asyncio.sleep(chance.uniform(0.2, 1.0) * after_s)
    account.kills[f"broker {trial.value}"] += 1
    await asyncio.to_thread(broker.stop if trial is Trial.STOPPED else broker.kill)
    await asyncio.sleep(away_s)
    await asyncio.to_thread(broker.start)


async def load(fleet: Fleet, broker: Broker, account: Parity, trial: Trial, *, calls: int, seed: int, gap_s: float, away_s: float) -> None:
    """Until so many more answers were seen completed, each role was killed, and the broker is there again."""
    chance, stop, wanted = random.Random(seed), asyncio.Event(), len(account.completed) + calls
    before = dict(account.kills)
    callers = [asyncio.create_task(caller(fleet.of("ingress"), account, stop)) for _ in range(CALLERS)]
    watch = asyncio.create_task(fleet.watch())
    kills = [asyncio.create_task(kill_in_turn(role, fleet, account, chance, gap_s)) for role in ROLES]
    try:
        await disturb(broker, trial, account, chance, after_s=gap_s, away_s=away_s)
        while len(account.completed) < wanted or any(account.kills[role] == before.get(role, 0) for role in ROLES):
            await asyncio.sleep(0.1)
    finally:
        for kill in kills:
            kill.cancel()
        stop.set()
        await asyncio.gather(*callers)
        await asyncio.gather(*kills, return_exceptions=True)
        await asyncio.sleep(0.3)  # who died last is started again
        watch.cancel()
    account.died = [death for member in fleet.members for death in member.died]


async def settle(fleet: Fleet, config: KafkaConfig, account: Parity) -> None:
    """Waits until all that was spilled is on Kafka, understood, and in the lake; then counts."""
    watch = asyncio.create_task(fleet.watch())
    lake = Lake(StorageConfig(lake_uri=str(fleet.lake)))
    try:
        async with asyncio.timeout(SETTLED_S):
            while not all(map(_empty, [await _ready(member) for member in fleet.of("ingress")])):
                await asyncio.sleep(0.2)
            ends = await _understood(config)
            while not await asyncio.to_thread(_at_rest, lake, ends):
                await asyncio.sleep(3)
                await fleet.stop("sink")  # what has no rows moves a position half a minute later, or at the end
                if not await asyncio.to_thread(_at_rest, lake, ends):
                    for member in fleet.of("sink"):
                        member.start()
    finally:
        watch.cancel()
    await asyncio.to_thread(count, lake, account)


async def _understood(config: KafkaConfig) -> dict[str, dict[str, int]]:
    """Once the processors are at the end: the positions that each table has to reach, by their ids."""
    log = await KafkaLog.open(config)
    try:
        while any(each.messages for each in await log.lag("processors", [RESPONSES.name])):
            await asyncio.sleep(0.2)
        found: dict[str, dict[str, int]] = {}
        for table, topic in (("calls", CALLS.name), ("bodies", REQUESTS.name), ("bodies", RESPONSES.name), ("feedback", FEEDBACK.name)):
            for partition, end in (await log.ends(topic)).items():
                found.setdefault(table, {})[position_id(log.identity(topic), partition)] = end
        return found
    finally:
        await log.close()


def _at_rest(lake: Lake, ends: Mapping[str, Mapping[str, int]]) -> bool:
    snapshots = {table: lake.table(table) for table in ends}
    return all((snapshots[table].transaction_version(place) or 0) >= end for table, each in ends.items() for place, end in each.items())


async def _ready(member: Member) -> dict[str, object]:
    """Nothing while it starts again."""
    try:
        found: dict[str, object] = json.loads(await asyncio.to_thread(get, f"{member.url}/readyz"))
    except OSError:
        return {}
    return found


def _empty(told: dict[str, object]) -> bool:
    spill = told.get("spill")
    return told.get("log") == "taking" and not told["waiting_events"] and isinstance(spill, dict) and not spill["bytes"]


def count(lake: Lake, account: Parity) -> None:
    account.rows, account.call_ids, account.bodies, account.scores = Counter(), Counter(), Counter(), Counter()
    found = lake.table("calls").to_pyarrow_table(columns=["call_id", "properties"])
    for row in found.to_pylist():
        account.rows[dict(row["properties"])["token"]] += 1
        account.call_ids[row["call_id"]] += 1
    for row in lake.table("bodies").to_pyarrow_table(columns=["call_id", "side"]).to_pylist():
        account.bodies[row["call_id"], row["side"]] += 1
    for row in lake.table("feedback").to_pyarrow_table(columns=["scores"]).to_pylist():
        account.scores.update(name for name, _ in row["scores"])
