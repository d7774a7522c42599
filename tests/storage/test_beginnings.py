"""Where a sink begins to read: after a lake was removed, after a log was put back, after messages expired."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventlog.port import OffsetOutOfRange, Span
from eventlog.topics import CALLS
from storage import telemetry
from storage.beginnings import Start, begin
from storage.config import StorageConfig
from storage.lake import Lake
from tests.fakes.facts import calls_message
from tests.fakes.memory_log import MemoryLog
from tests.storage.test_sink import append, call_ids, drain, names

PLACE = (CALLS.name, 0)


@dataclass
class Case:
    """What is known, and what follows."""

    position: int | None
    last: int | None
    span: Span
    begins: Start


CASES = {
    "a lake that never read it": Case(None, None, Span(3, 9), Start(offset=3)),
    "in the middle": Case(5, 77, Span(0, 9), Start(offset=4, expects=77)),
    "at the end": Case(9, 77, Span(0, 9), Start(offset=8, expects=77)),
    "nothing before it is left to compare": Case(5, 77, Span(5, 9), Start(offset=5)),
    "a lake that left no trace": Case(5, None, Span(0, 9), Start(offset=5)),
    "ahead of the log": Case(10, 77, Span(2, 9), Start(offset=2, anew=True)),
    "an empty log": Case(0, None, Span(0, 0), Start(offset=0)),
    "everything expired, and was read": Case(9, 77, Span(9, 9), Start(offset=9)),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_beginnings(case: Case) -> None:
    assert begin(PLACE, case.position, case.last, case.span, skip_expired=False) == case.begins


def test_expired_messages_stop_with_the_remedy_or_are_given_up() -> None:
    with pytest.raises(OffsetOutOfRange, match=r"llm.calls.v1 partition 0.*2 messages.*HELIOGRAPH_SINK__SKIP_EXPIRED=true"):
        begin(PLACE, 3, 77, Span(5, 9), skip_expired=False)
    assert begin(PLACE, 3, 77, Span(5, 9), skip_expired=True) == Start(offset=5, anew=True, lost=2)


def lake_at(folder: Path, *, skip_expired: bool = False) -> Lake:
    return Lake.open(StorageConfig(lake_uri=str(folder), skip_expired=skip_expired))


async def test_a_lake_that_was_removed_is_filled_again(tmp_path: Path) -> None:
    """The log remembers a group far ahead; the new lake has nothing."""
    log = MemoryLog()
    await append(log, calls_message("a", 1, range(3)), calls_message("a", 2, range(3, 5)))
    await drain(log, lake_at(tmp_path / "first"))
    assert log.committed("sink")[PLACE] == 2
    second = lake_at(tmp_path / "second")
    await drain(log, second)
    assert call_ids(second) == names(range(5))


@pytest.mark.parametrize("later", [0, 1, 2, 3, 5], ids="{} messages later".format)
async def test_a_log_that_was_put_back(tmp_path: Path, later: int) -> None:
    """The copy ends before the lake's position. What came since may reach behind it, to it, or beyond it."""
    log, lake = MemoryLog(), lake_at(tmp_path)
    await append(log, *(calls_message("a", number + 1, [number]) for number in range(4)))
    await drain(log, lake)
    log.put_back(*PLACE, end=2)
    await append(log, *(calls_message("b", number + 1, [10 + number]) for number in range(later)))
    await drain(log, lake)
    assert call_ids(lake) == names([*range(4), *range(10, 10 + later)])
    await append(log, calls_message("b", later + 1, [50]))
    await drain(log, lake)
    assert call_ids(lake) == names([*range(4), *range(10, 10 + later), 50])


async def test_messages_that_expired_unread_are_counted_when_given_up(tmp_path: Path) -> None:
    log, lake = MemoryLog(), lake_at(tmp_path)
    await append(log, calls_message("a", 1, [0]))
    await drain(log, lake)
    await append(log, *(calls_message("a", number, [number]) for number in range(2, 6)))
    log.expire(*PLACE, before=3)
    with pytest.raises(OffsetOutOfRange):
        await drain(log, lake)
    before = telemetry.EXPIRED.labels("calls")._value.get()
    await drain(log, lake_at(tmp_path, skip_expired=True))
    assert telemetry.EXPIRED.labels("calls")._value.get() == before + 2
    assert call_ids(lake) == names([0, 4, 5])
    await drain(log, lake)


def test_marks_outlive_a_log_that_was_told_to_keep_more(tmp_path: Path) -> None:
    lake_at(tmp_path)
    longer = Lake.open(StorageConfig(lake_uri=str(tmp_path), mark_retention=timedelta(days=90)))
    kept = longer.table("calls").metadata().configuration["delta.setTransactionRetentionDuration"]
    assert kept == f"interval {90 * 86_400} seconds"


STEPS = st.lists(st.sampled_from(["append", "append", "repeat", "drain", "put back", "new lake"]), min_size=4, max_size=14)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, data=st.data())
async def test_each_row_once_whatever_is_put_back(
    tmp_path_factory: pytest.TempPathFactory, steps: Sequence[str], data: st.DataObject
) -> None:
    """A run of a producer begins with each copy put back. A lake has all that it read, and all that the log has, once."""
    folder = tmp_path_factory.mktemp("lakes")
    log, lakes, runs = MemoryLog(), [folder / "0"], [0]
    at_rest: set[int] = set()
    made = 0
    for step in [*steps, "drain"]:
        match step:
            case "append":
                runs[-1] += 1
                await append(log, calls_message(f"run{len(runs)}", runs[-1], [made]))
                made += 1
            case "repeat" if log.messages(*PLACE):
                await append(log, log.messages(*PLACE)[-1])
            case "drain":
                await drain(log, lake_at(lakes[-1]))
                at_rest |= {number for number in range(made) if on(log, number)}
            case "put back":
                log.put_back(*PLACE, end=data.draw(st.integers(0, log.end(PLACE))))
                runs.append(0)
            case "new lake":
                lakes.append(folder / str(len(lakes)))
                at_rest = set()
    assert call_ids(lake_at(lakes[-1])) == names(sorted(at_rest))


def on(log: MemoryLog, number: int) -> bool:
    return any(f"call-{number:06d}".encode() in message.value for message in log.messages(*PLACE))
