"""The faust workers, as processes on a real Kafka: each call once downstream, whatever dies, moves or is malformed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from eventlog.codec import BatchId, Message, Record, decode, message_of
from eventlog.events import CallId, CallPriced, RequestId, ResponseCompleted
from eventlog.topics import CALLS, RESPONSES
from tests.fakes.worker import Cluster, Workers, cluster
from tests.processors.events import EPOCH, call, completed

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def make_workers(tmp_path: Path) -> Iterator[object]:
    made: list[Workers] = []

    def make(world: Cluster, **env: str) -> Workers:
        made.append(Workers(tmp_path, world.config, **env))
        return made[-1]

    yield make
    for each in made:
        each.end()


def answer(name: str) -> ResponseCompleted:
    return completed(facts=call(call_id=CallId(name), request_id=RequestId(name)))


def responses(sequence: int, partition: int = 0, *, count: int = 2, epoch: str = EPOCH) -> Message:
    events = [answer(f"{partition}-{sequence}-{number}") for number in range(count)]
    return message_of(RESPONSES, partition, BatchId(epoch, sequence), events)


def first_arrivals(records: list[Record]) -> dict[int, list[int]]:
    """By partition the sequences as a sink takes them: what is not above the highest before is a repeat, and a hole is a loss."""
    found: dict[int, list[int]] = {}
    for record in records:
        seen = found.setdefault(record.message.partition, [])
        if not seen or record.message.batch_id.sequence > seen[-1]:
            seen.append(record.message.batch_id.sequence)
    return found


async def test_each_batch_becomes_one_of_the_same_id(broker: str, make_workers) -> None:
    async with cluster(broker) as world:
        workers = make_workers(world)
        workers.start()
        await world.write(*[responses(number, partition) for number in range(1, 6) for partition in range(3)], responses(6, 0, count=0))
        found = await world.until(CALLS.name, lambda found: len(found) >= 16, workers)
        assert first_arrivals(found) == {0: [1, 2, 3, 4, 5, 6], 1: [1, 2, 3, 4, 5], 2: [1, 2, 3, 4, 5]}
        assert len(found) == 16
        events = [event for record in found for event in decode(CallPriced, record.message)[0].events]
        assert len({event.call.call_id for event in events}) == len(events) == 30
        assert all(event.cost_usd is not None for event in events)
        await world.until_committed(RESPONSES.name, 16)
        assert workers.stop() == 0
