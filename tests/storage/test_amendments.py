"""Replays: rows replaced, never doubled."""

from collections import Counter
from pathlib import Path

import pytest
from deltalake import DeltaTable
from msgspec.structs import replace

from eventlog.codec import BatchId, Message, encode_event, message_of
from eventlog.events import CallPriced
from eventlog.replay import Replays, revision_of
from eventlog.topics import CALLS, REQUESTS, RESPONSES
from storage import telemetry
from storage.amendments import Amended, Amendments, newest_revision
from storage.lake import Lake
from storage.query import Limits, run_query
from storage.sink import Sink
from tests.fakes.facts import calls_message, completed, priced, received
from tests.fakes.memory_log import MemoryLog
from tests.storage.test_sink import append, drain, lake_at, nothing_assembled

PLACE = (CALLS.name, 0)


def dearer(number: int, cost: str) -> CallPriced:
    return replace(priced(number), cost_usd=cost)


def replayed(revision: int, *calls: CallPriced, epoch: str = "r") -> list[Message]:
    return Replays(f"{epoch}{revision}", revision).messages(PLACE, map(encode_event, calls))


def asked(lake: Lake, sql: str) -> list[tuple[object, ...]]:
    table = run_query(lake, sql, organization=None, limits=Limits()).table
    return [tuple(row.values()) for row in table.to_pylist()]


async def test_a_replayed_call_replaces_its_row(tmp_path: Path) -> None:
    log, lake = MemoryLog(), lake_at(tmp_path)
    await append(log, calls_message("a", 1, range(3)))
    await append(log, *replayed(1, dearer(1, "0.5")))
    await drain(log, lake)
    sql = "SELECT call_id, revision, cost_usd::VARCHAR FROM calls ORDER BY 1"
    assert asked(lake, sql) == [
        ("call-000000", 0, "0.000027000000"),
        ("call-000001", 1, "0.500000000000"),
        ("call-000002", 0, "0.000027000000"),
    ]
    await append(log, *replayed(2, dearer(1, "0.75"), priced(7)))
    await drain(log, lake)
    assert asked(lake, sql)[1] == ("call-000001", 2, "0.750000000000")
    assert asked(lake, "SELECT count(*), max(revision) FILTER (call_id = 'call-000007') FROM calls") == [(4, 2)]
    assert newest_revision(lake) == 2


async def test_before_any_replay_the_newest_revision_is_0(tmp_path: Path) -> None:
    assert newest_revision(lake_at(tmp_path)) == 0


async def test_a_crash_between_the_amendment_and_the_position_doubles_nothing(tmp_path: Path) -> None:
    log, lake = MemoryLog(), lake_at(tmp_path)
    [message] = replayed(1, dearer(1, "0.5"))
    await append(log, message)
    before_the_crash = Amendments(lake, {CALLS.name: log.identity(CALLS.name)}, lambda: 1.8e9)
    before_the_crash.write([Amended(PLACE, message.batch_id, 1, (dearer(1, "0.5"),))])
    await drain(log, lake)
    assert lake.table("amendments").to_pyarrow_table().num_rows == 1
    sink = Sink(log, lake, lake.config, assemble=nothing_assembled, clock=lambda: 0.0)
    assert sink.positions([PLACE]) == {PLACE: 1}


class LateLake(Lake):
    """Its first snapshot of a table is from before what others wrote."""

    def __init__(self, lake: Lake) -> None:
        super().__init__(lake.config)
        self._late = [lake.table("amendments")]

    def table(self, name: str) -> DeltaTable:
        return self._late.pop() if self._late else super().table(name)


async def test_of_two_that_write_at_once_one_is_refused_and_judges_again(tmp_path: Path) -> None:
    log, lake = MemoryLog(), lake_at(tmp_path)
    [message] = replayed(1, dearer(1, "0.5"))
    identities, late = {CALLS.name: log.identity(CALLS.name)}, LateLake(lake)
    amended = [Amended(PLACE, message.batch_id, 1, (dearer(1, "0.5"),))]
    Amendments(lake, identities, lambda: 1.8e9).write(amended)
    before = telemetry.CONFLICTS.labels("amendments")._value.get()
    Amendments(late, identities, lambda: 1.8e9).write(amended)
    assert telemetry.CONFLICTS.labels("amendments")._value.get() == before + 1
    assert lake.table("amendments").to_pyarrow_table().num_rows == 1


async def test_a_replay_that_is_repeated_is_counted_once(tmp_path: Path) -> None:
    log, lake = MemoryLog(), lake_at(tmp_path)
    messages = replayed(1, dearer(1, "0.5"), dearer(2, "0.5"))
    await append(log, *messages, *messages)
    before = telemetry.ROWS.labels("amendments")._value.get()
    await drain(log, lake)
    assert lake.table("amendments").to_pyarrow_table().num_rows == 2
    assert telemetry.ROWS.labels("amendments")._value.get() == before + 2


async def test_bodies_come_again_only_where_the_lake_lacks_them(tmp_path: Path) -> None:
    log, lake = MemoryLog(), lake_at(tmp_path)
    await append(log, message_of(REQUESTS, 0, BatchId("a", 1), [received(1)]), message_of(RESPONSES, 0, BatchId("a", 1), [completed(1)]))
    again = Replays("r", 1)
    await append(log, *again.messages((RESPONSES.name, 0), [encode_event(completed(1))]))
    await append(log, *again.messages((RESPONSES.name, 0), [encode_event(completed(2))], without_bodies=True))
    await drain(log, lake)
    bodies = lake.table("bodies").to_pyarrow_table(columns=["call_id", "side"]).to_pylist()
    assert Counter((row["call_id"], row["side"]) for row in bodies) == Counter(
        [("call-000001", "request"), ("call-000001", "response"), ("call-000002", "response")]
    )


@pytest.mark.parametrize(
    ("text", "revision"), [("1", 1), ("7", 7), ("0", 1), ("-3", 1), ("x", 1), ("", 1), ("99999999999", 1), ("9999999999", 2**31 - 1)]
)
def test_revisions(text: str, revision: int) -> None:
    message = Message(topic=CALLS.name, partition=0, batch_id=BatchId("a", 1), count=0, value=b"", headers=(("replay", text),))
    assert revision_of(message) == revision
    assert revision_of(replace(message, headers=())) is None


def test_messages_of_a_replay_are_of_a_sensible_size_and_numbered_densely() -> None:
    made = Replays("r", 3)
    large = [b"x" * 400_000] * 5
    messages = made.messages(PLACE, large) + made.messages(PLACE, [b"{}"] * 1001) + made.messages((CALLS.name, 1), [b"{}"])
    assert [message.count for message in messages] == [2, 2, 1, 500, 500, 1, 1]
    assert [message.batch_id.sequence for message in messages] == [1, 2, 3, 4, 5, 6, 1]
    assert {message.headers for message in messages} == {(("replay", "3"),)}
    assert made.messages(PLACE, []) == []
