"""What every log must do, whoever keeps the messages.

`LogContract` holds the cases. A test module derives a class from it and gives a `world` fixture: a place where logs can be opened, and
where retention can be made to happen. Nothing here knows which log it runs over.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Protocol

import pytest

from eventlog.codec import BatchId, Message, Positions, Record
from eventlog.port import Log, LogReader, OffsetOutOfRange, Place, Span, UnknownTopic
from eventlog.topics import CALLS, CONTROL, REQUESTS, RESPONSES

PATIENCE_S = 30.0
PARTITIONS = 3
EPOCH = "0f" * 16
NOW = timedelta(0)
SOON = timedelta(milliseconds=50)


class World(Protocol):
    """Where a log lives. `open` gives the same log each time; `other` one that never met it."""

    async def open(self) -> Log: ...

    async def other(self) -> Log: ...

    async def expire(self, topic: str, partition: int, before: int) -> None:
        """Retention takes all messages below offset `before`."""
        ...


def message(sequence: int, *, topic: str = RESPONSES.name, partition: int = 0, value: bytes | None = None) -> Message:
    line = b'{"n":%d}\n' % sequence if value is None else value
    return Message(topic=topic, partition=partition, batch_id=BatchId(EPOCH, sequence), count=line.count(b"\n"), value=line)


def sequences(records: Sequence[Record]) -> list[int]:
    return [record.message.batch_id.sequence for record in records]


async def write(log: Log, *messages: Message) -> None:
    writer = await log.writer()
    await writer.append(messages)
    await writer.close()


async def take(reader: LogReader, count: int, *, max_bytes: int = 1 << 20) -> list[Record]:
    """At least `count` records, or what came until the patience ended."""
    deadline = time.monotonic() + PATIENCE_S
    records: list[Record] = []
    while len(records) < count and time.monotonic() < deadline:
        records += await reader.poll(max_bytes=max_bytes, timeout=timedelta(seconds=1))
    return records


async def nothing_more(reader: LogReader) -> bool:
    return not await reader.poll(max_bytes=1 << 20, timeout=SOON)


class Beginner:
    """A holder that begins where it was told to."""

    def __init__(self, begins: Positions) -> None:
        self._begins = begins
        self.spans: Mapping[Place, Span] = {}

    async def given(self, spans: Mapping[Place, Span]) -> Positions:
        self.spans = spans
        return self._begins

    async def taken(self, places: frozenset[Place]) -> None:
        """Nothing waits here."""


class LogContract:
    async def test_what_is_appended_is_read_in_order_from_the_first_message(self, world: World) -> None:
        log = await world.open()
        await write(log, *[message(n) for n in range(1, 6)])
        await write(log, message(6))
        reader = await log.reader([RESPONSES.name], group="g")
        records = await take(reader, 6)
        assert sequences(records) == [1, 2, 3, 4, 5, 6]
        assert [record.offset for record in records] == [0, 1, 2, 3, 4, 5]
        assert {record.place for record in records} == {(RESPONSES.name, 0)}
        assert await nothing_more(reader)

    async def test_a_record_says_when_it_was_appended(self, world: World) -> None:
        log = await world.open()
        before = time.time()
        await write(log, message(1))
        [record] = await take(await log.reader([RESPONSES.name], group="g"), 1)
        assert before - 1 <= record.appended_at <= time.time() + 1

    async def test_a_message_comes_back_as_it_went(self, world: World) -> None:
        sent = Message(
            topic=RESPONSES.name,
            partition=2,
            batch_id=BatchId("ab" * 16, 2**40),
            count=7,
            value=bytes(range(256)) + b"\r\n\0\xff\n",
            headers=(("replay", "yes"), ("größe", "weiß · 白"), ("replay", "twice"), ("empty", "")),
        )
        log = await world.open()
        await write(log, sent)
        [record] = await take(await log.reader([RESPONSES.name], group="g"), 1)
        assert record.message == sent

    async def test_a_key_comes_back(self, world: World) -> None:
        sent = Message(topic=CONTROL.name, partition=0, batch_id=BatchId(EPOCH, 1), count=0, value=b"", key="keys/sk-1 ü")
        log = await world.open()
        await write(log, sent)
        [record] = await take(await log.reader([CONTROL.name], group="g"), 1)
        assert record.message == sent

    async def test_a_compacted_topic_refuses_a_message_without_key(self, world: World) -> None:
        log = await world.open()
        with pytest.raises(ValueError, match="needs a key"):
            await write(log, message(1, topic=CONTROL.name))
        assert await log.ends(CONTROL.name) == {0: 0, 1: 0, 2: 0}

    async def test_an_empty_batch_is_a_message_like_any_other(self, world: World) -> None:
        log = await world.open()
        await write(log, message(1, value=b""), message(2), message(3, value=b""))
        records = await take(await log.reader([RESPONSES.name], group="g"), 3)
        assert [(record.message.value, record.message.count) for record in records] == [(b"", 0), (b'{"n":2}\n', 1), (b"", 0)]

    async def test_appending_nothing_does_nothing(self, world: World) -> None:
        log = await world.open()
        await write(log)
        assert await log.ends(RESPONSES.name) == {0: 0, 1: 0, 2: 0}

    async def test_a_message_of_5_mb(self, world: World) -> None:
        value = bytes(range(250)) * 20_000
        log = await world.open()
        await write(log, message(1), message(2, value=value), message(3))
        records = await take(await log.reader([RESPONSES.name], group="g"), 3, max_bytes=1000)
        assert sequences(records) == [1, 2, 3]
        assert records[1].message.value == value

    async def test_offsets_are_dense_and_each_partition_counts_for_itself(self, world: World) -> None:
        log = await world.open()
        await write(log, message(1, partition=0), message(2, partition=2), message(3, partition=0))
        await write(log, message(4, partition=2), message(5, topic=CALLS.name, partition=2))
        reader = await log.reader([RESPONSES.name, CALLS.name], group="g")
        records = await take(reader, 5)
        assert {(*record.place, record.offset): record.message.batch_id.sequence for record in records} == {
            (RESPONSES.name, 0, 0): 1,
            (RESPONSES.name, 0, 1): 3,
            (RESPONSES.name, 2, 0): 2,
            (RESPONSES.name, 2, 1): 4,
            (CALLS.name, 2, 0): 5,
        }
        assert await log.ends(RESPONSES.name) == {0: 2, 1: 0, 2: 2}
        assert await log.ends(CALLS.name) == {0: 0, 1: 0, 2: 1}

    async def test_order_within_each_partition(self, world: World) -> None:
        log = await world.open()
        for n in range(1, 31, 3):
            await write(log, *[message(m, partition=m % 3) for m in range(n, n + 3)])
        records = await take(await log.reader([RESPONSES.name], group="g"), 30, max_bytes=600)
        for partition in range(PARTITIONS):
            own = sequences([record for record in records if record.message.partition == partition])
            assert own == [n for n in range(1, 31) if n % 3 == partition]

    async def test_a_busy_partition_does_not_starve_the_others(self, world: World) -> None:
        log = await world.open()
        await write(log, *[message(n, value=b"x" * 1000) for n in range(1, 101)], message(1, partition=1), message(1, partition=2))
        reader = await log.reader([RESPONSES.name], group="g")
        seen: set[int] = set()
        for _ in range(4):
            seen |= {record.message.partition for record in await take(reader, 1, max_bytes=2000)}
        assert seen == {0, 1, 2}

    async def test_an_append_is_all_or_nothing(self, world: World) -> None:
        log = await world.open()
        with pytest.raises(UnknownTopic):
            await write(log, message(1), message(2, partition=PARTITIONS))
        with pytest.raises(UnknownTopic):
            await write(log, message(1), message(2, topic="llm.nothing.v1"))
        assert await log.ends(RESPONSES.name) == {0: 0, 1: 0, 2: 0}

    async def test_a_topic_nobody_declared_is_unknown(self, world: World) -> None:
        log = await world.open()
        with pytest.raises(UnknownTopic, match=r"llm\.nothing\.v1"):
            log.partitions("llm.nothing.v1")
        with pytest.raises(UnknownTopic):
            log.identity("llm.nothing.v1")
        with pytest.raises(UnknownTopic):
            await log.reader(["llm.nothing.v1"], group="g")
        with pytest.raises(UnknownTopic):
            await log.ends("llm.nothing.v1")

    async def test_partitions_are_as_many_as_were_asked_for(self, world: World) -> None:
        log = await world.open()
        assert log.partitions(RESPONSES.name) == PARTITIONS
        reader = await log.reader([RESPONSES.name], group="g")
        assert reader.assigned == {(RESPONSES.name, 0), (RESPONSES.name, 1), (RESPONSES.name, 2)}

    async def test_a_poll_of_an_empty_log_ends_in_time_with_nothing(self, world: World) -> None:
        reader = await (await world.open()).reader([RESPONSES.name], group="g")
        began = time.monotonic()
        assert await reader.poll(max_bytes=1000, timeout=timedelta(milliseconds=80)) == []
        assert 0.07 <= time.monotonic() - began < 5

    async def test_a_poll_wakes_when_a_message_comes(self, world: World) -> None:
        log = await world.open()
        reader = await log.reader([RESPONSES.name], group="g")
        polling = asyncio.create_task(reader.poll(max_bytes=1000, timeout=timedelta(seconds=PATIENCE_S)))
        await asyncio.sleep(0.05)
        await write(log, message(1))
        assert sequences(await asyncio.wait_for(polling, PATIENCE_S / 2)) == [1]

    async def test_a_poll_that_was_cancelled_loses_nothing(self, world: World) -> None:
        log = await world.open()
        reader = await log.reader([RESPONSES.name], group="g")
        polling = asyncio.create_task(reader.poll(max_bytes=1000, timeout=timedelta(seconds=PATIENCE_S)))
        await asyncio.sleep(0.05)
        polling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await polling
        await write(log, message(1))
        assert sequences(await take(reader, 1)) == [1]

    async def test_a_poll_gives_about_as_many_bytes_as_asked_and_at_least_one_record(self, world: World) -> None:
        log = await world.open()
        await write(log, *[message(n, value=b"x" * 1000) for n in range(1, 21)])
        reader = await log.reader([RESPONSES.name], group="g")
        assert sequences(await take(reader, 1, max_bytes=1)) == [1]
        some = await take(reader, 1, max_bytes=5000)
        assert 1 <= len(some) <= 5
        assert sequences(some) == list(range(2, 2 + len(some)))

    async def test_a_group_resumes_where_it_committed(self, world: World) -> None:
        log = await world.open()
        await write(log, *[message(n, partition=n % 2) for n in range(6)])
        first = await log.reader([RESPONSES.name], group="g")
        await take(first, 6)
        await first.commit({(RESPONSES.name, 0): 2})
        await first.close()
        resumed = await log.reader([RESPONSES.name], group="g")
        assert sorted(sequences(await take(resumed, 4))) == [1, 3, 4, 5]

    async def test_groups_do_not_know_of_each_other(self, world: World) -> None:
        log = await world.open()
        await write(log, message(1), message(2))
        one = await log.reader([RESPONSES.name], group="one")
        await take(one, 2)
        await one.commit({(RESPONSES.name, 0): 2})
        await one.close()
        assert sequences(await take(await log.reader([RESPONSES.name], group="two"), 2)) == [1, 2]
        assert await nothing_more(await log.reader([RESPONSES.name], group="one"))

    async def test_two_readers_of_two_groups_both_get_everything(self, world: World) -> None:
        log = await world.open()
        one = await log.reader([RESPONSES.name], group="one")
        two = await log.reader([RESPONSES.name], group="two")
        await write(log, message(1), message(2, partition=1))
        assert sorted(sequences(await take(one, 2))) == [1, 2]
        assert sorted(sequences(await take(two, 2))) == [1, 2]

    async def test_a_commit_may_go_back(self, world: World) -> None:
        log = await world.open()
        await write(log, message(1), message(2))
        reader = await log.reader([RESPONSES.name], group="g")
        await reader.commit({(RESPONSES.name, 0): 2})
        await reader.commit({(RESPONSES.name, 0): 1})
        await reader.close()
        assert sequences(await take(await log.reader([RESPONSES.name], group="g"), 1)) == [2]

    async def test_commit_does_not_move_the_reader(self, world: World) -> None:
        log = await world.open()
        await write(log, message(1), message(2))
        reader = await log.reader([RESPONSES.name], group="g")
        await reader.commit({(RESPONSES.name, 0): 2})
        await reader.commit({})
        assert sequences(await take(reader, 2)) == [1, 2]

    async def test_seek_moves_the_named_partitions_only(self, world: World) -> None:
        log = await world.open()
        await write(log, *[message(10 + n, partition=0) for n in range(3)], *[message(20 + n, partition=1) for n in range(3)])
        reader = await log.reader([RESPONSES.name], group="g")
        await take(reader, 6)
        reader.seek({(RESPONSES.name, 0): 1})
        assert sequences(await take(reader, 2)) == [11, 12]
        reader.seek({(RESPONSES.name, 0): 3, (RESPONSES.name, 1): 2})
        assert sequences(await take(reader, 1)) == [22]

    async def test_seek_during_a_poll_is_obeyed(self, world: World) -> None:
        log = await world.open()
        await write(log, message(1), message(2))
        reader = await log.reader([RESPONSES.name], group="g")
        await take(reader, 2)
        polling = asyncio.create_task(reader.poll(max_bytes=1000, timeout=timedelta(seconds=PATIENCE_S)))
        await asyncio.sleep(0.05)
        reader.seek({(RESPONSES.name, 0): 1})
        assert sequences(await asyncio.wait_for(polling, PATIENCE_S / 2)) == [2]

    async def test_a_partition_that_is_not_assigned_is_refused(self, world: World) -> None:
        log = await world.open()
        reader = await log.reader([RESPONSES.name], group="g")
        with pytest.raises(ValueError, match="not assigned"):
            reader.seek({(REQUESTS.name, 0): 0})
        with pytest.raises(ValueError, match="not assigned"):
            await reader.commit({(RESPONSES.name, PARTITIONS): 0})

    @pytest.mark.parametrize("offset", [3, 1000])
    async def test_a_position_beyond_the_end_is_out_of_range(self, world: World, offset: int) -> None:
        log = await world.open()
        await write(log, message(1), message(2))
        reader = await log.reader([RESPONSES.name], group="g")
        reader.seek({(RESPONSES.name, 0): offset})
        with pytest.raises(OffsetOutOfRange, match=f"{RESPONSES.name} partition 0.*{offset}"):
            await take(reader, 1)
        reader.seek({(RESPONSES.name, 0): 1})
        assert sequences(await take(reader, 1)) == [2]

    async def test_an_expired_position_is_out_of_range_and_says_what_is_left(self, world: World) -> None:
        log = await world.open()
        await write(log, *[message(n) for n in range(5)])
        reader = await log.reader([RESPONSES.name], group="g")
        await world.expire(RESPONSES.name, 0, 3)
        with pytest.raises(OffsetOutOfRange, match=r"offset 0.*3.*5"):
            await take(reader, 1)
        reader.seek({(RESPONSES.name, 0): 3})
        assert sequences(await take(reader, 2)) == [3, 4]

    async def test_a_new_group_starts_at_the_first_message_that_is_left(self, world: World) -> None:
        log = await world.open()
        await write(log, *[message(n) for n in range(5)])
        await world.expire(RESPONSES.name, 0, 3)
        assert sequences(await take(await log.reader([RESPONSES.name], group="new"), 2)) == [3, 4]

    async def test_a_holder_is_told_what_is_retained_and_says_where_to_begin(self, world: World) -> None:
        log = await world.open()
        await write(log, *[message(n) for n in range(5)], message(5, partition=1), message(6, partition=1))
        reader = await log.reader([RESPONSES.name], group="g")
        await take(reader, 7)
        await reader.commit({(RESPONSES.name, 0): 5, (RESPONSES.name, 1): 1})
        await reader.close()
        await world.expire(RESPONSES.name, 0, 2)
        holder = Beginner({(RESPONSES.name, 0): 3})
        reader = await log.reader([RESPONSES.name], group="g", holder=holder)
        assert holder.spans == {(RESPONSES.name, 0): (2, 5), (RESPONSES.name, 1): (0, 2), (RESPONSES.name, 2): (0, 0)}
        assert sorted(sequences(await take(reader, 3))) == [3, 4, 6]
        assert await log.positions("g") == {(RESPONSES.name, 0): 5, (RESPONSES.name, 1): 1}
        assert await log.positions("nobody") == {}

    async def test_offsets_go_on_after_everything_has_expired(self, world: World) -> None:
        log = await world.open()
        await write(log, *[message(n) for n in range(5)])
        await world.expire(RESPONSES.name, 0, 5)
        assert (await log.ends(RESPONSES.name))[0] == 5
        await write(log, message(5))
        [record] = await take(await log.reader([RESPONSES.name], group="g"), 1)
        assert (record.offset, record.message.batch_id.sequence) == (5, 5)

    async def test_writers_side_by_side_keep_their_own_order(self, world: World) -> None:
        log = await world.open()

        async def speak(number: int) -> None:
            writer = await log.writer()
            for n in range(20):
                await writer.append([message(number * 1000 + n), message(number * 1000 + n, partition=1)])
            await writer.close()

        await asyncio.gather(*[speak(number) for number in range(4)])
        records = await take(await log.reader([RESPONSES.name], group="g"), 160)
        for partition in (0, 1):
            own = [record for record in records if record.message.partition == partition]
            assert [record.offset for record in own] == list(range(80))
            for number in range(4):
                assert [s for s in sequences(own) if s // 1000 == number] == [number * 1000 + n for n in range(20)]

    async def test_identity_names_the_log_and_the_topic(self, world: World) -> None:
        log, again, other = await world.open(), await world.open(), await world.other()
        assert log.identity(CALLS.name) == again.identity(CALLS.name)
        assert len({log.identity(CALLS.name), log.identity(RESPONSES.name), other.identity(CALLS.name)}) == 3

    async def test_what_is_closed_cannot_be_used(self, world: World) -> None:
        log = await world.open()
        writer, reader = await log.writer(), await log.reader([RESPONSES.name], group="g")
        await writer.close()
        await reader.close()
        await reader.close()
        with pytest.raises(RuntimeError, match="closed"):
            await writer.append([message(1)])
        with pytest.raises(RuntimeError, match="closed"):
            await reader.poll(max_bytes=1, timeout=NOW)
        assert await log.ends(RESPONSES.name) == {0: 0, 1: 0, 2: 0}
